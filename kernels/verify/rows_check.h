// Rows of a compressed tensor against those of its original.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/backend/backend.h"
#include "kernels/codec/level_design.h"
#include "kernels/format/packed_codes.h"
#include "kernels/format/packed_tensor.h"
#include "kernels/verify/problems.h"

namespace seedlm::verify {

// A tensor of the original.
struct Source {
  const format::SafetensorsFile* file = nullptr;
  const format::TensorInfo* tensor = nullptr;

  absl::Status Read(uint64_t offset, std::span<std::byte> bytes) const {
    return file->Read(*tensor, offset, bytes);
  }
};

// Of a range of rows. Blocks with a zero seed, and those in which the original has a weight that is
// not finite, are in no sum.
struct RowsResult {
  double squared_error = 0;  // against float32 decoding
  double squared_weights = 0;
  double max_error = 0;
  bool all_compared = true;  // false: the original has weights that are not finite
  int64_t blocks = 0;
  int64_t foreign = 0;  // blocks whose code is none of the original's weights
  ProblemList problems;
  backend::OutputSums output;
  absl::Status failure;  // of reading, or of the meter
};

// Of one tensor. Thread-safe. All that it is given must outlive it.
class RowsChecker {
 public:
  // `spec`: what the encoder was told; null if the levels are not of their rule, so that codes
  // cannot be judged. `judge`: the backend that judges them. `meter`: null if there are no
  // activations.
  RowsChecker(const format::PackedTensor& tensor, const Source& source,
              const backend::EncodeSpec* spec, const backend::Backend& judge,
              backend::OutputMeter* meter)
      : tensor_(tensor), source_(source), spec_(spec), judge_(judge), meter_(meter) {}

  // Decodes rows [first_row, first_row + row_count), and judges each code: Backend::FindForeign.
  // After
  // a failure to read nothing more is checked.
  void Check(int64_t first_row, int64_t row_count, RowsResult& result);

  // Of the original's blocks in the rows that were checked. REQUIRES: no Check is running.
  const codec::NormHistogram& norms() const { return norms_; }

 private:
  struct Faults;
  struct MeteredRows;
  struct Range;

  absl::Status CheckPiece(const format::CodePiece& piece, Range& range) const;
  void CheckBlocks(const format::CodePiece& piece, int64_t row, std::span<const float> source,
                   Range& range) const;
  void Add(int64_t row, int64_t column, std::span<const float> weights,
           std::span<const float> decoded, Range& range) const;
  void EndRow(const format::CodePiece& piece, int64_t row, Range& range) const;

  const format::PackedTensor& tensor_;
  const Source& source_;
  const backend::EncodeSpec* spec_;
  const backend::Backend& judge_;
  backend::OutputMeter* meter_;
  std::atomic<bool> failed_{false};
  std::mutex mutex_;
  codec::NormHistogram norms_;  // guarded by mutex_
};

}  // namespace seedlm::verify
