#include "server/workers/worker_pool.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <mutex>
#include <set>
#include <thread>

namespace seedlm::server {
namespace {

class CountingQueue : public WorkQueue {
 public:
  explicit CountingQueue(int pieces) : left_(pieces) {}

  std::optional<Work> Take(std::stop_token stop) override {
    std::unique_lock lock(mutex_);
    if (left_ == 0) {
      changed_.notify_all();
      changed_.wait(lock, stop, [] { return false; });
      return std::nullopt;
    }
    --left_;
    return [this] {
      ++done;
      const std::lock_guard threads_lock(mutex_);
      threads.insert(std::this_thread::get_id());
      changed_.notify_all();
    };
  }
  void WaitUntilDone(int pieces) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return done == pieces; });
  }

  std::atomic<int> done = 0;
  std::set<std::thread::id> threads;

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  int left_;
};

TEST_CASE("every piece is done once, off the caller's thread, by at most so many threads") {
  CountingQueue queue(1000);
  {
    const WorkerPool pool(3, queue);
    queue.WaitUntilDone(1000);
  }
  CHECK(queue.done == 1000);
  CHECK(queue.threads.size() >= 1);
  CHECK(queue.threads.size() <= 3);
  CHECK(queue.threads.count(std::this_thread::get_id()) == 0);
}

TEST_CASE("a pool without work ends") {
  CountingQueue queue(0);
  { const WorkerPool pool(4, queue); }
  CHECK(queue.done == 0);
}

TEST_CASE("two pieces run at the same time on two threads") {
  // Each piece waits for the other: with one thread this would never end.
  class Meeting : public WorkQueue {
   public:
    std::optional<Work> Take(std::stop_token) override {
      if (handed_out_++ >= 2) return std::nullopt;
      return [this] {
        std::unique_lock lock(mutex_);
        ++arrived;
        changed_.notify_all();
        changed_.wait(lock, [this] { return arrived == 2; });
      };
    }
    int arrived = 0;

   private:
    std::atomic<int> handed_out_ = 0;
    std::mutex mutex_;
    std::condition_variable changed_;
  };
  Meeting meeting;
  { const WorkerPool pool(2, meeting); }
  CHECK(meeting.arrived == 2);
}

}  // namespace
}  // namespace seedlm::server
