#include "server/workers/worker_pool.h"

namespace seedlm::server {

WorkerPool::WorkerPool(int threads, WorkQueue& queue) {
  threads_.reserve(static_cast<size_t>(threads));
  for (int i = 0; i < threads; ++i) {
    threads_.emplace_back([&queue](std::stop_token stop) {
      while (std::optional<Work> work = queue.Take(stop)) (*work)();
    });
  }
}

WorkerPool::~WorkerPool() {
  for (std::jthread& thread : threads_) thread.request_stop();  // all, before the first is joined
}

}  // namespace seedlm::server
