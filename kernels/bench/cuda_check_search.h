// A search on the current device with everything that it needs, for checks and timings.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "kernels/codec/level_design.h"
#include "kernels/codec/profile.h"
#include "kernels/cuda/cuda_status.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/seed_search.h"

namespace seedlm::bench {

// Blocks and how they are to be encoded.
struct Problem {
  codec::Profile profile;
  codec::Fit fit;
  codec::LevelTable levels;
  std::vector<float> blocks;  // [count][C]

  int64_t count() const { return static_cast<int64_t>(blocks.size()) / profile.block; }
  const float* block(int64_t i) const { return &blocks[static_cast<size_t>(i * profile.block)]; }
};

// What is put among the blocks: nothing; zero blocks; or those and tiny ones, which no level fits:
// the naive search tries every code of every seed for such a block, on one thread, for seconds.
enum class Edges : uint8_t { kNone, kZeros, kZerosAndTiny };

// Gaussian weights of sigma 0.02, each 64th block with outliers.
Problem MakeProblem(const codec::Profile& profile, codec::Fit fit, codec::ScaleRule rule,
                    int64_t count, unsigned seed, Edges edges = Edges::kNone);

// "0 naive", .., "3 cells"; and for checks "naive", ..
const char* Rung(cuda::SearchMethod method);
inline const char* Name(cuda::SearchMethod method) { return Rung(method) + 2; }
bool HasRung(const codec::Profile& profile, cuda::SearchMethod method);
inline constexpr cuda::SearchMethod kRungs[] = {
    cuda::SearchMethod::kNaive, cuda::SearchMethod::kSliding, cuda::SearchMethod::kTensor,
    cuda::SearchMethod::kCells};

// Keeps the first error and does nothing after it. Not thread-safe.
class DeviceSearch {
 public:
  static constexpr int kBuffers = 3;  // inputs that are used in turn, so that no cache holds them

  // `with_cells`: false leaves out the lists, so that kCells looks at all seeds, as a pool does.
  DeviceSearch(const codec::Profile& profile, int64_t count, int processors,
               bool with_cells = true);
  ~DeviceSearch();
  DeviceSearch(const DeviceSearch&) = delete;
  DeviceSearch& operator=(const DeviceSearch&) = delete;

  absl::Status status() const { return cuda::ToStatus(error_, "searching on the device"); }
  cudaStream_t stream() const { return stream_; }
  const cuda::TableView& tables() const { return tables_; }
  cuda::SearchPlan plan() const { return plan_; }

  void Upload(const Problem& problem, int buffer);
  // Queues a search; nothing is waited for.
  cudaError_t Queue(cuda::SearchMethod method, const Problem& problem, int buffer,
                    const cuda::SearchPlan& plan);
  // Searches and waits.
  std::vector<cuda::CodeWord> Codes(cuda::SearchMethod method, const Problem& problem,
                                    const cuda::SearchPlan& plan);

 private:
  void* Allocate(size_t bytes);
  void Keep(cudaError_t error) {
    if (error_ == cudaSuccess) error_ = error;
  }

  cudaError_t error_ = cudaSuccess;
  cudaStream_t stream_ = nullptr;
  cuda::TableView tables_{};
  cuda::SearchPlan plan_;
  void* table_memory_ = nullptr;
  void* cells_ = nullptr;
  void* scratch_ = nullptr;
  void* codes_ = nullptr;
  std::array<void*, kBuffers> blocks_{};
};

}  // namespace seedlm::bench
