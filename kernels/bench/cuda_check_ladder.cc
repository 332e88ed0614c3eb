#include "kernels/bench/cuda_check_ladder.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <utility>
#include <vector>

#include "kernels/bench/cuda_check_cublas.h"
#include "kernels/bench/cuda_check_search.h"
#include "kernels/bench/cuda_check_timer.h"
#include "kernels/codec/bitpack.h"
#include "kernels/codec/narrow.h"
#include "kernels/cuda/decode.h"
#include "kernels/cuda/encode_batch.h"
#include "kernels/cuda/tensor_terms.h"
#include "kernels/cuda/tuning.h"

namespace seedlm::bench {
namespace {

using codec::Fit;
using codec::Profile;
using codec::ScaleRule;
using cuda::SearchMethod;
using nlohmann::ordered_json;

struct Seconds {
  double least, median;
};

Seconds Summary(std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  return {seconds.front(), seconds[seconds.size() / 2]};
}

// Multiply-adds of a block's search, of float64 for rung 0; of rung 2 those of its sample, as its
// products are counted in another unit.
double FmaPerBlock(SearchMethod method, const Profile& profile) {
  const double whole = profile.block * profile.rank + profile.rank;
  const double sliding = profile.block + profile.rank * (profile.rank + 1) / 2 + profile.rank;
  const double scanned = profile.block == codec::k4bit.block ? 3200 : 4900;  // about (Gaussian)
  switch (method) {
    case SearchMethod::kNaive:
      return whole * profile.seed_count();
    case SearchMethod::kSliding:
      return sliding * profile.seed_count();
    case SearchMethod::kTensor:
      return sliding * cuda::kTensorTuning.sample_segments * cuda::kScan.segment;
    case SearchMethod::kCells:
      break;
  }
  return whole * (scanned + cuda::kCellTuning.top_seeds);
}

const char* Rung(SearchMethod method) {
  switch (method) {
    case SearchMethod::kNaive:
      return "0 naive";
    case SearchMethod::kSliding:
      return "1 sliding";
    case SearchMethod::kTensor:
      return "2 tensor";
    case SearchMethod::kCells:
      break;
  }
  return "3 cells";
}

cudaError_t TimeSearch(SearchMethod method, const Profile& profile, Fit fit, ScaleRule rule,
                       int64_t blocks, int processors, const Ceilings& ceilings, int repeats,
                       ordered_json& ladder) {
  std::vector<Problem> problems;
  DeviceSearch device(profile, blocks, processors);
  for (int i = 0; i < DeviceSearch::kBuffers; ++i) {
    problems.push_back(MakeProblem(profile, fit, rule, blocks, 10 + static_cast<unsigned>(i)));
    device.Upload(problems.back(), i);
  }
  Timer timer(device.stream());
  std::vector<double> times;
  for (int i = 0; i < repeats + 1 && device.error() == cudaSuccess; ++i) {
    const int buffer = i % DeviceSearch::kBuffers;
    double seconds = 0;
    const cudaError_t error = timer.Time(
        [&] {
          return device.Queue(method, problems[static_cast<size_t>(buffer)], buffer, device.plan());
        },
        seconds);
    if (error != cudaSuccess) return error;
    if (i > 0) times.push_back(seconds);  // the first one warms up
  }
  if (device.error() != cudaSuccess) return device.error();
  const Seconds seconds = Summary(times);
  const double rate = static_cast<double>(blocks) / seconds.median;
  ladder.push_back(
      {{"figure", Rung(method)},
       {"profile", profile.name},
       {"fit", codec::Name(fit)},
       {"scale", codec::Name(rule)},
       {"plan", device.plan().ToString()},
       {"blocks", blocks},
       {"seconds_least", seconds.least},
       {"seconds_median", seconds.median},
       {"blocks_per_second", rate},
       {"weights_per_second", rate * profile.block},
       {"share_of_float32_fma", rate * FmaPerBlock(method, profile) / ceilings.fma_per_second}});
  if (method == SearchMethod::kTensor) {
    const double flops = 2.0 * 16 * cuda::TensorSteps(profile.block) * (1 << 16);
    ladder.back()["share_of_tensor_flops"] = rate * flops / ceilings.tensor_flops_per_second;
  }
  return cudaSuccess;
}

// Rung G: the scores alone, all of them to memory.
cudaError_t TimeProduct(const Profile& profile, int64_t blocks, const Ceilings& ceilings,
                        ordered_json& ladder) {
  const Problem problem = MakeProblem(profile, Fit::kOptimal, ScaleRule::kFitted, blocks, 30);
  GemmResult product;
  const cudaError_t error = ScoreByGemm(profile, problem.blocks, product);
  if (error != cudaSuccess) return error;
  ordered_json row = {{"figure", "G cuBLAS sgemm"}, {"profile", profile.name}, {"blocks", blocks}};
  if (product.skipped.empty()) {
    const double rate = static_cast<double>(blocks) / product.seconds;
    const double fma = double(profile.block * profile.block) * profile.seed_count();
    row["seconds"] = product.seconds;
    row["blocks_per_second"] = rate;
    row["weights_per_second"] = rate * profile.block;
    row["share_of_float32_fma"] = rate * fma / ceilings.fma_per_second;
  } else {
    row["skipped"] = product.skipped;
  }
  ladder.push_back(row);
  return cudaSuccess;
}

cudaError_t TimeDecode(const Profile& profile, backend::WeightType type, int64_t blocks,
                       const Ceilings& ceilings, int repeats, ordered_json& ladder) {
  cudaStream_t stream = nullptr;
  cudaError_t error = cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
  std::vector<void*> allocated;
  const auto allocate = [&](size_t bytes) {
    void* memory = nullptr;
    if (error == cudaSuccess) error = cudaMalloc(&memory, bytes);
    if (memory != nullptr) allocated.push_back(memory);
    if (error == cudaSuccess) error = cudaMemsetAsync(memory, 0x5B, bytes, stream);
    return memory;
  };
  const auto written = static_cast<size_t>(blocks * profile.block * backend::ByteWidth(type));
  const auto level_bytes = static_cast<size_t>(codec::LevelRowBytes(profile, blocks));
  const cuda::PlanesView planes{
      static_cast<const uint32_t*>(allocate(static_cast<size_t>(blocks) * 4)),
      static_cast<const uint8_t*>(allocate(std::max<size_t>(1, level_bytes))),
      static_cast<const float*>(allocate(codec::kLevels * sizeof(float))),
      1,
      blocks * profile.block,
      blocks};
  void* weights = allocate(written);
  Timer timer(stream);
  std::vector<double> times;
  for (int i = 0; i < repeats + 1 && error == cudaSuccess; ++i) {
    double seconds = 0;
    error = timer.Time([&] { return cuda::QueueDecode(profile, planes, type, weights, stream); },
                       seconds);
    if (i > 0) times.push_back(seconds);
  }
  for (void* memory : allocated) cudaFree(memory);
  if (stream != nullptr) cudaStreamDestroy(stream);
  if (error != cudaSuccess) return error;
  const Seconds seconds = Summary(times);
  const double rate = static_cast<double>(written) / seconds.median;
  ladder.push_back({{"figure", "decode"},
                    {"profile", profile.name},
                    {"bytes_a_weight", backend::ByteWidth(type)},
                    {"blocks", blocks},
                    {"seconds_least", seconds.least},
                    {"seconds_median", seconds.median},
                    {"bytes_written_per_second", rate},
                    {"share_of_copy", rate / (ceilings.copy_bytes_per_second / 2)}});
  return cudaSuccess;
}

// bfloat16 rows from pinned memory to planes in pinned memory, two streams in turn.
cudaError_t TimePipeline(const Profile& profile, int64_t blocks, int processors, int repeats,
                         ordered_json& ladder) {
  constexpr size_t kStreams = 2;
  const Problem problem = MakeProblem(profile, Fit::kOptimal, ScaleRule::kFitted, 4096, 20);
  const backend::EncodeSpec spec{profile, Fit::kOptimal, problem.levels};
  const int64_t batch = std::min(blocks, cuda::kPipeline.batch_blocks);
  // Rows of a usual length: their losses are summed in order, a row by one thread.
  const int64_t row_blocks = std::min<int64_t>(batch, 512);
  const cuda::BatchRows rows{backend::WeightType::kBF16, batch / row_blocks,
                             row_blocks * profile.block, row_blocks};
  DeviceSearch device(profile, 1, processors);  // for its tables
  cudaError_t error = device.error();
  struct Slot {
    cudaStream_t stream = nullptr;
    void *source = nullptr, *memory = nullptr, *result = nullptr;
  } slots[kStreams];
  for (Slot& slot : slots) {
    if (error == cudaSuccess)
      error = cudaStreamCreateWithFlags(&slot.stream, cudaStreamNonBlocking);
    if (error == cudaSuccess) {
      error = cudaHostAlloc(&slot.source, static_cast<size_t>(rows.bytes()), cudaHostAllocDefault);
    }
    if (error == cudaSuccess) {
      error = cudaHostAlloc(&slot.result, cuda::ResultLayout(profile, rows).bytes,
                            cudaHostAllocDefault);
    }
    if (error == cudaSuccess) {
      error = cudaMalloc(&slot.memory, cuda::BatchDeviceBytes(profile, batch));
    }
    for (int64_t i = 0; i < batch * profile.block && error == cudaSuccess; ++i) {
      static_cast<uint16_t*>(slot.source)[i] =
          codec::ToBfloat16(problem.blocks[static_cast<size_t>(i) % problem.blocks.size()]);
    }
  }
  const auto begin = std::chrono::steady_clock::now();
  const int64_t batches = repeats * std::max<int64_t>(1, blocks / batch);
  for (int64_t i = 0; i < batches && error == cudaSuccess; ++i) {
    Slot& slot = slots[static_cast<size_t>(i) % kStreams];
    error = cudaStreamSynchronize(slot.stream);  // its buffers are free again
    if (error != cudaSuccess) break;
    error = cuda::QueueBatch(SearchMethod::kCells, spec, rows, device.tables(), processors,
                             static_cast<const std::byte*>(slot.source),
                             static_cast<std::byte*>(slot.memory),
                             static_cast<std::byte*>(slot.result), slot.stream);
  }
  for (Slot& slot : slots) {
    if (error == cudaSuccess) error = cudaStreamSynchronize(slot.stream);
  }
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  for (Slot& slot : slots) {
    cudaFreeHost(slot.source);
    cudaFreeHost(slot.result);
    cudaFree(slot.memory);
    if (slot.stream != nullptr) cudaStreamDestroy(slot.stream);
  }
  if (error != cudaSuccess) return error;
  const double rate = static_cast<double>(batches * batch) / seconds;
  ladder.push_back({{"figure", "pinned bfloat16 to planes, two streams"},
                    {"profile", profile.name},
                    {"blocks", batches * batch},
                    {"seconds", seconds},
                    {"blocks_per_second", rate},
                    {"weights_per_second", rate * profile.block}});
  return cudaSuccess;
}

}  // namespace

cudaError_t TimeLadder(int64_t blocks, int processors, const Ceilings& ceilings, bool small,
                       ordered_json& ladder) {
  const int repeats = small ? 1 : 7;
  ladder = ordered_json::array();
  cudaError_t error = cudaSuccess;
  const auto then = [&](const auto& figure) {
    if (error == cudaSuccess) error = figure();
  };
  for (const Profile& profile : {codec::k4bit, codec::k3bit}) {
    for (const auto method : {SearchMethod::kNaive, SearchMethod::kSliding, SearchMethod::kTensor,
                              SearchMethod::kCells}) {
      if (method == SearchMethod::kCells && cuda::CellShapeOf(profile).slots == 0) continue;
      if (method == SearchMethod::kTensor && small && profile.name != codec::k4bit.name) continue;
      then([&] {
        return TimeSearch(method, profile, Fit::kOptimal, ScaleRule::kFitted, blocks, processors,
                          ceilings, repeats, ladder);
      });
    }
    then([&] { return TimeProduct(profile, std::min<int64_t>(blocks, 4096), ceilings, ladder); });
    for (const auto type : {backend::WeightType::kBF16, backend::WeightType::kF32}) {
      then([&] {
        const int64_t many = small ? blocks : 64 * blocks;
        return TimeDecode(profile, type, many, ceilings, repeats, ladder);
      });
    }
    then([&] { return TimePipeline(profile, blocks, processors, repeats, ladder); });
  }
  then([&] {
    return TimeSearch(SearchMethod::kSliding, codec::k4bit, Fit::kNearest, ScaleRule::kPaper,
                      blocks, processors, ceilings, repeats, ladder);
  });
  return error;
}

}  // namespace seedlm::bench
