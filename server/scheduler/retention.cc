#include "server/scheduler/retention.h"

#include <spdlog/logger.h>

#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "server/scheduler/deletion_log.h"

namespace seedlm::server {
namespace {

constexpr std::chrono::minutes kInterval{1};
constexpr int kBatch = 100;  // jobs at a time

void Run(const std::stop_token& stop, const Retention::Parts& parts) {
  std::mutex mutex;
  std::condition_variable_any never;
  while (!stop.stop_requested()) {
    for (const Retention::Rule& rule : parts.rules) {
      const absl::Status status = rule.remove(parts.clock() - rule.keep.count());
      if (!status.ok() && parts.log != nullptr) {
        parts.log->warn("what is kept for {} s cannot be deleted: {}",
                        std::chrono::duration_cast<std::chrono::seconds>(rule.keep).count(),
                        status.ToString());
      }
    }
    std::unique_lock lock(mutex);
    never.wait_for(lock, stop, kInterval, [] { return false; });
  }
}

}  // namespace

absl::Status DeleteEndedBefore(JobStore& store, JobService& service, int64_t time_ns) {
  absl::Status first;
  while (true) {
    const absl::StatusOr<std::vector<std::string>> names = store.EndedBefore(time_ns, kBatch);
    if (!names.ok()) return names.status();
    bool deleted = false;
    for (const std::string& name : *names) {
      const absl::Status status = service.Delete(name, {}, kByRetention);
      deleted |= status.ok();
      first.Update(status);
    }
    if (!deleted || names->size() < kBatch) return first;
  }
}

Retention::Retention(Parts parts)
    : thread_([parts = std::move(parts)](const std::stop_token& stop) { Run(stop, parts); }) {}

}  // namespace seedlm::server
