#include "server/workers/work_list.h"

#include <utility>

namespace seedlm::server {

void WorkList::Add(Work work) {
  {
    const std::lock_guard lock(mutex_);
    list_.push_back(std::move(work));
  }
  changed_.notify_one();
}

std::optional<Work> WorkList::Take(std::stop_token stop) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, std::move(stop), [this] { return !list_.empty(); });
  if (list_.empty()) return std::nullopt;
  Work work = std::move(list_.front());
  list_.pop_front();
  return work;
}

}  // namespace seedlm::server
