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

// Thread-safe. Of an owner one step runs at a time; the next is of the owner who has waited
// longest. So who has much to do slows down himself, and with as many threads as owners nobody.
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
  struct Line {
    std::deque<std::function<void()>> steps;
    bool running = false;
  };
  void Run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Line> lines_;  // guarded by mutex_, as all below; of owners with any work
  std::deque<std::string> turns_;      // owners whose next step may run
  int running_ = 0;                    // which may post more
  bool stopping_ = false;
  std::vector<std::jthread> threads_;  // constant after construction
};

}  // namespace seedlm::server
