#include "server/rpc/turn_pool.h"

#include <utility>

namespace seedlm::server {

TurnPool::TurnPool(int threads) {
  threads_.reserve(static_cast<size_t>(threads));
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
}

TurnPool::~TurnPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  threads_.clear();
}

void TurnPool::Post(const std::string& owner, std::function<void()> step) {
  const std::lock_guard lock(mutex_);
  std::deque<std::function<void()>>& steps = steps_[owner];
  if (steps.empty()) turns_.push_back(owner);
  steps.push_back(std::move(step));
  changed_.notify_one();  // before the step can run, be the last, and end the pool
}

void TurnPool::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return !turns_.empty() || (stopping_ && running_ == 0); });
    if (turns_.empty()) return;
    const auto line = steps_.find(turns_.front());
    turns_.pop_front();
    std::function<void()> step = std::move(line->second.front());
    line->second.pop_front();
    if (line->second.empty()) {
      steps_.erase(line);
    } else {
      turns_.push_back(line->first);
    }
    ++running_;
    lock.unlock();
    step();
    step = nullptr;  // what it holds is released without the lock
    lock.lock();
    --running_;
    changed_.notify_all();
  }
}

}  // namespace seedlm::server
