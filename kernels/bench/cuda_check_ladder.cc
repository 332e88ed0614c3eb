#include "kernels/bench/cuda_check_ladder.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "kernels/bench/cuda_check_cublas.h"
#include "kernels/bench/cuda_check_device.h"
#include "kernels/bench/cuda_check_timer.h"
#include "kernels/bench/cuda_check_trace.h"
#include "kernels/codec/bitpack.h"
#include "kernels/cuda/cuda_raii.h"
#include "kernels/cuda/decode.h"
#include "kernels/cuda/tensor_terms.h"
#include "kernels/cuda/tuning.h"

namespace seedlm::bench {
namespace {

using codec::Fit;
using codec::Profile;
using codec::ScaleRule;
using cuda::SearchMethod;
using nlohmann::ordered_json;

int Repeats(const Context& context) { return context.small ? 1 : 7; }

// Float32 multiply-adds of a search, of what is scored: without what evaluates survivors.
double FmaCount(SearchMethod method, const Profile& profile, int64_t blocks,
                const SearchCounts& counts) {
  const double whole = profile.block * profile.rank + profile.rank;
  const double sliding = profile.block + profile.rank * (profile.rank + 1) / 2 + profile.rank;
  const auto count = static_cast<double>(blocks);
  switch (method) {
    case SearchMethod::kNaive:
      return 0;
    case SearchMethod::kSliding:
      return sliding * profile.seed_count() * count;
    case SearchMethod::kTensor:  // its sample; its products are counted in another unit
      return sliding * cuda::kTensorTuning.sample_segments * cuda::kScan.segment * count;
    case SearchMethod::kCells:
      break;
  }
  return whole *
         (static_cast<double>(counts.prefixes) + double{cuda::kCellTuning.top_seeds} * count);
}

void AddShares(SearchMethod method, const Profile& profile, int64_t blocks, double seconds,
               const SearchCounts& counts, const Ceilings& ceilings, ordered_json& row) {
  const auto count = static_cast<double>(blocks);
  if (method == SearchMethod::kNaive) {
    // Products and sums that are not fused: two operations each.
    const double operations = 2.0 * profile.rank * (profile.block + 1) * profile.seed_count();
    row["share_of_float64"] = operations * count / seconds / ceilings.fma64_per_second;
    return;
  }
  row["share_of_float32_fma"] =
      FmaCount(method, profile, blocks, counts) / seconds / ceilings.fma_per_second;
  if (method == SearchMethod::kTensor) {
    const double flops = 2.0 * 16 * cuda::TensorSteps(profile.block) * (1 << 16);
    row["share_of_tensor_flops"] = flops * count / seconds / ceilings.tensor_flops_per_second;
  }
}

void AddCounts(SearchMethod method, const SearchCounts& counts, ordered_json& row) {
  ordered_json kernels = ordered_json::array();
  for (const auto& [name, seconds] : counts.seconds) {
    kernels.push_back({{"kernel", name}, {"seconds", seconds}});
  }
  row["kernels"] = kernels;
  if (method == SearchMethod::kNaive) return;
  row["queued"] = counts.queued;
  row["queue_capacity"] = counts.capacity;
  row["survivors"] = counts.survivors;
  row["hard_blocks"] = counts.hard_blocks;
  if (method != SearchMethod::kCells) return;
  row["scored_seeds"] = counts.prefixes;
  row["visits"] = counts.visits;
}

}  // namespace

Seconds Summary(std::vector<double> seconds) {
  std::sort(seconds.begin(), seconds.end());
  return {seconds.front(), seconds[seconds.size() / 2]};
}

absl::StatusOr<Seconds> TimeKernels(Context& context, DeviceSearch& device, SearchMethod method,
                                    const std::vector<Problem>& problems, int repeats) {
  for (size_t i = 0; i < problems.size(); ++i) device.Upload(problems[i], static_cast<int>(i));
  Timer timer(device.stream());
  std::vector<double> times;
  const int warm_up = method == SearchMethod::kCells ? static_cast<int>(problems.size()) : 1;
  // A slow one is timed less often; the search that follows needs its time, too.
  const auto has_time = [&](double seconds) { return context.SecondsLeft() > 2.5 * seconds; };
  for (int i = 0; i < repeats + warm_up; ++i) {
    const size_t buffer = static_cast<size_t>(i) % problems.size();
    double seconds = 0;
    const cudaError_t error = timer.Time(
        [&] {
          return device.Queue(method, problems[buffer], static_cast<int>(buffer), device.plan());
        },
        seconds);
    if (error != cudaSuccess) return cuda::ToStatus(error, "timing a search");
    if (i >= warm_up) times.push_back(seconds);
    if (!times.empty() && !has_time(seconds)) break;
  }
  return Summary(times);
}

absl::Status TimeRung(Context& context, const Profile& profile, SearchMethod method, int64_t blocks,
                      const Ceilings& ceilings, Fit fit, ScaleRule rule) {
  std::vector<Problem> problems;
  for (unsigned i = 0; i < DeviceSearch::kBuffers; ++i) {
    problems.push_back(MakeProblem(profile, fit, rule, blocks, 10 + i));
  }
  DeviceSearch device(profile, blocks, context.processors);
  if (!device.status().ok()) return device.status();
  const auto seconds = TimeKernels(context, device, method, problems, Repeats(context));
  if (!seconds.ok()) return seconds.status();
  const ordered_json clocks = ReadClocks(context.device);

  SearchCounts counts;  // by one search more
  {
    SearchTrace trace;
    cudaError_t error = device.Queue(method, problems[0], 0, device.plan());
    if (error == cudaSuccess) error = trace.Read(blocks, device.stream(), counts);
    if (error != cudaSuccess) return cuda::ToStatus(error, "tracing a search");
  }
  const double rate = static_cast<double>(blocks) / seconds->median;
  ordered_json row{
      {"figure", Rung(method)},           {"profile", std::string(profile.name)},
      {"fit", codec::Name(fit)},          {"scale", codec::Name(rule)},
      {"plan", device.plan().ToString()}, {"blocks", blocks},
      {"seconds_least", seconds->least},  {"seconds_median", seconds->median},
      {"blocks_per_second", rate},        {"weights_per_second", rate * profile.block}};
  AddShares(method, profile, blocks, seconds->median, counts, ceilings, row);
  AddCounts(method, counts, row);
  row["clocks"] = clocks;
  context.emit("timings", row);
  return absl::OkStatus();
}

absl::Status TimeProduct(Context& context, const Profile& profile, const Ceilings& ceilings) {
  const int64_t blocks = context.small ? 2 : 4096;
  const Problem problem = MakeProblem(profile, Fit::kOptimal, ScaleRule::kFitted, blocks, 30);
  GemmResult product;
  const cudaError_t error = ScoreByGemm(profile, problem.blocks, product);
  if (error != cudaSuccess) return cuda::ToStatus(error, "multiplying");
  ordered_json row = {
      {"figure", "G cuBLAS sgemm"}, {"profile", std::string(profile.name)}, {"blocks", blocks}};
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
  context.emit("timings", row);
  return absl::OkStatus();
}

absl::Status TimeDecode(Context& context, const Profile& profile, backend::WeightType type,
                        const Ceilings& ceilings) {
  const int64_t blocks = context.small ? 64 : int64_t{1} << 26;
  const auto written = static_cast<size_t>(blocks * profile.block * backend::ByteWidth(type));
  const auto level_words = static_cast<size_t>(codec::LevelRowBytes(profile, blocks) / 4 + 1);
  std::vector<float> scale(codec::kLevels);
  for (int i = 0; i < codec::kLevels; ++i) scale[static_cast<size_t>(i)] = std::ldexp(1.0f, -i);
  auto stream = cuda::MakeStream();
  if (!stream.ok()) return stream.status();
  void* memory[4];
  std::vector<cuda::DeviceMemory> owners;
  const size_t bytes[] = {static_cast<size_t>(blocks) * 4, level_words * 4, scale.size() * 4,
                          written};
  for (size_t i = 0; i < std::size(memory); ++i) {
    auto made = cuda::MakeDeviceMemory(bytes[i]);
    if (!made.ok()) return made.status();
    owners.push_back(*std::move(made));
    memory[i] = owners.back().get();
  }
  constexpr uint32_t kOddSeed = 1;  // seed 0 is none
  auto* words = static_cast<uint32_t*>(memory[0]);
  auto* levels = static_cast<uint32_t*>(memory[1]);
  cudaError_t error = QueueRandomBits(words, blocks, kOddSeed, 1, stream->get());
  if (error == cudaSuccess) {
    error = QueueRandomBits(levels, static_cast<int64_t>(level_words), 0, 2, stream->get());
  }
  if (error == cudaSuccess) {
    error =
        cudaMemcpyAsync(memory[2], scale.data(), bytes[2], cudaMemcpyHostToDevice, stream->get());
  }
  const cuda::PlanesView planes{words,
                                static_cast<const uint8_t*>(memory[1]),
                                static_cast<const float*>(memory[2]),
                                1,
                                blocks * profile.block,
                                blocks};
  Timer timer(stream->get());
  std::vector<double> times;
  for (int i = 0; i < Repeats(context) + 1 && error == cudaSuccess; ++i) {
    double seconds = 0;
    error = timer.Time(
        [&] { return cuda::QueueDecode(profile, planes, type, memory[3], stream->get()); },
        seconds);
    if (i > 0) times.push_back(seconds);
  }
  if (error != cudaSuccess) return cuda::ToStatus(error, "timing decoding");
  const Seconds seconds = Summary(times);
  const double rate = static_cast<double>(written) / seconds.median;
  context.emit("timings", {{"figure", "decode"},
                           {"profile", std::string(profile.name)},
                           {"bytes_a_weight", backend::ByteWidth(type)},
                           {"blocks", blocks},
                           {"seconds_least", seconds.least},
                           {"seconds_median", seconds.median},
                           {"bytes_written_per_second", rate},
                           {"share_of_copy", rate / (ceilings.copy_bytes_per_second / 2)},
                           {"clocks", ReadClocks(context.device)}});
  return absl::OkStatus();
}

}  // namespace seedlm::bench
