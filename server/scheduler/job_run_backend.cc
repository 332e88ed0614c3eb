// JobRun: its backend, and what becomes of work that a device has lost.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/backend/level_choice.h"
#include "kernels/format/text.h"
#include "server/errors/reason.h"
#include "server/log/log_scope.h"
#include "server/scheduler/job_run.h"

namespace seedlm::server {
namespace {

// Of what a backend says UNAVAILABLE to.
constexpr int kMaxAttempts = 3;

// An error of the job's own backend that no other try could mend gets its reason.
absl::Status NameLoss(const backend::Backend& backend, const TensorRun& tensor,
                      absl::Status status) {
  if (!absl::IsUnavailable(status) || backend.Health().ok()) return status;
  return WithReason(std::move(status), "BACKEND_LOST", {{"tensor", tensor.info().name}});
}

}  // namespace

absl::StatusOr<codec::LevelTable> JobRun::ChooseLevels(const TensorRun& tensor,
                                                       const codec::NormHistogram& norms) {
  const JobSpec& spec = job_.request.spec;
  for (int attempt = 1;; ++attempt) {
    const std::shared_ptr<const backend::Backend> backend = Backend();
    const LogScope scope({{"tensor", tensor.info().name}, {"backend", backend->name()}});
    std::string warning;
    absl::StatusOr<codec::LevelTable> levels =
        backend::ChooseLevels(*backend, spec.profile, spec.fit, spec.scale, norms,
                              stop_.get_token(), tensor.spec().blocks_to_come, &warning);
    if (!warning.empty()) Warn(warning);
    if (levels.ok()) return levels;
    absl::Status status = CheckTryAgain(backend, tensor, "levels", attempt, levels.status());
    if (!status.ok()) return status;
  }
}

std::shared_ptr<const backend::Backend> JobRun::Backend() const {
  const std::lock_guard lock(mutex_);
  return backend_;
}

absl::Status JobRun::CheckTryAgain(const std::shared_ptr<const backend::Backend>& backend,
                                   const TensorRun& tensor, const std::string& what, int attempt,
                                   absl::Status status) {
  if (!absl::IsUnavailable(status)) return status;
  if (attempt == kMaxAttempts) return NameLoss(*backend, tensor, std::move(status));
  if (!backend->Health().ok() && Backend() == backend) {
    auto opened = context_.open_backend(job_.request.spec.backend);
    if (!opened.ok()) return NameLoss(*backend, tensor, std::move(status));
    const std::lock_guard lock(mutex_);
    backend_ = *std::move(opened);
  }
  Warn(absl::StrCat("tensor '", format::Printable(tensor.info().name), "', ", what, ": attempt ",
                    attempt, " of ", kMaxAttempts,
                    " was lost, it is queued again: ", std::string(status.message())));
  return absl::OkStatus();
}

void JobRun::GiveBack(const TakenShard& taken) {
  const std::lock_guard lock(mutex_);
  taken.tensor->GiveBack(taken.shard);
  bytes_to_hand_out_ += taken.shard.rows.row_count * taken.tensor->source_row_bytes();
  const auto at = std::find_if(tensors_.begin(), tensors_.end(),
                               [&](const auto& tensor) { return tensor.get() == taken.tensor; });
  cursor_ = std::min(cursor_, static_cast<size_t>(at - tensors_.begin()));
}

}  // namespace seedlm::server
