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
  {
    const std::lock_guard lock(mutex_);
    Line& line = lines_[owner];
    line.steps.push_back(std::move(step));
    if (!line.running && line.steps.size() == 1) turns_.push_back(owner);
  }
  changed_.notify_one();
}

void TurnPool::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return !turns_.empty() || (stopping_ && running_ == 0); });
    if (turns_.empty()) return;
    const std::string owner = std::move(turns_.front());
    turns_.pop_front();
    Line& line = lines_[owner];
    std::function<void()> step = std::move(line.steps.front());
    line.steps.pop_front();
    line.running = true;
    ++running_;
    lock.unlock();
    step();
    step = nullptr;  // what it holds is released without the lock
    lock.lock();
    --running_;
    line.running = false;
    if (line.steps.empty()) {
      lines_.erase(owner);
    } else {
      turns_.push_back(owner);
    }
    changed_.notify_all();
  }
}

}  // namespace seedlm::server
