#include "server/health_watch.h"

#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <utility>

namespace seedlm::server {

HealthWatch::HealthWatch(std::chrono::milliseconds interval, Check check, Turned turned)
    : thread_([interval, check = std::move(check),
               turned = std::move(turned)](const std::stop_token& stop) {
        std::mutex mutex;
        std::condition_variable_any never;
        bool well = true;
        while (!stop.stop_requested()) {
          const absl::Status now = check();
          if (now.ok() != well) turned(now);
          well = now.ok();
          std::unique_lock lock(mutex);
          never.wait_for(lock, stop, interval, [] { return false; });
        }
      }) {}

}  // namespace seedlm::server
