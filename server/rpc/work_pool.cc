#include "server/rpc/work_pool.h"

#include <utility>

namespace seedlm::server {

WorkPool::WorkPool(int threads, size_t max_waiting, size_t max_of_owner)
    : max_waiting_(max_waiting), max_of_owner_(max_of_owner) {
  threads_.reserve(static_cast<size_t>(threads));
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Run(); });
}

WorkPool::~WorkPool() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  threads_.clear();
}

void WorkPool::Post(std::function<void()> task) {
  {
    std::lock_guard lock(mutex_);
    tasks_.push_back({std::move(task)});
  }
  changed_.notify_one();
}

bool WorkPool::TryPost(std::string_view owner, std::function<void()> task) {
  {
    std::lock_guard lock(mutex_);
    const auto found = calls_of_.find(owner);
    const size_t of_owner = found == calls_of_.end() ? 0 : found->second;
    if (calls_ >= max_waiting_ || of_owner >= max_of_owner_) return false;
    tasks_.push_back({std::move(task), std::string(owner)});
    ++calls_;
    calls_of_[std::string(owner)] = of_owner + 1;
  }
  changed_.notify_one();
  return true;
}

WorkPool::Task WorkPool::TakeLocked() {
  Task task = std::move(tasks_.front());
  tasks_.pop_front();
  if (!task.owner.has_value()) return task;
  --calls_;
  const auto found = calls_of_.find(*task.owner);
  if (--found->second == 0) calls_of_.erase(found);
  return task;
}

void WorkPool::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
    if (tasks_.empty()) return;
    Task task = TakeLocked();
    lock.unlock();
    task.run();
    task.run = nullptr;  // what it holds is released without the lock
    lock.lock();
  }
}

}  // namespace seedlm::server
