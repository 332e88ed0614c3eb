#include "server/scheduler/owner_shares.h"

#include <algorithm>

namespace seedlm::server {

void OwnerShares::Enter(const std::string& owner) {
  const auto it = shares_.find(owner);
  if (it != shares_.end()) {
    ++it->second.jobs;
    return;
  }
  const auto least = std::min_element(
      shares_.begin(), shares_.end(),
      [](const auto& a, const auto& b) { return a.second.served < b.second.served; });
  shares_.emplace(owner, Share{1, least == shares_.end() ? 0 : least->second.served});
}

void OwnerShares::Leave(const std::string& owner) {
  const auto it = shares_.find(owner);
  if (it != shares_.end() && --it->second.jobs == 0) shares_.erase(it);
}

void OwnerShares::Charge(std::string_view owner, int64_t nanoseconds) {
  if (const auto it = shares_.find(owner); it != shares_.end()) it->second.served += nanoseconds;
}

int64_t OwnerShares::Served(std::string_view owner) const {
  const auto it = shares_.find(owner);
  return it == shares_.end() ? 0 : it->second.served;
}

int OwnerShares::Jobs(std::string_view owner) const {
  const auto it = shares_.find(owner);
  return it == shares_.end() ? 0 : it->second.jobs;
}

}  // namespace seedlm::server
