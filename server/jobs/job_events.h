// Wakes those who watch a job, and holds the live progress of running jobs.
//
// A watcher is only told that something changed; it pulls the events after its own sequence from
// the store. So a slow watcher costs nothing, and nothing is queued for it.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "server/jobs/job.h"

namespace seedlm::server {

// Thread-safe. Must outlive its subscriptions.
class JobEvents {
 public:
  using Callback = std::function<void()>;

  // Ends with its destruction, or with Reset. A callback that has already begun on another thread
  // may still be running after that: let the callback share ownership of what it touches.
  class Subscription {
   public:
    Subscription() = default;
    Subscription(Subscription&& other) noexcept;
    Subscription& operator=(Subscription&& other) noexcept;
    ~Subscription() { Reset(); }
    void Reset();

   private:
    friend class JobEvents;
    Subscription(JobEvents* hub, std::string job, int64_t id)
        : hub_(hub), job_(std::move(job)), id_(id) {}
    JobEvents* hub_ = nullptr;
    std::string job_;
    int64_t id_ = 0;
  };

  // `on_change` is called on the thread that caused the change, with no lock held: it may subscribe
  // and unsubscribe, must return quickly and must not throw. Changes may be told more than once.
  // `job`: "jobs/ID"; whether it exists is not checked.
  [[nodiscard]] Subscription Subscribe(std::string_view job, Callback on_change);

  // Calls the watchers of `job`.
  void Notify(std::string_view job);

  // Replaces the live progress of a running job. Does not notify.
  void SetProgress(std::string_view job, Progress progress);
  // None: the job is not running in this process.
  std::optional<Progress> LiveProgress(std::string_view job) const;
  // The job runs no more. Does not notify.
  void ClearProgress(std::string_view job);

 private:
  void Unsubscribe(const std::string& job, int64_t id);

  mutable std::mutex mutex_;
  int64_t next_id_ = 1;  // guarded by mutex_, as all below
  std::map<std::string, std::map<int64_t, std::shared_ptr<const Callback>>, std::less<>> watchers_;
  std::map<std::string, Progress, std::less<>> progress_;
};

}  // namespace seedlm::server
