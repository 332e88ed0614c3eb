// Deletes what is over: jobs some time after they have ended, uploads after their last byte.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "server/jobs/job.h"
#include "server/jobs/job_store.h"
#include "server/scheduler/job_service.h"

namespace spdlog {
class logger;
}

namespace seedlm::server {

// Deletes, as JobService::Delete does, the jobs that ended at or before `time_ns`. The first error;
// the others are tried all the same, and all again the next time.
absl::Status DeleteEndedBefore(JobStore& store, JobService& service, int64_t time_ns);

// Follows its rules once a minute, from the construction on. A wall clock that jumps makes lives
// longer or shorter.
class Retention {
 public:
  struct Rule {
    std::chrono::nanoseconds keep;                        // > 0
    std::function<absl::Status(int64_t time_ns)> remove;  // what was over at or before that time
  };
  struct Parts {
    Clock clock;
    std::shared_ptr<spdlog::logger> log;  // null: none
    std::vector<Rule> rules;              // what they use outlives it
  };
  explicit Retention(Parts parts);

 private:
  std::jthread thread_;
};

}  // namespace seedlm::server
