// Threads for work that may wait for the disk, so that gRPC's few callback threads never do.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace seedlm::server {

// Thread-safe. Every call in flight posts at most one task at a time, so the queue of Post is as
// long as there are calls.
class WorkPool {
 public:
  // `max_waiting`: tasks that TryPost lets wait.
  explicit WorkPool(int threads, size_t max_waiting = SIZE_MAX);
  // Runs what was posted, then stops. REQUIRES: no Post afterwards.
  ~WorkPool();
  WorkPool(const WorkPool&) = delete;
  WorkPool& operator=(const WorkPool&) = delete;

  // Runs `task` on one of the threads, in the order posted. It must not throw.
  void Post(std::function<void()> task);
  // False, and nothing is done with `task`: too many wait already.
  [[nodiscard]] bool TryPost(std::function<void()> task);

 private:
  void Run();

  const size_t max_waiting_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> tasks_;  // guarded by mutex_
  bool stopping_ = false;                    // guarded by mutex_
  std::vector<std::jthread> threads_;        // constant after construction
};

}  // namespace seedlm::server
