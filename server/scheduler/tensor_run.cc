#include "server/scheduler/tensor_run.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_join.h"
#include "kernels/codec/bitpack.h"

namespace seedlm::server {
namespace {

// Norms cost little: larger pieces than shards.
constexpr int64_t kMeasureWeights = int64_t{1} << 20;
// N_scale and N_shape: 16 float32 and two int64.
constexpr int64_t kScaleAndShapeBytes = 16 * sizeof(float) + 2 * sizeof(int64_t);

}  // namespace

TensorRun::TensorRun(int64_t id, const format::PlannedTensor& tensor,
                     const format::SafetensorsFile& file, const format::CompressionOptions& options,
                     int64_t shard_weights, int64_t weights_to_come)
    : id_(id),
      tensor_(&tensor),
      file_(&file),
      spec_{options.profile, options.fit, {}, weights_to_come / options.profile.block},
      measures_(RowPieces(rows(), columns(), kMeasureWeights)),
      shards_(RowPieces(rows(), padded_row_bytes(),
                        shard_weights * static_cast<int64_t>(sizeof(float)))) {}

int64_t TensorRun::source_row_bytes() const {
  return rows() == 0 ? 0 : static_cast<int64_t>(info().byte_size()) / rows();
}

int64_t TensorRun::padded_row_bytes() const {
  const int64_t padded = spec_.profile.blocks_per_row(columns()) * spec_.profile.block;
  return padded * format::BitWidth(info().dtype) / 8;
}

int64_t TensorRun::packed_row_bytes() const {
  const int64_t blocks = spec_.profile.blocks_per_row(columns());
  return blocks * static_cast<int64_t>(sizeof(uint32_t)) +
         codec::LevelRowBytes(spec_.profile, blocks);
}

void TensorRun::Restore(const JobWork& work) {
  const auto levels = work.levels.find(id_);
  if (levels == work.levels.end()) return;  // shards are not encoded before there are levels
  spec_.levels = levels->second;
  measures_ = {0, 1};
  for (int64_t shard = 0; shard < shards_.count(); ++shard) {
    const auto piece = work.pieces.find({id_, shard});
    if (piece != work.pieces.end()) recorded_.emplace(shard, piece->second);
  }
  was_finished_ = work.finished.contains(id_);
}

TensorRows TensorRun::Rows(const Pieces& pieces, int64_t piece) const {
  return {file_, tensor_->source, pieces.begin(piece), pieces.length(piece)};
}

TensorRows TensorRun::TakeMeasure() { return Rows(measures_, next_measure_++); }

bool TensorRun::AddMeasure(const codec::NormHistogram& part) {
  if (histogram_ == nullptr) histogram_ = std::make_unique<codec::NormHistogram>();
  histogram_->Merge(part);
  return ++measures_done_ == measures_.count();
}

int64_t TensorRun::next_shard_rows() const {
  return given_back_.empty() ? shards_.length(next_shard_) : given_back_.back().rows.row_count;
}

TensorRun::Shard TensorRun::TakeShard() {
  if (!given_back_.empty()) {
    Shard shard = std::move(given_back_.back());
    given_back_.pop_back();
    return shard;
  }
  done_.resize(static_cast<size_t>(shards_.count()));
  const int64_t index = next_shard_++;
  Shard shard{index, Rows(shards_, index), {}};
  if (const auto it = recorded_.find(index); it != recorded_.end()) shard.recorded = it->second;
  return shard;
}

void TensorRun::GiveBack(Shard shard) {
  ++shard.attempt;
  given_back_.push_back(std::move(shard));
}

bool TensorRun::AddShard(const PieceRecord& shard) {
  done_[static_cast<size_t>(shard.piece)] = shard;
  return ++shards_done_ == shards_.count();
}

TensorResult TensorRun::Result(std::string_view backend, PlaneSummary planes) const {
  PieceRecord total;
  std::vector<std::string> backends;  // each once, in the order of the rows
  for (const PieceRecord& shard : done_) {
    const std::string by = shard.backend.empty() ? std::string(backend) : shard.backend;
    if (std::find(backends.begin(), backends.end(), by) == backends.end()) backends.push_back(by);
    total.squared_error += shard.squared_error;
    total.squared_weights += shard.squared_weights;
    total.max_error = std::max(total.max_error, shard.max_error);
    total.seconds += shard.seconds;
  }
  TensorResult result;
  result.name = info().name;
  result.rows = rows();
  result.columns = columns();
  if (total.squared_weights > 0) {
    result.relative_error = std::sqrt(total.squared_error / total.squared_weights);
  }
  result.max_error = total.max_error;
  result.bits_per_weight =
      8.0 * static_cast<double>(packed_row_bytes()) / static_cast<double>(columns());
  result.seconds = total.seconds;
  result.backend = absl::StrJoin(backends, "+");
  result.sha256 = std::move(planes.sha256);
  result.squared_error = total.squared_error;
  result.squared_weights = total.squared_weights;
  result.source_bytes = static_cast<int64_t>(info().byte_size());
  result.packed_bytes = rows() * packed_row_bytes() + kScaleAndShapeBytes;
  result.level_blocks.assign(planes.level_blocks.begin(), planes.level_blocks.end());
  return result;
}

}  // namespace seedlm::server
