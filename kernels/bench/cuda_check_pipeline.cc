#include "kernels/bench/cuda_check_pipeline.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/bench/bench_support.h"
#include "kernels/bench/cuda_check_device.h"
#include "kernels/bench/cuda_check_ladder.h"
#include "kernels/bench/cuda_check_search.h"
#include "kernels/codec/narrow.h"
#include "kernels/cuda/cuda_raii.h"
#include "kernels/cuda/device_pool.h"
#include "kernels/cuda/encode_batch.h"
#include "kernels/cuda/tuning.h"

namespace seedlm::bench {
namespace {

using codec::Fit;
using codec::Profile;
using codec::ScaleRule;
using cuda::SearchMethod;
using nlohmann::ordered_json;

constexpr double kBytesAWeight = 2;  // bfloat16

// The method that a pool asks for; without cells, which only some profiles get there, it is one
// that looks at all seeds.
constexpr SearchMethod kPoolMethod = SearchMethod::kCells;

const char* HowPoolSearches(const Profile& profile) {
  return cuda::UsesCells(profile) ? "by cells" : "all seeds";
}

bool PoolIsRight(const Context& context, const Profile& profile) {
  if (cuda::UsesCells(profile)) return context.IsRight(profile, SearchMethod::kCells);
  return context.IsRight(profile, SearchMethod::kSliding) &&
         context.IsRight(profile, SearchMethod::kTensor);
}

std::vector<uint16_t> Bfloat16(const std::vector<float>& weights) {
  std::vector<uint16_t> narrow(weights.size());
  std::transform(weights.begin(), weights.end(), narrow.begin(), codec::ToBfloat16);
  return narrow;
}

// Problems of different weights, made by several threads; the levels are the first one's.
std::vector<Problem> MakeProblems(const Context& context, const Profile& profile, int64_t blocks,
                                  size_t count) {
  std::vector<Problem> problems(count);
  std::atomic<size_t> next{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < context.threads; ++t) {
      threads.emplace_back([&] {
        for (size_t i = next++; i < count; i = next++) {
          problems[i] = MakeProblem(profile, Fit::kOptimal, ScaleRule::kFitted, blocks,
                                    100 + static_cast<unsigned>(i));
        }
      });
    }
  }
  for (Problem& problem : problems) problem.levels = problems[0].levels;
  return problems;
}

// The rates that an end-to-end rate is compared with, in weights a second.
struct Bounds {
  double search = 0;  // of batches of the same size, on the device
  double link = 0;    // bfloat16 from pinned memory
};

absl::StatusOr<Bounds> MeasureBounds(Context& context, const std::vector<Problem>& problems,
                                     const Ceilings& ceilings) {
  const Problem& first = problems[0];
  DeviceSearch device(first.profile, first.count(), context.processors,
                      cuda::UsesCells(first.profile));
  if (!device.status().ok()) return device.status();
  const std::vector<Problem> some(
      problems.begin(),
      problems.begin() + std::min<int64_t>(std::ssize(problems), DeviceSearch::kBuffers));
  const auto seconds = TimeKernels(context, device, kPoolMethod, some, context.small ? 1 : 15);
  if (!seconds.ok()) return seconds.status();
  return Bounds{static_cast<double>(first.count() * first.profile.block) / seconds->median,
                ceilings.upload_bytes_per_second / kBytesAWeight};
}

void ReportRate(Context& context, const Profile& profile, const char* figure, double weights,
                double seconds, const Bounds& bounds, const ordered_json& more) {
  const double rate = weights / seconds;
  ordered_json row{{"figure", figure}, {"profile", std::string(profile.name)}};
  row.update(more);
  row["seconds"] = seconds;
  row["weights_per_second"] = rate;
  row["search_weights_per_second"] = bounds.search;
  row["link_weights_per_second"] = bounds.link;
  row["share_of_search"] = rate / bounds.search;
  row["share_of_link"] = rate / bounds.link;
  row["binds"] = bounds.search < bounds.link ? "search" : "link";
  row["share_of_what_binds"] = rate / std::min(bounds.search, bounds.link);
  row["clocks"] = ReadClocks(context.device);
  context.emit("timings", row);
}

struct Slot {
  cuda::Stream stream;
  cuda::DeviceMemory memory;
  cuda::PinnedMemory result;
};

absl::StatusOr<Slot> MakeSlot(const Profile& profile, const cuda::BatchRows& rows) {
  auto stream = cuda::MakeStream();
  if (!stream.ok()) return stream.status();
  auto memory = cuda::MakeDeviceMemory(cuda::BatchDeviceBytes(profile, rows.count()));
  if (!memory.ok()) return memory.status();
  auto result = cuda::MakePinnedMemory(cuda::ResultLayout(profile, rows).bytes);
  if (!result.ok()) return result.status();
  return Slot{*std::move(stream), *std::move(memory), *std::move(result)};
}

}  // namespace

