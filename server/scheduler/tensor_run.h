// One tensor on its way through a job: which of its rows are handed out, what they summed to.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/backend/shard.h"
#include "kernels/codec/level_design.h"
#include "kernels/format/compression_plan.h"
#include "server/jobs/job.h"
#include "server/jobs/job_work.h"
#include "server/scheduler/policy.h"
#include "server/workers/tensor_work.h"

namespace seedlm::server {

// Not thread-safe. The results do not depend on the order in which pieces are finished: histograms
// are counts, and the sums of the shards are added in the order of their rows.
class TensorRun {
 public:
  // `shard_weights`: of a shard of float32; one of a narrower type has as many bytes, so more
  // weights. `weights_to_come`: of the whole job, see EncodeSpec::blocks_to_come; 0: not known.
  // `id`: index into CompressionPlan::tensors, under which work is recorded.
  // REQUIRES: `tensor` is a compressed one of the plan, which outlives this.
  TensorRun(int64_t id, const format::PlannedTensor& tensor, const format::SafetensorsFile& file,
            const format::CompressionOptions& options, int64_t shard_weights,
            int64_t weights_to_come = 0);

  // Takes over what an earlier attempt recorded of this tensor. REQUIRES: nothing was taken yet.
  void Restore(const JobWork& work);

  int64_t id() const { return id_; }
  const format::TensorInfo& info() const { return *tensor_->source; }
  size_t output() const { return tensor_->file; }
  int64_t rows() const { return tensor_->source->shape[0]; }
  int64_t columns() const { return tensor_->source->shape[1]; }
  int64_t shards() const { return shards_.count(); }
  int64_t measures() const { return measures_.count(); }  // 0 if the levels were restored
  const backend::EncodeSpec& spec() const { return spec_; }
  int64_t shard_rows() const { return shards_.size; }      // at most
  int64_t measure_rows() const { return measures_.size; }  // at most
  int64_t source_row_bytes() const;
  // As it is worked on: padded to whole blocks. A row of one weight is a block all the same.
  int64_t padded_row_bytes() const;
  int64_t packed_row_bytes() const;  // in the planes of words and levels

  // ---- First pass: norms.
  bool HasMeasure() const { return next_measure_ < measures_.count(); }
  TensorRows TakeMeasure();  // REQUIRES: HasMeasure()
  // True: that was the last piece; the histogram is whole.
  bool AddMeasure(const codec::NormHistogram& part);
  // Gives up the histogram. REQUIRES: it is whole.
  std::unique_ptr<codec::NormHistogram> TakeHistogram() { return std::move(histogram_); }
  void SetLevels(const codec::LevelTable& levels) { spec_.levels = levels; }
  // An earlier attempt has told of the tensor's end.
  bool was_finished() const { return was_finished_; }

  // ---- Second pass: codes. REQUIRES: the levels are set.
  struct Shard {
    int64_t index = 0;
    TensorRows rows;
    // An earlier attempt did it, if its bytes are still there.
    std::optional<PieceRecord> recorded = {};
    int attempt = 1;
  };
  bool HasShard() const { return !given_back_.empty() || next_shard_ < shards_.count(); }
  int64_t next_shard_rows() const;  // REQUIRES: HasShard()
  Shard TakeShard();                // REQUIRES: HasShard()
  // It was not done: TakeShard gives it again, as its next attempt.
  void GiveBack(Shard shard);
  // True: that was the last one.
  bool AddShard(const PieceRecord& shard);
  // `backend`: of shards whose record does not tell. REQUIRES: all shards are added.
  TensorResult Result(std::string_view backend, PlaneSummary planes) const;

 private:
  TensorRows Rows(const Pieces& pieces, int64_t piece) const;

  int64_t id_;
  const format::PlannedTensor* tensor_;
  const format::SafetensorsFile* file_;
  backend::EncodeSpec spec_;
  Pieces measures_;
  int64_t next_measure_ = 0;
  int64_t measures_done_ = 0;
  std::unique_ptr<codec::NormHistogram> histogram_;  // from the first piece to the design
  Pieces shards_;
  int64_t next_shard_ = 0;
  int64_t shards_done_ = 0;
  std::vector<Shard> given_back_;
  std::vector<PieceRecord> done_;            // by shard; from the first shard on
  std::map<int64_t, PieceRecord> recorded_;  // by shard; what Restore took over
  bool was_finished_ = false;
};

}  // namespace seedlm::server
