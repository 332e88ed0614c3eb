// Threads for work of minutes that is done a step at a time: owners take turns.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace seedlm::server {

// Thread-safe. A thread that is free takes the oldest step of the owner who has waited longest. So
// whoever is alone has all threads, and whoever has much to do delays others by a step.
class TurnPool {
 public:
  explicit TurnPool(int threads);
  // Runs what was posted, then stops. REQUIRES: no Post afterwards, but by what runs.
  ~TurnPool();
  TurnPool(const TurnPool&) = delete;
  TurnPool& operator=(const TurnPool&) = delete;

  // Runs `step` on one of the threads, after the owner's steps that were posted before. It must not
  // throw; it may post the next one.
  void Post(const std::string& owner, std::function<void()> step);

 private:
  void Run();

  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_, as all below: the steps that wait, of each owner who has any.
  std::map<std::string, std::deque<std::function<void()>>> steps_;
  std::deque<std::string> turns_;  // the owners in steps_, who has waited longest first
  int running_ = 0;                // which may post more
  bool stopping_ = false;
  std::vector<std::jthread> threads_;  // constant after construction
};

}  // namespace seedlm::server
