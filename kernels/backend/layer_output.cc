#include "kernels/backend/layer_output.h"

#include <algorithm>
#include <vector>

namespace seedlm::backend {
namespace {

// A tile of products stays in registers: rows of W and of W - W' by samples.
constexpr int kRows = 2;
constexpr int kSamples = 8;
constexpr int64_t kColumns = 256;  // that are added in float32

class CpuOutputMeter : public OutputMeter {
 public:
  explicit CpuOutputMeter(const Activations& activations)
      : columns_(activations.columns),
        panels_((activations.samples + kSamples - 1) / kSamples),
        packed_(static_cast<size_t>(panels_ * columns_ * kSamples)) {
    for (int64_t s = 0; s < activations.samples; ++s) {
      float* panel = &packed_[static_cast<size_t>(s / kSamples * columns_ * kSamples)];
      for (int64_t c = 0; c < columns_; ++c) {
        panel[c * kSamples + s % kSamples] = activations.data[s * columns_ + c];
      }
    }
  }

  absl::StatusOr<OutputSums> Measure(int64_t rows, const float* weights,
                                     const float* differences) override {
    OutputSums sums;
    const std::vector<float> zeros(static_cast<size_t>(columns_));
    for (int64_t row = 0; row < rows; row += kRows) {
      const float* both[2][kRows];
      for (int64_t i = 0; i < kRows; ++i) {
        const bool there = row + i < rows;
        both[0][i] = there ? weights + (row + i) * columns_ : zeros.data();
        both[1][i] = there ? differences + (row + i) * columns_ : zeros.data();
      }
      for (int64_t panel = 0; panel < panels_; ++panel) {
        AddTile(both, &packed_[static_cast<size_t>(panel * columns_ * kSamples)], sums);
      }
    }
    return sums;
  }

 private:
  void AddTile(const float* const (&both)[2][kRows], const float* panel, OutputSums& sums) const {
    double products[2][kRows][kSamples] = {};
    for (int64_t first = 0; first < columns_; first += kColumns) {
      float part[2][kRows][kSamples] = {};
      for (int64_t c = first; c < std::min(first + kColumns, columns_); ++c) {
        const float* x = panel + c * kSamples;
        for (int which = 0; which < 2; ++which) {
          for (int i = 0; i < kRows; ++i) {
            const float w = both[which][i][c];
            for (int s = 0; s < kSamples; ++s) part[which][i][s] += w * x[s];
          }
        }
      }
      for (int which = 0; which < 2; ++which) {
        for (int i = 0; i < kRows; ++i) {
          for (int s = 0; s < kSamples; ++s) products[which][i][s] += double{part[which][i][s]};
        }
      }
    }
    for (int i = 0; i < kRows; ++i) {
      for (int s = 0; s < kSamples; ++s) {
        sums.squared_output += products[0][i][s] * products[0][i][s];
        sums.squared_difference += products[1][i][s] * products[1][i][s];
      }
    }
  }

  const int64_t columns_;
  const int64_t panels_;       // of kSamples samples, the last filled up with zeros
  std::vector<float> packed_;  // [panels][columns][kSamples]
};

}  // namespace

std::unique_ptr<OutputMeter> MakeCpuOutputMeter(const Activations& activations) {
  return std::make_unique<CpuOutputMeter>(activations);
}

}  // namespace seedlm::backend
