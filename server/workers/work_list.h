// Work that somebody has handed over, for a pool that does it in that order.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>

#include "server/workers/worker_pool.h"

namespace seedlm::server {

// Thread-safe. What was added is done, also when the pool stops.
class WorkList final : public WorkQueue {
 public:
  void Add(Work work);
  std::optional<Work> Take(std::stop_token stop) override;

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Work> list_;  // guarded by mutex_
};

}  // namespace seedlm::server
