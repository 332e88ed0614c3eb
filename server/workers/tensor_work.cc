#include "server/workers/tensor_work.h"

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cstring>
#include <span>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/backend/weight_blocks.h"
#include "kernels/checksum/crc32c.h"
#include "kernels/checksum/sha256.h"
#include "kernels/codec/bitpack.h"
#include "kernels/format/packed_tensor.h"
#include "kernels/format/text.h"
#include "server/errors/reason.h"

namespace seedlm::server {
namespace {

static_assert(std::endian::native == std::endian::little,
              "planes are written as they lie in memory");

constexpr size_t kReadBackBytes = size_t{1} << 20;
constexpr size_t kCopyBytes = size_t{1} << 20;

// The same error with file and tensor in front, payloads kept.
absl::Status InTensor(const absl::Status& status, const format::SafetensorsFile& file,
                      const format::TensorInfo& tensor) {
  absl::Status named(status.code(),
                     absl::StrCat(format::Printable(file.path()), ": tensor '",
                                  format::Printable(tensor.name), "': ", status.message()));
  status.ForEachPayload(
      [&](const auto& url, const absl::Cord& value) { named.SetPayload(url, value); });
  return named;
}

absl::StatusOr<backend::WeightType> WeightTypeOf(format::DType type) {
  switch (type) {
    case format::DType::kF32:
      return backend::WeightType::kF32;
    case format::DType::kF16:
      return backend::WeightType::kF16;
    case format::DType::kBF16:
      return backend::WeightType::kBF16;
    default:
      return absl::InternalError("its type cannot be compressed, and the plan says it can");
  }
}

int64_t RowBytes(const format::TensorInfo& tensor) {
  return static_cast<int64_t>(tensor.byte_size()) / tensor.shape[0];
}

struct LoadedRows {
  std::vector<std::byte> bytes;
  backend::WeightRows weights;  // points into bytes
};

absl::StatusOr<LoadedRows> Load(const TensorRows& rows) {
  const absl::StatusOr<backend::WeightType> type = WeightTypeOf(rows.tensor->dtype);
  if (!type.ok()) return InTensor(type.status(), *rows.file, *rows.tensor);
  const int64_t row_bytes = RowBytes(*rows.tensor);
  LoadedRows loaded;
  loaded.bytes.resize(static_cast<size_t>(rows.row_count * row_bytes));
  absl::Status status = rows.file->Read(
      *rows.tensor, static_cast<uint64_t>(rows.first_row * row_bytes), loaded.bytes);
  if (!status.ok()) return status;
  loaded.weights = {*type, rows.row_count, rows.tensor->shape[1], loaded.bytes.data(),
                    rows.first_row};
  return loaded;
}

// All bits of the exponent set: NaN or infinite.
bool IsFinite(backend::WeightType type, const std::byte* weight) {
  uint32_t bits = 0;
  std::memcpy(&bits, weight, static_cast<size_t>(backend::ByteWidth(type)));
  const uint32_t exponent = type == backend::WeightType::kF32   ? 0x7F800000u
                            : type == backend::WeightType::kF16 ? 0x7C00u
                                                                : 0x7F80u;
  return (bits & exponent) != exponent;
}

// `status` with the place of the first weight that is not finite, for programs.
absl::Status NotFinite(absl::Status status, const TensorRows& rows,
                       const backend::WeightRows& weights) {
  const int64_t width = backend::ByteWidth(weights.type);
  int64_t index = 0;
  while (index < weights.rows * weights.columns &&
         IsFinite(weights.type, weights.data + index * width)) {
    ++index;
  }
  const int64_t place = weights.first_row * weights.columns + index;
  const uint64_t offset =
      rows.file->FileOffset(*rows.tensor) + static_cast<uint64_t>(place * width);
  return WithReason(
      std::move(status), "WEIGHT_NOT_FINITE",
      {{"tensor", rows.tensor->name},
       {"row", std::string(absl::StrCat(weights.first_row + index / weights.columns))},
       {"column", std::string(absl::StrCat(index % weights.columns))},
       {"offset", std::string(absl::StrCat(offset))}});
}

// `levels`: counts the plane, if not null.
absl::Status SumPlane(const TensorOutput& out, const std::string& plane, checksum::Sha256& sum,
                      LevelCounter* levels, std::stop_token stop) {
  const uint64_t size = out.sink->layout(out.output).Find(plane).byte_size();
  std::vector<std::byte> buffer(std::min<uint64_t>(kReadBackBytes, size));
  for (uint64_t offset = 0; offset < size; offset += buffer.size()) {
    if (stop.stop_requested()) return absl::CancelledError("stopped on request");
    buffer.resize(std::min<uint64_t>(buffer.size(), size - offset));
    if (absl::Status status = out.sink->Read(out.output, plane, offset, buffer); !status.ok()) {
      return status;
    }
    sum.Update(buffer);
    if (levels != nullptr) levels->Add(buffer);
  }
  return absl::OkStatus();
}

double WeightsOf(const TensorRows& rows) {
  return static_cast<double>(rows.row_count) * static_cast<double>(rows.tensor->shape[1]);
}

// What was encoded goes to its place in the output.
absl::StatusOr<ShardSums> Write(const backend::Backend& backend, const ShardWork& work,
                                const absl::StatusOr<backend::EncodedShard>& shard) {
  const auto& [spec, rows, out] = work;
  if (!shard.ok()) return InTensor(shard.status(), *rows.file, *rows.tensor);
  const format::PlaneNames names(rows.tensor->name);
  const int64_t blocks = spec->profile.blocks_per_row(rows.tensor->shape[1]);
  const int64_t level_bytes = codec::LevelRowBytes(spec->profile, blocks);
  absl::Status status = out.sink->Write(
      out.output, names.packed, static_cast<uint64_t>(rows.first_row * blocks) * sizeof(uint32_t),
      std::as_bytes(std::span(shard->words)));
  if (status.ok() && level_bytes > 0) {
    status = out.sink->Write(out.output, names.level,
                             static_cast<uint64_t>(rows.first_row * level_bytes),
                             std::as_bytes(std::span(shard->levels)));
  }
  if (!status.ok()) return status;
  uint32_t crc = checksum::ExtendCrc32c(0, std::as_bytes(std::span(shard->words)));
  if (level_bytes > 0) crc = checksum::ExtendCrc32c(crc, std::as_bytes(std::span(shard->levels)));
  return ShardSums{
      .squared_error = shard->squared_error,
      .squared_weights = shard->squared_weights,
      .max_error = shard->max_error,
      .crc32c = crc,
      .search = shard->search,
      .warning = shard->warning,
      .device = shard->device,
      .backend = shard->backend.empty() ? std::string(backend.name()) : shard->backend};
}

// `crc` extended by bytes of the output.
absl::StatusOr<uint32_t> ExtendSum(std::string_view tensor, uint64_t offset, uint64_t length,
                                   const TensorOutput& out, uint32_t crc) {
  std::vector<std::byte> buffer(std::min<uint64_t>(kReadBackBytes, length));
  while (length > 0) {
    buffer.resize(std::min<uint64_t>(buffer.size(), length));
    absl::Status status = out.sink->Read(out.output, tensor, offset, buffer);
    if (!status.ok()) return status;
    crc = checksum::ExtendCrc32c(crc, buffer);
    offset += buffer.size();
    length -= buffer.size();
  }
  return crc;
}

}  // namespace

absl::Status MeasureRows(const codec::Profile& profile, const TensorRows& rows,
                         codec::NormHistogram& histogram) {
  const absl::StatusOr<LoadedRows> loaded = Load(rows);
  if (!loaded.ok()) return loaded.status();
  absl::Status status = backend::AddBlockNorms(profile, loaded->weights, histogram);
  if (status.ok()) return status;
  status = InTensor(status, *rows.file, *rows.tensor);
  return absl::IsInvalidArgument(status) ? NotFinite(std::move(status), rows, loaded->weights)
                                         : status;
}

std::vector<absl::StatusOr<ShardSums>> EncodeShards(const backend::Backend& backend,
                                                    std::span<const ShardWork> shards,
                                                    std::stop_token stop) {
  std::vector<absl::StatusOr<LoadedRows>> loaded;
  std::vector<backend::ShardTask> tasks;  // of those that were read
  double weights = 0;
  for (const ShardWork& shard : shards) {
    loaded.push_back(Load(shard.rows));
    if (!loaded.back().ok()) continue;
    tasks.push_back({shard.spec, loaded.back()->weights});
    weights += WeightsOf(shard.rows);
  }
  const auto start = std::chrono::steady_clock::now();
  backend::Backend::Results encoded = backend.EncodeAll(tasks, std::move(stop));
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;

  std::vector<absl::StatusOr<ShardSums>> results;
  auto next = encoded.begin();
  for (size_t i = 0; i < shards.size(); ++i) {
    if (!loaded[i].ok()) {
      results.push_back(loaded[i].status());
      continue;
    }
    results.push_back(Write(backend, shards[i], *next++));
    if (!results.back().ok()) continue;
    results.back()->seconds = seconds.count() * WeightsOf(shards[i].rows) / weights;
  }
  return results;
}

absl::StatusOr<uint32_t> SumRows(const codec::Profile& profile, const TensorRows& rows,
                                 const TensorOutput& out) {
  const format::PlaneNames names(rows.tensor->name);
  const int64_t blocks = profile.blocks_per_row(rows.tensor->shape[1]);
  const auto sum = [&](const std::string& plane, int64_t row_bytes, uint32_t crc) {
    return ExtendSum(plane, static_cast<uint64_t>(rows.first_row * row_bytes),
                     static_cast<uint64_t>(rows.row_count * row_bytes), out, crc);
  };
  const absl::StatusOr<uint32_t> words =
      sum(names.packed, blocks * static_cast<int64_t>(sizeof(uint32_t)), 0);
  const int64_t level_bytes = codec::LevelRowBytes(profile, blocks);
  return words.ok() && level_bytes > 0 ? sum(names.level, level_bytes, *words) : words;
}

std::vector<std::string> PlanesOf(const codec::Profile& profile, const format::TensorInfo& tensor) {
  const format::PlaneNames names(tensor.name);
  if (profile.level_in_word()) return {names.packed, names.scale, names.shape};
  return {names.packed, names.level, names.scale, names.shape};
}

absl::Status WriteScales(const backend::EncodeSpec& spec, const format::TensorInfo& tensor,
                         const TensorOutput& out) {
  const format::PlaneNames names(tensor.name);
  const std::array<int64_t, 2> shape{tensor.shape[0], tensor.shape[1]};
  absl::Status status =
      out.sink->Write(out.output, names.scale, 0, std::as_bytes(std::span(spec.levels.scale)));
  if (!status.ok()) return status;
  return out.sink->Write(out.output, names.shape, 0, std::as_bytes(std::span(shape)));
}

absl::StatusOr<PlaneSummary> SumPlanes(const codec::Profile& profile,
                                       const format::TensorInfo& tensor, const TensorOutput& out,
                                       std::stop_token stop) {
  const format::PlaneNames names(tensor.name);
  const std::string& with_levels = profile.level_in_word() ? names.packed : names.level;
  LevelCounter levels(profile, tensor.shape[1]);
  checksum::Sha256 sum;
  for (const std::string& plane : PlanesOf(profile, tensor)) {
    absl::Status status = SumPlane(out, plane, sum, plane == with_levels ? &levels : nullptr, stop);
    if (!status.ok()) return status;
  }
  return PlaneSummary{sum.HexDigest(), levels.blocks()};
}

absl::StatusOr<uint32_t> CopyBytes(const format::SafetensorsFile& file,
                                   const format::TensorInfo& tensor, uint64_t offset,
                                   uint64_t length, const TensorOutput& out) {
  std::vector<std::byte> buffer(std::min<uint64_t>(kCopyBytes, length));
  uint32_t crc = 0;
  while (length > 0) {
    buffer.resize(std::min<uint64_t>(buffer.size(), length));
    absl::Status status = file.Read(tensor, offset, buffer);
    if (status.ok()) status = out.sink->Write(out.output, tensor.name, offset, buffer);
    if (!status.ok()) return status;
    crc = checksum::ExtendCrc32c(crc, buffer);
    offset += buffer.size();
    length -= buffer.size();
  }
  return crc;
}

absl::StatusOr<uint32_t> SumBytes(std::string_view tensor, uint64_t offset, uint64_t length,
                                  const TensorOutput& out) {
  return ExtendSum(tensor, offset, length, out, 0);
}

}  // namespace seedlm::server
