#include "kernels/bench/cuda_check_search.h"

#include <random>

#include "kernels/cuda/cell_lists.h"

namespace seedlm::bench {

Problem MakeProblem(const codec::Profile& profile, codec::Fit fit, codec::ScaleRule rule,
                    int64_t count, unsigned seed, Edges edges) {
  Problem problem{profile, fit, {}, {}};
  std::mt19937 bits(seed);
  std::normal_distribution<float> normal(0, 0.02f);
  const auto width = static_cast<size_t>(profile.block);
  problem.blocks.resize(static_cast<size_t>(count) * width);
  for (float& w : problem.blocks) w = normal(bits);
  constexpr int64_t kSpread = 64;
  for (int64_t i = 0; i < count; i += kSpread) problem.blocks[static_cast<size_t>(i) * width] *= 60;
  const auto scale = [&](int64_t first, int64_t step, float by) {
    for (int64_t i = first; i < count; i += step) {
      for (size_t c = 0; c < width; ++c) problem.blocks[static_cast<size_t>(i) * width + c] *= by;
    }
  };
  // At places that the smallest problems reach, too.
  if (edges != Edges::kNone) scale(2, 61, 0);
  if (edges == Edges::kZerosAndTiny) scale(5, 4099, 0x1p-40f);
  codec::NormHistogram histogram;
  for (int64_t i = 0; i < count; ++i) {
    histogram.Add(profile, &problem.blocks[static_cast<size_t>(i) * width], i);
  }
  problem.levels = codec::DesignLevels(profile, rule, histogram);
  return problem;
}

const char* Rung(cuda::SearchMethod method) {
  switch (method) {
    case cuda::SearchMethod::kNaive:
      return "0 naive";
    case cuda::SearchMethod::kSliding:
      return "1 sliding";
    case cuda::SearchMethod::kTensor:
      return "2 tensor";
    case cuda::SearchMethod::kCells:
      break;
  }
  return "3 cells";
}

bool HasRung(const codec::Profile& profile, cuda::SearchMethod method) {
  return method != cuda::SearchMethod::kCells || cuda::CellShapeOf(profile).slots > 0;
}

DeviceSearch::DeviceSearch(const codec::Profile& profile, int64_t count, int processors,
                           bool with_cells) {
  Keep(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
  const cuda::SearchTables& tables = cuda::SearchTables::For(profile);
  table_memory_ = Allocate(tables.bytes().size());
  scratch_ = Allocate(cuda::SearchScratchBytes(profile, count));
  codes_ = Allocate(static_cast<size_t>(count) * sizeof(cuda::CodeWord));
  for (void*& blocks : blocks_) {
    blocks = Allocate(static_cast<size_t>(count * profile.block) * sizeof(float));
  }
  tables_ = tables.ViewAt(static_cast<const std::byte*>(table_memory_));
  const cuda::CellShape shape = with_cells ? cuda::CellShapeOf(profile) : cuda::CellShape{0, 0, 0};
  const cuda::CellImage image(profile, shape, nullptr);  // every list is made on the device
  if (shape.slots > 0) {
    cells_ = Allocate(cuda::CellBytes(shape));
    tables_.cells = image.ViewAt(cells_);
  }
  plan_ = cuda::MakeSearchPlan(tables_, count, processors);
  if (error_ != cudaSuccess) return;
  Keep(cudaMemcpyAsync(table_memory_, tables.bytes().data(), tables.bytes().size(),
                       cudaMemcpyHostToDevice, stream_));
  if (error_ == cudaSuccess && shape.slots > 0) Keep(image.Queue(tables_.cells, stream_));
  Keep(cudaStreamSynchronize(stream_));  // the image is in use until then
}

DeviceSearch::~DeviceSearch() {
  if (stream_ != nullptr) cudaStreamDestroy(stream_);
  for (void* memory : {table_memory_, cells_, scratch_, codes_}) cudaFree(memory);
  for (void* memory : blocks_) cudaFree(memory);
}

void* DeviceSearch::Allocate(size_t bytes) {
  void* memory = nullptr;
  if (error_ == cudaSuccess) Keep(cudaMalloc(&memory, bytes));
  return memory;
}

void DeviceSearch::Upload(const Problem& problem, int buffer) {
  if (error_ != cudaSuccess) return;
  Keep(cudaMemcpyAsync(blocks_[static_cast<size_t>(buffer)], problem.blocks.data(),
                       problem.blocks.size() * sizeof(float), cudaMemcpyHostToDevice, stream_));
  if (error_ == cudaSuccess) Keep(cudaStreamSynchronize(stream_));
}

cudaError_t DeviceSearch::Queue(cuda::SearchMethod method, const Problem& problem, int buffer,
                                const cuda::SearchPlan& plan) {
  if (error_ == cudaSuccess) {
    Keep(cuda::QueueSearch(method, problem.profile, tables_,
                           {problem.fit, problem.levels, problem.count(),
                            static_cast<const float*>(blocks_[static_cast<size_t>(buffer)])},
                           plan, scratch_, static_cast<cuda::CodeWord*>(codes_), stream_));
  }
  return error_;
}

std::vector<cuda::CodeWord> DeviceSearch::Codes(cuda::SearchMethod method, const Problem& problem,
                                                const cuda::SearchPlan& plan) {
  std::vector<cuda::CodeWord> codes(static_cast<size_t>(problem.count()));
  Upload(problem, 0);
  Queue(method, problem, 0, plan);
  if (error_ == cudaSuccess) {
    Keep(cudaMemcpyAsync(codes.data(), codes_, codes.size() * sizeof(cuda::CodeWord),
                         cudaMemcpyDeviceToHost, stream_));
  }
  if (error_ == cudaSuccess) Keep(cudaStreamSynchronize(stream_));
  return codes;
}

}  // namespace seedlm::bench
