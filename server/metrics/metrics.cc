#include "server/metrics/metrics.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace seedlm::server {
namespace {

// A shard is at most a few million weights: from milliseconds on a device to minutes on the
// reference.
const std::vector<double> kShardBuckets{0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300};
// From a look at the store to an upload of gigabytes or a job watched for an hour.
const std::vector<double> kRpcBuckets{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                      0.25,   0.5,   1,      2.5,   10,   60,    600,  3600};

std::vector<MetricInfo> MakeMetrics() {
  using enum MetricKind;
  using enum Metric;
  return {
      {kBuildInfo, "seedlm_build_info", kGauge, {"version"}, "1; the label says what runs"},
      {kWeights,
       "seedlm_weights_total",
       kCounter,
       {"backend", "device", "profile"},
       "Weights compressed; its rate is the throughput in weights/s"},
      {kShardSeconds,
       "seedlm_shard_seconds",
       kHistogram,
       {"backend", "device"},
       "Time to encode a shard (up to 2 Mi weights, or a row) on one worker; of shards encoded "
       "together, its part",
       kShardBuckets},
      {kDeviceBusySeconds,
       "seedlm_device_busy_seconds_total",
       kCounter,
       {"backend", "device"},
       "Time that workers spent encoding; its rate over seedlm_workers is the load, 0 .. 1. "
       "device: "
       "host, or the number of a GPU"},
      {kWorkers, "seedlm_workers", kGauge, {}, "Workers: each encodes a few shards at a time"},
      {kSourceReadBytes,
       "seedlm_source_read_bytes_total",
       kCounter,
       {"phase"},
       "Bytes of source tensors read; phase: measure, encode or copy"},
      {kOutputWrittenBytes,
       "seedlm_output_written_bytes_total",
       kCounter,
       {"phase"},
       "Bytes of output tensors written; phase: encode or copy"},
      {kUploadReceivedBytes,
       "seedlm_upload_received_bytes_total",
       kCounter,
       {},
       "Bytes of files received by WriteArtifact"},
      {kDownloadSentBytes,
       "seedlm_download_sent_bytes_total",
       kCounter,
       {},
       "Bytes of files sent by ReadArtifact"},
      {kS3Requests,
       "seedlm_s3_requests_total",
       kCounter,
       {"operation", "code"},
       "Requests to S3, one that is repeated each time; code: 2xx, 4xx and so on, or none without "
       "an answer"},
      {kS3RequestSeconds,
       "seedlm_s3_request_seconds",
       kHistogram,
       {"operation"},
       "From a request to S3 to its answer",
       kRpcBuckets},
      {kS3SentBytes,
       "seedlm_s3_sent_bytes_total",
       kCounter,
       {},
       "Bytes of parts and objects that S3 has answered"},
      {kJobs,
       "seedlm_jobs",
       kGauge,
       {"state"},
       "Jobs that have not ended; QUEUED is the depth of the queue"},
      {kJobsEnded,
       "seedlm_jobs_ended_total",
       kCounter,
       {"state"},
       "Jobs that ended; state: SUCCEEDED, FAILED or CANCELLED"},
      {kJobFailures,
       "seedlm_job_failures_total",
       kCounter,
       {"reason"},
       "Jobs that failed, by the reason of their error"},
      {kQueueOldestAge,
       "seedlm_queue_oldest_age_seconds",
       kGauge,
       {},
       "Since the oldest job that is QUEUED was created; 0 without one"},
      {kConnectionsRefused,
       "seedlm_connections_refused_total",
       kCounter,
       {},
       "Connections closed at once, as max-connections were open"},
      {kRpcCalls,
       "seedlm_rpc_calls_total",
       kCounter,
       {"method", "code"},
       "Calls answered; code as gRPC names it"},
      {kRpcSeconds,
       "seedlm_rpc_seconds",
       kHistogram,
       {"method"},
       "From the arrival of a call to its status; of a stream, its whole life",
       kRpcBuckets},
      {kRpcInFlight,
       "seedlm_rpc_in_flight",
       kGauge,
       {"method"},
       "Calls that are not answered yet; WriteArtifact: open uploads, WatchJob: watchers"},
      {kRpcErrors,
       "seedlm_rpc_errors_total",
       kCounter,
       {"method", "reason"},
       "Calls answered with an error, by ErrorInfo.reason"},
      {kIndexLists, "seedlm_index_lists", kGauge, {}, "Lists in the index of the search"},
      {kIndexBytes, "seedlm_index_bytes", kGauge, {}, "Memory that they take"},
      {kIndexLimitBytes,
       "seedlm_index_limit_bytes",
       kGauge,
       {},
       "What they may take: index-memory, or less where memory is short"},
      {kDataDirFreeBytes,
       "seedlm_data_dir_free_bytes",
       kGauge,
       {},
       "Room left for uploads, results and the job database on the disk of data-dir; -1: cannot be "
       "told"},
      {kDataDirBytes, "seedlm_data_dir_size_bytes", kGauge, {}, "Size of that disk"},
      {kDraining, "seedlm_draining", kGauge, {}, "1 once the server admits nothing more, else 0"},
      {kTlsNotAfter,
       "seedlm_tls_not_after_seconds",
       kGauge,
       {},
       "When the TLS certificate that is served expires, in Unix time; 0 without TLS"},
      {kProcessResidentBytes, "process_resident_memory_bytes", kGauge, {}, "Resident memory"},
      {kProcessCpuSeconds, "process_cpu_seconds_total", kCounter, {}, "User and system time"},
      {kProcessThreads, "process_threads", kGauge, {}, "Threads"},
      {kProcessOpenFds, "process_open_fds", kGauge, {}, "Open file descriptors"},
      {kProcessStartTime, "process_start_time_seconds", kGauge, {}, "Start, in Unix time"},
  };
}

class Ignore final : public MetricSink {
 public:
  void Add(Metric, LabelValues, double) override {}
  void Observe(Metric, LabelValues, double) override {}
};

}  // namespace

std::string_view Name(MetricKind kind) {
  switch (kind) {
    case MetricKind::kCounter:
      return "counter";
    case MetricKind::kGauge:
      return "gauge";
    case MetricKind::kHistogram:
      return "histogram";
  }
  return "";
}

const std::vector<MetricInfo>& Metrics() {
  static const std::vector<MetricInfo> metrics = MakeMetrics();
  return metrics;
}

const MetricInfo& Info(Metric metric) { return Metrics()[static_cast<size_t>(metric)]; }

MetricSink& NoMetrics() {
  static Ignore ignore;
  return ignore;
}

std::string PrintMetrics() {
  std::string text =
      "# Metrics of seedlm-server\n\n"
      "Printed by `seedlm-server --print-metrics`. With `--metrics 127.0.0.1:9464` Prometheus "
      "reads\n"
      "them from `http://127.0.0.1:9464/metrics`. Units are in the names. Counters begin at 0 when "
      "the\n"
      "server starts: those without labels, by state or phase, and the calls of a code that "
      "alerts\n"
      "are about (INTERNAL, UNKNOWN). Other series begin with their first event, so "
      "what\n"
      "watches them with increase() or rate() misses that one. No label comes from a client, so "
      "the\n"
      "number of series is bounded. There is no owner among them: the log has it.\n\n"
      "| metric | type | labels | what it says |\n|---|---|---|---|\n";
  for (const MetricInfo& info : Metrics()) {
    absl::StrAppend(&text, "| `", info.name, "` | ", std::string(Name(info.kind)), " | ",
                    absl::StrJoin(info.labels, ", "), " | ", info.help, " |\n");
  }
  return text;
}

}  // namespace seedlm::server
