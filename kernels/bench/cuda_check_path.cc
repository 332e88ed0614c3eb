#include "kernels/bench/cuda_check_path.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/backend/weight_blocks.h"
#include "kernels/bench/cuda_check_reference.h"
#include "kernels/bench/cuda_check_search.h"
#include "kernels/bench/cuda_check_weights.h"
#include "kernels/cuda/cuda_raii.h"
#include "kernels/cuda/device_pool.h"
#include "kernels/cuda/encode_batch.h"

namespace seedlm::bench {
namespace {

using backend::EncodedShard;
using backend::WeightRows;
using backend::WeightType;
using codec::Profile;
using cuda::SearchMethod;
using nlohmann::ordered_json;

// A tensor whose weights are the same in all types, and what the host makes of it.
struct Tensor {
  backend::EncodeSpec spec;
  int64_t rows, columns;
  std::vector<float> weights;
  std::vector<EncodedShard> expected;  // [rows]

  WeightRows Part(WeightType type, const std::vector<std::byte>& bytes, int64_t first,
                  int64_t count) const {
    return {type, count, columns, bytes.data() + first * columns * backend::ByteWidth(type), first};
  }
};

absl::StatusOr<Tensor> MakeTensor(const Context& context, const Profile& profile) {
  const int64_t rows = context.small ? 5 : 256, per_row = context.small ? 5 : 1001;
  Tensor tensor{{profile, codec::Fit::kOptimal, {}, rows * per_row},
                rows,
                per_row * profile.block - 3,
                {},
                {}};
  // Multiples of 2^-12 below 2^-4: eight bits.
  std::mt19937 bits(7);
  std::normal_distribution<float> normal(0, 0.02f * 0x1p12f);
  tensor.weights.resize(static_cast<size_t>(rows * tensor.columns));
  for (float& w : tensor.weights) {
    w = std::clamp(std::round(normal(bits)), -255.0f, 255.0f) * 0x1p-12f;
  }
  const std::vector<std::byte> bytes = Narrowed(WeightType::kF32, tensor.weights);
  const WeightRows all = tensor.Part(WeightType::kF32, bytes, 0, rows);
  codec::NormHistogram histogram;
  absl::Status status = backend::AddBlockNorms(profile, all, histogram);
  if (!status.ok()) return status;
  tensor.spec.levels = codec::DesignLevels(profile, codec::ScaleRule::kFitted, histogram);
  auto expected = EncodeRowsOnHost(tensor.spec, all, context.threads);
  if (!expected.ok()) return expected.status();
  tensor.expected = *std::move(expected);
  return tensor;
}

// Blocks whose word or level differs, and one more for losses that do.
int64_t Differences(const Tensor& tensor, int64_t first_row, const EncodedShard& got) {
  const int64_t per_row = tensor.spec.profile.blocks_per_row(tensor.columns);
  int64_t differences = 0;
  EncodedShard sums;
  for (size_t at = 0, level_at = 0, row = static_cast<size_t>(first_row); at < got.words.size();
       ++row) {
    const EncodedShard& expected = tensor.expected[row];
    for (const uint32_t word : expected.words) differences += word != got.words[at++];
    for (const uint8_t level : expected.levels) {
      differences += level_at >= got.levels.size() || level != got.levels[level_at++];
    }
    sums.squared_error += expected.squared_error;
    sums.squared_weights += expected.squared_weights;
    sums.max_error = std::max(sums.max_error, expected.max_error);
  }
  constexpr double kOrder = 1e-12;  // a row that is cut into pieces is summed by pieces
  differences += static_cast<int64_t>(got.words.size()) % per_row;
  differences += !Near(sums.squared_error, got.squared_error, kOrder) ||
                 !Near(sums.squared_weights, got.squared_weights, kOrder) ||
                 sums.max_error != got.max_error;
  return differences;
}

void ReportPlanes(const Context& context, const Tensor& tensor, ordered_json more) {
  ordered_json record{{"check", "planes and losses = host"},
                      {"profile", std::string(tensor.spec.profile.name)}};
  record.update(more);
  context.emit("checks", record);
}

// How a tensor goes through a pool.
struct Way {
  int lanes;  // two streams each
  int64_t batch_blocks;
  int64_t shard_rows;
  WeightType type;
};

absl::Status CheckPool(Context& context, const Tensor& tensor, const Way& way) {
  auto pool = cuda::DevicePool::Make({SearchMethod::kCells, way.batch_blocks, way.lanes});
  if (!pool.ok()) return pool.status();
  const std::vector<std::byte> bytes = Narrowed(way.type, tensor.weights);
  const int64_t shards = (tensor.rows + way.shard_rows - 1) / way.shard_rows;
  std::vector<absl::Status> statuses(static_cast<size_t>(way.lanes));
  std::vector<int64_t> differences(static_cast<size_t>(way.lanes));
  std::string search;
  const auto encode = [&](int lane) -> absl::Status {
    for (int64_t i = lane; i < shards; i += way.lanes) {
      auto lease = (*pool)->Take({});
      if (!lease.ok()) return lease.status();
      const int64_t first = i * way.shard_rows;
      const WeightRows part =
          tensor.Part(way.type, bytes, first, std::min(way.shard_rows, tensor.rows - first));
      const backend::ShardTask task{&tensor.spec, part};
      const auto shard = std::move(lease->EncodeAll({&task, 1}, {}).front());
      if (!shard.ok()) return shard.status();
      differences[static_cast<size_t>(lane)] += Differences(tensor, first, *shard);
      if (lane == 0) search = shard->search;
    }
    return absl::OkStatus();
  };
  {
    std::vector<std::jthread> threads;
    for (int lane = 0; lane < way.lanes; ++lane) {
      threads.emplace_back([&, lane] { statuses[static_cast<size_t>(lane)] = encode(lane); });
    }
  }
  int64_t all = 0;
  for (int lane = 0; lane < way.lanes; ++lane) {
    if (!statuses[static_cast<size_t>(lane)].ok()) return statuses[static_cast<size_t>(lane)];
    all += differences[static_cast<size_t>(lane)];
  }
  ReportPlanes(context, tensor,
               {{"type", Name(way.type)},
                {"way", absl::StrCat("pool, ", search)},
                {"streams", 2 * way.lanes},
                {"batch_blocks", way.batch_blocks},
                {"shard_rows", way.shard_rows},
                {"blocks", tensor.spec.blocks_to_come},
                {"differences", all}});
  return absl::OkStatus();
}

// The whole tensor as one batch, on one stream.
absl::Status CheckBatch(Context& context, const Tensor& tensor, SearchMethod method,
                        WeightType type) {
  const Profile& profile = tensor.spec.profile;
  const cuda::BatchRows rows{type, tensor.rows, tensor.columns,
                             profile.blocks_per_row(tensor.columns)};
  const cuda::ResultLayout layout(profile, rows);
  auto stream = cuda::MakeStream();
  if (!stream.ok()) return stream.status();
  auto source = cuda::MakePinnedMemory(static_cast<size_t>(rows.bytes()));
  if (!source.ok()) return source.status();
  auto result = cuda::MakePinnedMemory(layout.bytes);
  if (!result.ok()) return result.status();
  auto memory = cuda::MakeDeviceMemory(cuda::BatchDeviceBytes(profile, rows.count()));
  if (!memory.ok()) return memory.status();
  const DeviceSearch device(profile, 1, context.processors);  // for its tables
  if (!device.status().ok()) return device.status();
  const std::vector<std::byte> bytes = Narrowed(type, tensor.weights);
  std::memcpy(source->get(), bytes.data(), bytes.size());
  cudaError_t error = cuda::QueueBatch(
      method, tensor.spec, rows, device.tables(), context.processors,
      static_cast<const std::byte*>(source->get()), static_cast<std::byte*>(memory->get()),
      static_cast<std::byte*>(result->get()), stream->get());
  const cudaError_t ended = cudaStreamSynchronize(stream->get());
  if (error == cudaSuccess) error = ended;
  if (error != cudaSuccess) return cuda::ToStatus(error, "searching a batch");

  const auto* from = static_cast<const std::byte*>(result->get());
  EncodedShard shard;
  shard.words.resize(static_cast<size_t>(rows.count()));
  shard.levels.resize(layout.bytes - layout.levels);
  std::memcpy(shard.words.data(), from + layout.words, layout.levels - layout.words);
  if (!shard.levels.empty()) {
    std::memcpy(shard.levels.data(), from + layout.levels, shard.levels.size());
  }
  for (int64_t r = 0; r < rows.rows; ++r) {
    cuda::Loss loss;
    std::memcpy(&loss, from + layout.losses + static_cast<size_t>(r) * sizeof loss, sizeof loss);
    shard.squared_error += loss.squared_error;
    shard.squared_weights += loss.squared_weights;
    shard.max_error = std::max(shard.max_error, loss.max_error);
  }
  unsigned long long first_bad;
  std::memcpy(&first_bad, from + layout.first_bad, sizeof first_bad);
  ReportPlanes(
      context, tensor,
      {{"type", Name(type)},
       {"way", absl::StrCat("one batch, ", bench::Name(method))},
       {"rung", Rung(method)},
       {"streams", 1},
       {"blocks", rows.count()},
       {"differences", Differences(tensor, 0, shard) + (first_bad == cuda::kAllFinite ? 0 : 1)}});
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckPlanes(Context& context, const Profile& profile) {
  auto tensor = MakeTensor(context, profile);
  if (!tensor.ok()) return tensor.status();
  for (const SearchMethod method : kRungs) {
    if (!HasRung(profile, method) || !context.IsRight(profile, method)) continue;
    if (context.small && method != SearchMethod::kSliding) continue;
    const WeightType type = kTypes[static_cast<size_t>(method) % std::size(kTypes)];
    if (absl::Status status = CheckBatch(context, *tensor, method, type); !status.ok()) {
      return status;
    }
  }
  const std::vector<Way> ways =
      context.small ? std::vector<Way>{{1, 12, 5, WeightType::kF16}, {2, 4, 2, WeightType::kBF16}}
                    : std::vector<Way>{{1, 1 << 16, 256, WeightType::kBF16},
                                       {2, 1 << 16, 64, WeightType::kF16},
                                       {4, 1 << 16, 16, WeightType::kF32},
                                       {2, 2048, 7, WeightType::kBF16},
                                       {4, 500, 64, WeightType::kBF16}};  // pieces of rows
  for (const Way& way : ways) {
    if (absl::Status status = CheckPool(context, *tensor, way); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace seedlm::bench