absl::Status TimePinned(Context& context, const Profile& profile, int64_t batch_blocks,
                        const Ceilings& ceilings) {
  if (!PoolIsRight(context, profile)) return absl::FailedPreconditionError("a search is wrong");
  const size_t sources = context.small ? 3 : 16;
  const auto problems = MakeProblems(context, profile, batch_blocks, sources);
  const auto bounds = MeasureBounds(context, problems, ceilings);
  if (!bounds.ok()) return bounds.status();

  // Rows of a usual length: their losses are summed in order, a row by one thread.
  const int64_t row_blocks = std::min<int64_t>(batch_blocks, 512);
  const cuda::BatchRows rows{backend::WeightType::kBF16, batch_blocks / row_blocks,
                             row_blocks * profile.block, row_blocks};
  const backend::EncodeSpec spec{profile, Fit::kOptimal, problems[0].levels};
  std::vector<cuda::PinnedMemory> pinned;
  for (const Problem& problem : problems) {
    auto memory = cuda::MakePinnedMemory(static_cast<size_t>(rows.bytes()));
    if (!memory.ok()) return memory.status();
    const std::vector<uint16_t> narrow = Bfloat16(problem.blocks);
    std::memcpy(memory->get(), narrow.data(), static_cast<size_t>(rows.bytes()));
    pinned.push_back(*std::move(memory));
  }
  // For its tables.
  DeviceSearch device(profile, 1, context.processors, cuda::UsesCells(profile));
  if (!device.status().ok()) return device.status();
  std::vector<Slot> slots;
  for (int i = 0; i < 2; ++i) {
    auto slot = MakeSlot(profile, rows);
    if (!slot.ok()) return slot.status();
    slots.push_back(*std::move(slot));
  }
  const auto run = [&](int64_t batches) {
    cudaError_t error = cudaSuccess;
    for (int64_t i = 0; i < batches && error == cudaSuccess; ++i) {
      const Slot& slot = slots[static_cast<size_t>(i) % slots.size()];
      error = cudaStreamSynchronize(slot.stream.get());  // its buffers are free again
      if (error != cudaSuccess) break;
      error = cuda::QueueBatch(
          kPoolMethod, spec, rows, device.tables(), context.processors,
          static_cast<const std::byte*>(pinned[static_cast<size_t>(i) % pinned.size()].get()),
          static_cast<std::byte*>(slot.memory.get()), static_cast<std::byte*>(slot.result.get()),
          slot.stream.get());
    }
    for (const Slot& slot : slots) {
      const cudaError_t ended = cudaStreamSynchronize(slot.stream.get());
      if (error == cudaSuccess) error = ended;
    }
    return error;
  };
  // Once through all sources makes the lists of cells.
  cudaError_t error = run(std::ssize(pinned));
  const int64_t batches =
      context.small ? 3 : std::max<int64_t>(32, (int64_t{1} << 25) / batch_blocks);
  const Stopwatch timer;
  if (error == cudaSuccess) error = run(batches);
  const double seconds = timer.seconds();
  if (error != cudaSuccess) return cuda::ToStatus(error, "timing a pipeline");
  ReportRate(context, profile, "pinned bfloat16 to planes, two streams",
             static_cast<double>(batches * rows.count() * profile.block), seconds, *bounds,
             {{"search", HowPoolSearches(profile)},
              {"batch_blocks", rows.count()},
              {"batches", batches},
              {"sources", sources}});
  return absl::OkStatus();
}

absl::Status TimePool(Context& context, const Profile& profile, const Ceilings& ceilings) {
  if (!PoolIsRight(context, profile)) return absl::FailedPreconditionError("a search is wrong");
  cuda::PoolOptions options;
  if (context.small) options.batch_blocks = 12;
  const auto problems = MakeProblems(context, profile, options.batch_blocks, 4);
  const auto bounds = MeasureBounds(context, problems, ceilings);
  if (!bounds.ok()) return bounds.status();
  auto pool = cuda::DevicePool::Make(options);
  if (!pool.ok()) return pool.status();

  // A shard is several batches: the parts of `problems` in turn, in another order for each lane.
  const int64_t row_blocks = std::min<int64_t>(options.batch_blocks, 512);
  const int64_t parts = context.small ? 1 : 16;
  const backend::EncodeSpec spec{profile, Fit::kOptimal, problems[0].levels};
  std::vector<std::vector<uint16_t>> shards(static_cast<size_t>(options.lanes_per_device));
  for (size_t s = 0; s < shards.size(); ++s) {
    for (size_t p = 0; p < static_cast<size_t>(parts); ++p) {
      const auto narrow = Bfloat16(problems[(s + p) % problems.size()].blocks);
      shards[s].insert(shards[s].end(), narrow.begin(), narrow.end());
    }
  }
  std::vector<absl::Status> statuses(shards.size());
  const auto run = [&](int rounds) {
    std::vector<std::jthread> threads;
    for (size_t s = 0; s < shards.size(); ++s) {
      threads.emplace_back([&, s] {
        const int64_t columns = row_blocks * profile.block;
        const backend::WeightRows rows{backend::WeightType::kBF16, std::ssize(shards[s]) / columns,
                                       columns,
                                       reinterpret_cast<const std::byte*>(shards[s].data()), 0};
        for (int i = 0; i < rounds && statuses[s].ok(); ++i) {
          auto lease = (*pool)->Take({});
          const backend::ShardTask task{&spec, rows};
          statuses[s] =
              lease.ok() ? lease->EncodeAll({&task, 1}, {}).front().status() : lease.status();
        }
      });
    }
  };
  run(1);  // lanes, tables, lists
  const int rounds = context.small ? 1 : 16;
  const Stopwatch timer;
  run(rounds);
  const double seconds = timer.seconds();
  for (const absl::Status& status : statuses) {
    if (!status.ok()) return status;
  }
  double weights = 0;
  for (const auto& shard : shards) weights += static_cast<double>(shard.size()) * rounds;
  ReportRate(context, profile, "pageable bfloat16 to planes, pool", weights, seconds, *bounds,
             {{"search", HowPoolSearches(profile)},
              {"batch_blocks", options.batch_blocks},
              {"lanes", options.lanes_per_device},
              {"shard_weights", shards[0].size()}});
  return absl::OkStatus();
}

}  // namespace seedlm::bench
