// The metrics of metrics.h for Prometheus.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/metrics/metrics.h"

namespace prometheus {
class Exposer;
class Registry;
}  // namespace prometheus

namespace seedlm::server {

// Counts in memory. Thread-safe.
class PrometheusMetrics final : public MetricSink {
 public:
  PrometheusMetrics();
  ~PrometheusMetrics() override;

  void Add(Metric metric, LabelValues labels, double amount) override;
  void Observe(Metric metric, LabelValues labels, double value) override;

 private:
  friend class MetricsEndpoint;
  struct Families;
  const std::shared_ptr<prometheus::Registry> registry_;
  const std::unique_ptr<Families> families_;
};

// What is looked up for each answer; called on threads of the endpoint, must be thread-safe.
using ReadSamples = std::function<std::vector<Sample>()>;

// Answers GET /metrics over HTTP, until it is destroyed. Plaintext and without authentication: for
// loopback, or a network that nobody else is on.
class MetricsEndpoint {
 public:
  // `address`: HOST:PORT, port 0: any free one. Errors: FAILED_PRECONDITION naming the address.
  // REQUIRES: `metrics` and what `read` looks at outlive the endpoint.
  static absl::StatusOr<std::unique_ptr<MetricsEndpoint>> Start(const std::string& address,
                                                                const PrometheusMetrics& metrics,
                                                                ReadSamples read);
  ~MetricsEndpoint();

  // HOST:PORT, the port filled in.
  const std::string& address() const { return address_; }

 private:
  class Live;
  MetricsEndpoint(std::string address, std::shared_ptr<Live> live,
                  std::unique_ptr<prometheus::Exposer> exposer);
  const std::string address_;
  std::shared_ptr<Live> live_;
  std::unique_ptr<prometheus::Exposer> exposer_;  // last: its threads use all the above
};

}  // namespace seedlm::server
