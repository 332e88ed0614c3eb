#include "server/scheduler/estimate.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <numeric>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/codec/bitpack.h"
#include "kernels/codec/level_design.h"
#include "kernels/registry/registry.h"
#include "server/scheduler/policy.h"
#include "server/scheduler/tensor_run.h"
#include "server/scheduler/work_identity.h"

namespace seedlm::server {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kDiskBlock = 4096;

// What a file takes of the disk: whole blocks, and one for its name and the like.
int64_t DiskBytes(int64_t size) { return (size / kDiskBlock + 2) * kDiskBlock; }

// Of the output's files beside its safetensors files.
std::vector<int64_t> CopiedSizes(const PlannedJob& job) {
  std::vector<int64_t> sizes;
  for (const auto& [path, content] : job.plan.rewritten) {
    sizes.push_back(static_cast<int64_t>(content.size()));
  }
  for (const std::string& path : job.plan.copied) {
    std::error_code error;
    const uintmax_t size = fs::file_size(absl::StrCat(job.checkpoint.path, "/", path), error);
    sizes.push_back(error ? 0 : static_cast<int64_t>(size));  // an error: the job will name it
  }
  return sizes;
}

// Of everything that the job writes, beyond the bytes of the output's safetensors files; `copied`:
// CopiedSizes.
int64_t ScratchBytes(const PlannedJob& job, const std::vector<int64_t>& copied) {
  // The staging directory, and a directory for each component of each path.
  int64_t bytes = DiskBytes(0);
  for (const std::string& path : PathsOf(job.plan)) {
    bytes += DiskBytes(0) * std::count(path.begin(), path.end(), '/');
  }
  for (const format::PlannedOutput& output : job.plan.outputs) {
    const auto size = static_cast<int64_t>(output.layout.file_size());
    bytes += DiskBytes(size) - size;
  }
  for (const int64_t size : copied) bytes += DiskBytes(size);
  return bytes;
}

// Words and level nibbles of a row: what grows with the weights.
int64_t CodeBytes(const codec::Profile& profile, int64_t columns) {
  const int64_t blocks = profile.blocks_per_row(columns);
  return blocks * static_cast<int64_t>(sizeof(uint32_t)) + codec::LevelRowBytes(profile, blocks);
}

// Blocks that norms keep, at most, and their bytes: every bin full.
constexpr int64_t kKeptBlocks =
    codec::NormHistogram::kBins * static_cast<int64_t>(codec::NormHistogram::kKept);
constexpr int64_t kHistogramBytes =
    static_cast<int64_t>(sizeof(codec::NormHistogram)) +
    kKeptBlocks * static_cast<int64_t>(sizeof(codec::NormHistogram::KeptBlock));

// Of the headers as text, names, shapes and places of all tensors, and what a run keeps of each.
int64_t PlanBytes(const format::CompressionPlan& plan, const format::Checkpoint& checkpoint) {
  constexpr int64_t kTimesHeader = 3;    // the text, the names, the names in order
  constexpr int64_t kTensorBytes = 512;  // beside its name
  int64_t header_bytes = 0;
  int64_t tensors = 0;
  for (const format::CheckpointFile& file : checkpoint.files) {
    header_bytes += static_cast<int64_t>(file.file->header_bytes());
    tensors += static_cast<int64_t>(file.file->tensors().size());
  }
  for (const format::PlannedOutput& output : plan.outputs) {
    header_bytes += static_cast<int64_t>(output.layout.header().size());
    tensors += static_cast<int64_t>(output.layout.tensors().size());
  }
  return kTimesHeader * header_bytes + kTensorBytes * tensors;
}

// Of the pieces of a phase: how many there are, and the largest.
struct PhasePieces {
  int64_t count = 0;
  int64_t bytes = 0;

  void Add(int64_t pieces, int64_t piece_bytes) {
    count += pieces;
    bytes = std::max(bytes, piece_bytes);
  }
  int64_t AtATime(int64_t workers) const { return std::min(workers, count) * bytes; }
};

// Shards, of which a worker has several at a time (StreamPieceBytes).
struct PhaseShards {
  int64_t count = 0;
  int64_t source_bytes = 0;
  int64_t largest = 0;  // of them, in bytes of the source, here and above padded to whole blocks
  // The most that a byte of the source brings with it.
  double codes_a_byte = 0, blocks_a_byte = 0;

