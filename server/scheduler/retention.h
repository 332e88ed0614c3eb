// Deletes jobs some time after they have ended.
#pragma once

#include <chrono>
#include <memory>
#include <thread>

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

// Does that once a minute, from the construction on. A wall clock that jumps makes a job's life
// longer or shorter.
class Retention {
 public:
  struct Parts {  // outlive it
    JobStore* store = nullptr;
    JobService* service = nullptr;
    Clock clock;
    std::shared_ptr<spdlog::logger> log;  // null: none
  };
  // REQUIRES: keep > 0.
  Retention(Parts parts, std::chrono::nanoseconds keep);

 private:
  std::jthread thread_;
};

}  // namespace seedlm::server
