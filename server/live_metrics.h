// Metrics that are looked up when somebody asks.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "server/metrics/metrics.h"
#include "server/scheduler/scheduler.h"
#include "server/storage/s3/client.h"

namespace seedlm::server {

struct LiveState {
  SchedulerLoad load;
  int workers = 0;
  bool draining = false;
  int64_t now_ns = 0;  // Unix time
  std::string data_dir;
  int64_t tls_not_after = 0;  // Unix time, seconds; 0 without TLS
};

// Shows counters at 0 that would appear with their first event only: a rate needs the step from 0.
void BeginAtZero(MetricSink& sink);

// One request to S3.
void CountS3(MetricSink& sink, const s3::Attempt& attempt);

// Every metric that nobody adds to; each once, its samples together. Thread-safe.
std::vector<Sample> ReadLiveMetrics(const LiveState& state);

}  // namespace seedlm::server
