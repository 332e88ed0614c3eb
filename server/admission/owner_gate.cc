#include "server/admission/owner_gate.h"

#include <chrono>

#include "absl/strings/str_cat.h"
#include "server/errors/reason.h"

namespace seedlm::server {
namespace {

constexpr std::chrono::seconds kRetryAfter{5};

}  // namespace

absl::StatusOr<OwnerGate::Place> OwnerGate::Enter(std::string_view owner) {
  const std::lock_guard lock(mutex_);
  const auto found = counts_.find(owner);
  const int count = found == counts_.end() ? 0 : found->second;
  if (count >= max_of_owner_) {
    return WithRetryAfter(
        WithReason(absl::ResourceExhaustedError(absl::StrCat(
                       "the limit of ", max_of_owner_, " ", what_,
                       " of one owner at a time is reached: try again when one has ended")),
                   reason_, {{"limit", absl::StrCat(max_of_owner_)}}),
        kRetryAfter);
  }
  counts_[std::string(owner)] = count + 1;
  return Place(this, std::string(owner));
}

void OwnerGate::Leave(const std::string& owner) {
  const std::lock_guard lock(mutex_);
  const auto found = counts_.find(owner);
  if (--found->second == 0) counts_.erase(found);
}

}  // namespace seedlm::server
