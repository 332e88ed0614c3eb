#include "server/scheduler/policy.h"

#include <algorithm>
#include <chrono>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "kernels/format/text.h"
#include "server/errors/reason.h"

namespace seedlm::server {
namespace {

constexpr std::chrono::seconds kQueueRetry{10};

}  // namespace

std::optional<size_t> PickJob(std::span<const JobView> jobs) {
  std::optional<size_t> best;
  for (size_t i = 0; i < jobs.size(); ++i) {
    if (!jobs[i].has_work) continue;
    const auto rank = [&](size_t job) {  // less is sooner
      return std::tuple(jobs[job].served, -jobs[job].priority, jobs[job].order);
    };
    if (!best.has_value() || rank(i) < rank(*best)) best = i;
  }
  return best;
}

int64_t StreamPieceBytes(int64_t left, int64_t workers, int64_t most) {
  return std::min(left / std::max<int64_t>(1, workers), most);
}

Pieces RowPieces(int64_t rows, int64_t columns, int64_t weights) {
  return {rows, std::clamp<int64_t>(weights / columns, 1, rows)};
}

absl::Status CheckRowLengths(const format::CompressionPlan& plan) {
  for (const format::PlannedTensor& tensor : plan.tensors) {
    if (!tensor.compressed || tensor.source->shape[1] <= kMaxRowWeights) continue;
    return WithReason(
        absl::InvalidArgumentError(absl::StrCat(
            "tensor '", format::Printable(tensor.source->name), "': rows of ",
            tensor.source->shape[1], " weights; a row is worked on whole, and may have ",
            kMaxRowWeights, " (16 MiB as float32) at most: exclude the tensor")),
        "ROW_TOO_LONG", {{"field", "job.spec.selection.exclude"}, {"tensor", tensor.source->name}});
  }
  return absl::OkStatus();
}

absl::Status CheckQueue(int64_t active_jobs, int64_t max_active_jobs) {
  if (active_jobs < max_active_jobs) return absl::OkStatus();
  return WithRetryAfter(
      WithReason(absl::ResourceExhaustedError(
                     absl::StrCat(active_jobs,
                                  " jobs are waiting or running, the limit of this server: try "
                                  "again later")),
                 "QUEUE_FULL"),
      kQueueRetry);
}

absl::Status CheckOwnerQueue(int64_t active_jobs, int64_t max_owner_jobs) {
  if (active_jobs < max_owner_jobs) return absl::OkStatus();
  return WithRetryAfter(
      WithReason(absl::ResourceExhaustedError(
                     absl::StrCat(active_jobs,
                                  " jobs of this owner are waiting or running, the limit of one "
                                  "owner: try again when one has ended")),
                 "OWNER_QUEUE_FULL", {{"limit", absl::StrCat(max_owner_jobs)}}),
      kQueueRetry);
}

}  // namespace seedlm::server
