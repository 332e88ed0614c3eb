#include "server/jobs/job_events.h"

#include <utility>
#include <vector>

namespace seedlm::server {

JobEvents::Subscription::Subscription(Subscription&& other) noexcept
    : hub_(std::exchange(other.hub_, nullptr)), job_(std::move(other.job_)), id_(other.id_) {}

JobEvents::Subscription& JobEvents::Subscription::operator=(Subscription&& other) noexcept {
  if (this != &other) {
    Reset();
    hub_ = std::exchange(other.hub_, nullptr);
    job_ = std::move(other.job_);
    id_ = other.id_;
  }
  return *this;
}

void JobEvents::Subscription::Reset() {
  if (hub_ != nullptr) std::exchange(hub_, nullptr)->Unsubscribe(job_, id_);
}

JobEvents::Subscription JobEvents::Subscribe(std::string_view job, Callback on_change) {
  auto callback = std::make_shared<const Callback>(std::move(on_change));
  const std::lock_guard lock(mutex_);
  const int64_t id = next_id_++;
  std::string name(job);
  watchers_[name].emplace(id, std::move(callback));
  return Subscription(this, std::move(name), id);
}

void JobEvents::Unsubscribe(const std::string& job, int64_t id) {
  std::shared_ptr<const Callback> last_reference;  // destroyed after the lock is released
  const std::lock_guard lock(mutex_);
  const auto it = watchers_.find(job);
  if (it == watchers_.end()) return;
  if (const auto watcher = it->second.find(id); watcher != it->second.end()) {
    last_reference = std::move(watcher->second);
    it->second.erase(watcher);
  }
  if (it->second.empty()) watchers_.erase(it);
}

void JobEvents::Notify(std::string_view job) {
  std::vector<std::shared_ptr<const Callback>> callbacks;
  {
    const std::lock_guard lock(mutex_);
    const auto it = watchers_.find(job);
    if (it == watchers_.end()) return;
    callbacks.reserve(it->second.size());
    for (const auto& [id, callback] : it->second) callbacks.push_back(callback);
  }
  for (const auto& callback : callbacks) (*callback)();
}

void JobEvents::SetProgress(std::string_view job, Progress progress) {
  const std::lock_guard lock(mutex_);
  progress_.insert_or_assign(std::string(job), std::move(progress));
}

std::optional<Progress> JobEvents::LiveProgress(std::string_view job) const {
  const std::lock_guard lock(mutex_);
  const auto it = progress_.find(job);
  if (it == progress_.end()) return std::nullopt;
  return it->second;
}

void JobEvents::ClearProgress(std::string_view job) {
  const std::lock_guard lock(mutex_);
  if (const auto it = progress_.find(job); it != progress_.end()) progress_.erase(it);
}

}  // namespace seedlm::server
