// What the server counts, as one table, and the door through which the rooms count it. Nothing here
// knows of Prometheus: prometheus_metrics.h does.
//
// To add a metric: a name in Metric, a row in metrics.cc, a call of Add or Observe where it happens
// (or a Sample in the server's live_metrics.cc), then
// `seedlm-server --print-metrics > server/METRICS.md`.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace seedlm::server {

enum class Metric : uint8_t {
  kBuildInfo,
  kWeights,
  kShardSeconds,
  kDeviceBusySeconds,
  kWorkers,
  kSourceReadBytes,
  kOutputWrittenBytes,
  kUploadReceivedBytes,
  kDownloadSentBytes,
  kS3Requests,
  kS3RequestSeconds,
  kS3SentBytes,
  kJobs,
  kJobsEnded,
  kJobFailures,
  kQueueOldestAge,
  kConnectionsRefused,
  kRpcCalls,
  kRpcSeconds,
  kRpcInFlight,
  kRpcErrors,
  kIndexLists,
  kIndexBytes,
  kIndexLimitBytes,
  kDataDirFreeBytes,
  kDataDirBytes,
  kDraining,
  kTlsNotAfter,
  kProcessResidentBytes,
  kProcessCpuSeconds,
  kProcessThreads,
  kProcessOpenFds,
  kProcessStartTime,
  kCount,
};

enum class MetricKind : uint8_t { kCounter, kGauge, kHistogram };
std::string_view Name(MetricKind kind);  // "counter"

struct MetricInfo {
  Metric metric;
  const char* name;  // with its unit, as Prometheus asks for: "seedlm_shard_seconds"
  MetricKind kind;
  std::vector<const char*> labels;
  const char* help;
  std::vector<double> buckets{};  // upper bounds of a histogram, ascending
};

// In the order of Metric.
const std::vector<MetricInfo>& Metrics();
const MetricInfo& Info(Metric metric);

// Label values, in the order of MetricInfo::labels. They come from small fixed sets (states,
// backends, devices, methods, reasons), never from a client: a time series stays for as long as the
// server runs.
using LabelValues = std::initializer_list<std::string_view>;

// Takes what happens. Thread-safe.
class MetricSink {
 public:
  virtual ~MetricSink() = default;
  // Counters and gauges; only gauges take a negative amount. REQUIRES: as many labels as the metric
  // has, here and below.
  virtual void Add(Metric metric, LabelValues labels, double amount) = 0;
  virtual void Observe(Metric metric, LabelValues labels, double value) = 0;  // histograms
};

// Takes everything and keeps nothing.
MetricSink& NoMetrics();

// What is not counted but looked up when somebody asks.
struct Sample {
  Metric metric;
  std::vector<std::string> labels;
  double value = 0;
};

// server/METRICS.md.
std::string PrintMetrics();

}  // namespace seedlm::server
