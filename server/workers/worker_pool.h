// Threads that pull work.
#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <thread>
#include <vector>

namespace seedlm::server {

// A bounded piece of work; runs on the thread that took it and reports to whoever made it.
using Work = std::function<void()>;

class WorkQueue {
 public:
  virtual ~WorkQueue() = default;
  // Blocks until there is work, or nothing once `stop` is requested. Thread-safe.
  virtual std::optional<Work> Take(std::stop_token stop) = 0;
};

// Runs work of a queue on `threads` threads, one piece at a time each, so that what is in memory is
// bounded by threads * one piece. What drives a piece (which backend, which device) is the piece's
// own business. The queue must outlive the pool.
class WorkerPool {
 public:
  WorkerPool(int threads, WorkQueue& queue);
  // Takes no more work; waits for the pieces that run.
  ~WorkerPool();

 private:
  std::vector<std::jthread> threads_;
};

}  // namespace seedlm::server
