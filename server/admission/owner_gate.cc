#include "server/admission/owner_gate.h"

#include <chrono>

#include "absl/strings/str_cat.h"
#include "server/errors/reason.h"

namespace seedlm::server {
namespace {

constexpr std::chrono::seconds kRetryAfter{5};

}  // namespace

absl::Status OwnerGate::Full(int limit, std::string_view whose, std::string_view reason) const {
  return WithRetryAfter(
      WithReason(absl::ResourceExhaustedError(
                     absl::StrCat("the limit of ", limit, " ", what_, " of ", std::string(whose),
                                  " at a time is reached: try again when one has ended")),
                 reason, {{"limit", absl::StrCat(limit)}}),
      kRetryAfter);
}

absl::StatusOr<OwnerGate::Place> OwnerGate::Enter(std::string_view owner) {
  const std::lock_guard lock(mutex_);
  const auto found = counts_.find(owner);
  const int count = found == counts_.end() ? 0 : found->second;
  if (count >= max_of_owner_) return Full(max_of_owner_, "one owner", reason_);
  if (count_ >= max_of_all_) return Full(max_of_all_, "this server", "SERVER_BUSY");
  counts_[std::string(owner)] = count + 1;
  ++count_;
  return Place(this, std::string(owner));
}

void OwnerGate::Leave(const std::string& owner) {
  const std::lock_guard lock(mutex_);
  const auto found = counts_.find(owner);
  if (--found->second == 0) counts_.erase(found);
  --count_;
}

}  // namespace seedlm::server