  void Add(const TensorRun& run, int64_t code_bytes, int64_t blocks) {
    const auto row_bytes = static_cast<double>(run.padded_row_bytes());
    count += run.shards();
    source_bytes += run.rows() * run.padded_row_bytes();
    largest = std::max(largest, run.shard_rows() * run.padded_row_bytes());
    codes_a_byte = std::max(codes_a_byte, static_cast<double>(code_bytes) / row_bytes);
    blocks_a_byte = std::max(blocks_a_byte, static_cast<double>(blocks) / row_bytes);
  }
  // `most`: bytes of the source that a worker has, unless a shard is larger. `work`: bytes that it
  // takes for so many blocks, beside their source and codes.
  template <typename Work>
  int64_t AtATime(int64_t workers, int64_t most, const Work& work) const {
    const int64_t at_once = std::min(workers, count);
    if (at_once == 0) return 0;
    const int64_t share = source_bytes / at_once + 1;
    const int64_t bytes = std::max(largest, std::min(share, most));
    const auto times = [bytes](double a_byte) {
      return static_cast<int64_t>(std::ceil(static_cast<double>(bytes) * a_byte));
    };
    return at_once * (bytes + times(codes_a_byte) + work(times(blocks_a_byte)));
  }
};

// See the header.
void SetMemory(const PlannedJob& job, const WorkShape& shape, Estimate& estimate) {
  constexpr int64_t kBuffer = int64_t{2} << 20;  // for what is copied, or read back to be summed
  const format::CompressionPlan& plan = job.plan;
  const codec::Profile& profile = plan.options.profile;
  const auto search = [&](int64_t blocks) {
    return backend::PlannedMemory(shape.backend, profile, blocks);
  };
  PhasePieces measured, levels, copied;
  PhaseShards shards;
  for (const format::PlannedTensor& tensor : plan.tensors) {
    const auto bytes = static_cast<int64_t>(tensor.source->byte_size());
    if (!tensor.compressed) {
      copied.Add(Pieces{bytes, kCopyPieceBytes}.count(), kBuffer);
      continue;
    }
    const int64_t columns = tensor.source->shape[1];
    const TensorRun run(0, tensor, *job.checkpoint.files[tensor.file].file, plan.options,
                        shape.shard_weights);
    const int64_t row_bytes = run.source_row_bytes();
    const int64_t widened = 2 * columns * static_cast<int64_t>(sizeof(float));
    measured.Add(run.measures(), run.measure_rows() * row_bytes + widened + kHistogramBytes);
    levels.Add(1, kHistogramBytes + search(kKeptBlocks).call);
    shards.Add(run, CodeBytes(profile, columns), profile.blocks_per_row(columns));
  }
  const int64_t together =
      shape.shards_together * shape.shard_weights * static_cast<int64_t>(sizeof(float));
  const int64_t streamed = shards.AtATime(shape.workers, together, [&](int64_t blocks) {
    return kBuffer + search(blocks).call;  // with the last shard the planes are summed
  });
  const int64_t pieces = std::max(measured.AtATime(shape.workers) + levels.AtATime(shape.workers),
                                  streamed + copied.AtATime(shape.workers));
  const int64_t used = search(0).tables + PlanBytes(plan, job.checkpoint) + pieces;
  estimate.memory_bytes = used + used / 4;
  estimate.index_bytes = search(0).index;
}

}  // namespace

Estimate EstimateOf(const PlannedJob& job, const WorkShape& shape) {
  const format::CompressionPlan& plan = job.plan;
  Estimate estimate;
  estimate.weights = plan.weights;
  estimate.input_bytes = static_cast<int64_t>(plan.input_bytes);
  estimate.output_bytes = static_cast<int64_t>(plan.output_bytes);
  const std::vector<int64_t> copied = CopiedSizes(job);
  estimate.copied_files = static_cast<int64_t>(copied.size());
  estimate.copied_bytes = std::accumulate(copied.begin(), copied.end(), int64_t{0});
  estimate.scratch_bytes = ScratchBytes(job, copied);
  SetMemory(job, shape, estimate);
  const codec::Profile& profile = plan.options.profile;
  double code_bytes = 0;  // words and level nibbles: what grows with the weights
  for (const format::PlannedTensor& tensor : plan.tensors) {
    if (!tensor.compressed) {
      if (++estimate.skipped_count > static_cast<int64_t>(kMaxSkipped)) continue;
      estimate.skipped.push_back({tensor.source->name, tensor.why_not});
      continue;
    }
    code_bytes += static_cast<double>(tensor.source->shape[0]) *
                  static_cast<double>(CodeBytes(profile, tensor.source->shape[1]));
  }
  if (plan.weights > 0) {
    estimate.bits_per_weight = 8 * code_bytes / static_cast<double>(plan.weights);
  }
  return estimate;
}

}  // namespace seedlm::server
