// Threads for work that may wait for the disk, so that gRPC's few callback threads never do.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace seedlm::server {

// Thread-safe. Calls come in by TryPost, which bounds how many wait; a stream that was let in goes
// on by Post, one task at a time, so the rest of the queue is as long as there are streams.
class WorkPool {
 public:
  // `max_waiting`: calls that wait, at most; `max_of_owner`: of one owner.
  explicit WorkPool(int threads, size_t max_waiting = SIZE_MAX, size_t max_of_owner = SIZE_MAX);
  // Runs what was posted, then stops. REQUIRES: no Post afterwards.
  ~WorkPool();
  WorkPool(const WorkPool&) = delete;
  WorkPool& operator=(const WorkPool&) = delete;

  // Runs `task` on one of the threads, in the order posted. It must not throw.
  void Post(std::function<void()> task);
  // The same for a call of `owner`. False, and nothing is done with `task`: too many wait already.
  [[nodiscard]] bool TryPost(std::string_view owner, std::function<void()> task);

 private:
  struct Task {
    std::function<void()> run;
    std::optional<std::string> owner{};  // of a call
  };
  void Run();
  Task TakeLocked();  // REQUIRES: mutex_ is held, and there is one

  const size_t max_waiting_;
  const size_t max_of_owner_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Task> tasks_;                               // guarded by mutex_, as all below
  size_t calls_ = 0;                                     // of tasks_
  std::map<std::string, size_t, std::less<>> calls_of_;  // the same, of owners with any
  bool stopping_ = false;
  std::vector<std::jthread> threads_;  // constant after construction
};

}  // namespace seedlm::server
