#include "server/metrics/prometheus_metrics.h"

#include <prometheus/counter.h>
#include <prometheus/exposer.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <exception>
#include <utility>

#include "absl/strings/str_cat.h"

namespace seedlm::server {
namespace {

template <class Values>
prometheus::Labels ToLabels(const MetricInfo& info, const Values& values) {
  prometheus::Labels labels;
  auto name = info.labels.begin();
  for (const auto& value : values) {
    if (name == info.labels.end()) break;
    labels.emplace(*name++, std::string(value));
  }
  return labels;
}

prometheus::MetricType TypeOf(MetricKind kind) {
  switch (kind) {
    case MetricKind::kCounter:
      return prometheus::MetricType::Counter;
    case MetricKind::kGauge:
      return prometheus::MetricType::Gauge;
    case MetricKind::kHistogram:
      return prometheus::MetricType::Histogram;
  }
  return prometheus::MetricType::Untyped;
}

}  // namespace

// By metric; null where the kind is another.
struct PrometheusMetrics::Families {
  explicit Families(prometheus::Registry& registry) {
    for (const MetricInfo& info : Metrics()) {
      counters.push_back(
          info.kind == MetricKind::kCounter
              ? &prometheus::BuildCounter().Name(info.name).Help(info.help).Register(registry)
              : nullptr);
      gauges.push_back(
          info.kind == MetricKind::kGauge
              ? &prometheus::BuildGauge().Name(info.name).Help(info.help).Register(registry)
              : nullptr);
      histograms.push_back(
          info.kind == MetricKind::kHistogram
              ? &prometheus::BuildHistogram().Name(info.name).Help(info.help).Register(registry)
              : nullptr);
    }
  }
  std::vector<prometheus::Family<prometheus::Counter>*> counters;
  std::vector<prometheus::Family<prometheus::Gauge>*> gauges;
  std::vector<prometheus::Family<prometheus::Histogram>*> histograms;
};

PrometheusMetrics::PrometheusMetrics()
    : registry_(std::make_shared<prometheus::Registry>()),
      families_(std::make_unique<Families>(*registry_)) {}
PrometheusMetrics::~PrometheusMetrics() = default;

void PrometheusMetrics::Add(Metric metric, LabelValues labels, double amount) {
  const MetricInfo& info = Info(metric);
  const auto index = static_cast<size_t>(metric);
  if (auto* counters = families_->counters[index]) {
    counters->Add(ToLabels(info, labels)).Increment(amount);
  } else if (auto* gauges = families_->gauges[index]) {
    gauges->Add(ToLabels(info, labels)).Increment(amount);
  }
}

void PrometheusMetrics::Observe(Metric metric, LabelValues labels, double value) {
  const MetricInfo& info = Info(metric);
  if (auto* histograms = families_->histograms[static_cast<size_t>(metric)]) {
    histograms->Add(ToLabels(info, labels), info.buckets).Observe(value);
  }
}

// The samples that are looked up, as families.
class MetricsEndpoint::Live final : public prometheus::Collectable {
 public:
  explicit Live(ReadSamples read) : read_(std::move(read)) {}
  std::vector<prometheus::MetricFamily> Collect() const override {
    std::vector<prometheus::MetricFamily> families;
    for (const Sample& sample : read_()) {
      const MetricInfo& info = Info(sample.metric);
      if (families.empty() || families.back().name != info.name) {
        families.push_back({info.name, info.help, TypeOf(info.kind), {}});
      }
      prometheus::ClientMetric metric;
      for (const auto& [name, value] : ToLabels(info, sample.labels)) {
        metric.label.push_back({name, value});
      }
      metric.counter.value = sample.value;
      metric.gauge.value = sample.value;
      families.back().metric.push_back(std::move(metric));
    }
    return families;
  }

 private:
  const ReadSamples read_;
};

MetricsEndpoint::MetricsEndpoint(std::string address, std::shared_ptr<Live> live,
                                 std::unique_ptr<prometheus::Exposer> exposer)
    : address_(std::move(address)), live_(std::move(live)), exposer_(std::move(exposer)) {}
MetricsEndpoint::~MetricsEndpoint() = default;

absl::StatusOr<std::unique_ptr<MetricsEndpoint>> MetricsEndpoint::Start(
    const std::string& address, const PrometheusMetrics& metrics, ReadSamples read) {
  try {
    auto exposer = std::make_unique<prometheus::Exposer>(address);
    const std::vector<int> ports = exposer->GetListeningPorts();
    if (ports.empty()) return absl::InternalError("the metrics endpoint has no port");
    auto live = std::make_shared<Live>(std::move(read));
    exposer->RegisterCollectable(metrics.registry_);
    exposer->RegisterCollectable(live);
    std::string bound = absl::StrCat(address.substr(0, address.rfind(':')), ":", ports[0]);
    return std::unique_ptr<MetricsEndpoint>(
        new MetricsEndpoint(std::move(bound), std::move(live), std::move(exposer)));
  } catch (const std::exception& error) {  // the library throws where it cannot listen
    return absl::FailedPreconditionError(absl::StrCat("cannot serve metrics on ", address, ": ",
                                                      error.what(), ": choose another --metrics"));
  }
}

}  // namespace seedlm::server
