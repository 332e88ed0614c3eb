// Threads for work that may wait for the disk, so that gRPC's few callback threads never do.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace seedlm::server {

// Thread-safe. Every call in flight posts at most one task at a time, so the queue is as long as
// there are calls.
class WorkPool {
 public:
  explicit WorkPool(int threads);
  // Runs what was posted, then stops. REQUIRES: no Post afterwards.
  ~WorkPool();
  WorkPool(const WorkPool&) = delete;
  WorkPool& operator=(const WorkPool&) = delete;

  // Runs `task` on one of the threads, in the order posted. It must not throw.
  void Post(std::function<void()> task);

 private:
  void Run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;  // guarded by mutex_
  bool stopping_ = false;                    // guarded by mutex_
  std::vector<std::jthread> threads_;        // constant after construction
};

}  // namespace seedlm::server
