#include "server/live_metrics.h"

#include <algorithm>

#include "kernels/registry/registry.h"
#include "server/config.h"
#include "server/jobs/job.h"
#include "server/metrics/process_stats.h"
#include "server/rpc/call_metrics.h"

namespace seedlm::server {

void BeginAtZero(MetricSink& sink) {
  BeginCallsAtZero(sink);
  for (const char* phase : {"measure", "encode", "copy"}) {
    sink.Add(Metric::kSourceReadBytes, {phase}, 0);
  }
  for (const char* phase : {"encode", "copy"}) sink.Add(Metric::kOutputWrittenBytes, {phase}, 0);
  sink.Add(Metric::kUploadReceivedBytes, {}, 0);
  sink.Add(Metric::kDownloadSentBytes, {}, 0);
  for (const JobState state : {JobState::kSucceeded, JobState::kFailed, JobState::kCancelled}) {
    sink.Add(Metric::kJobsEnded, {Name(state)}, 0);
  }
}

std::vector<Sample> ReadLiveMetrics(const LiveState& state) {
  const backend::IndexUsage index = backend::ReadIndexUsage();
  const ProcessStats process = ReadProcessStats();
  const int64_t since = state.load.oldest_queued_ns;
  const double age =
      since == 0 ? 0 : static_cast<double>(std::max<int64_t>(state.now_ns - since, 0)) / 1e9;
  const auto plain = [](Metric metric, auto value) {
    return Sample{metric, {}, static_cast<double>(value)};
  };
  return {
      {Metric::kBuildInfo, {kVersion}, 1},
      plain(Metric::kWorkers, state.workers),
      {Metric::kJobs, {"QUEUED"}, static_cast<double>(state.load.queued)},
      {Metric::kJobs, {"RUNNING"}, static_cast<double>(state.load.running)},
      plain(Metric::kQueueOldestAge, age),
      plain(Metric::kIndexLists, index.lists),
      plain(Metric::kIndexBytes, index.bytes),
      plain(Metric::kIndexLimitBytes, index.limit),
      plain(Metric::kDraining, state.draining ? 1 : 0),
      plain(Metric::kProcessResidentBytes, process.resident_bytes),
      plain(Metric::kProcessCpuSeconds, process.cpu_seconds),
      plain(Metric::kProcessThreads, process.threads),
      plain(Metric::kProcessOpenFds, process.open_fds),
      plain(Metric::kProcessStartTime, process.start_time),
  };
}

}  // namespace seedlm::server
