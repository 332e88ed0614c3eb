#include "server/live_metrics.h"

#include <sys/statvfs.h>

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
  sink.Add(Metric::kS3SentBytes, {}, 0);
  sink.Add(Metric::kConnectionsRefused, {}, 0);
  for (const JobState state : {JobState::kSucceeded, JobState::kFailed, JobState::kCancelled}) {
    sink.Add(Metric::kJobsEnded, {Name(state)}, 0);
  }
}

void CountS3(MetricSink& sink, const s3::Attempt& attempt) {
  static constexpr std::string_view kCodes[] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
  const auto hundreds = static_cast<size_t>(std::clamp(attempt.status / 100, 0, 5));
  sink.Add(Metric::kS3Requests, {attempt.operation, kCodes[hundreds]}, 1);
  sink.Observe(Metric::kS3RequestSeconds, {attempt.operation}, attempt.seconds);
  sink.Add(Metric::kS3SentBytes, {}, static_cast<double>(attempt.sent_bytes));
}

std::vector<Sample> ReadLiveMetrics(const LiveState& state) {
  struct statvfs disk {};
  const bool told = statvfs(state.data_dir.c_str(), &disk) == 0;
  const auto bytes = [&](fsblkcnt_t blocks) {
    return told ? static_cast<double>(blocks) * static_cast<double>(disk.f_frsize) : -1;
  };
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
      plain(Metric::kDataDirFreeBytes, bytes(disk.f_bavail)),  // to this user
      plain(Metric::kDataDirBytes, bytes(disk.f_blocks)),
      plain(Metric::kDraining, state.draining ? 1 : 0),
      plain(Metric::kTlsNotAfter, state.tls_not_after),
      plain(Metric::kProcessResidentBytes, process.resident_bytes),
      plain(Metric::kProcessCpuSeconds, process.cpu_seconds),
      plain(Metric::kProcessThreads, process.threads),
      plain(Metric::kProcessOpenFds, process.open_fds),
      plain(Metric::kProcessStartTime, process.start_time),
  };
}

}  // namespace seedlm::server
