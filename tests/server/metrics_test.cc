// server/metrics.
#include "server/metrics/metrics.h"

#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>

#include "server/metrics/process_stats.h"
#include "server/metrics/prometheus_metrics.h"

namespace seedlm::server {
namespace {

TEST_CASE("the rows of the table have the names that Prometheus asks for") {
  const std::regex valid("[a-z][a-z0-9_]*");
  std::set<std::string> names;
  REQUIRE(Metrics().size() == static_cast<size_t>(Metric::kCount));
  for (size_t i = 0; i < Metrics().size(); ++i) {
    const MetricInfo& info = Metrics()[i];
    const std::string name = info.name;
    INFO(name);
    CHECK(static_cast<size_t>(info.metric) == i);
    CHECK(names.insert(name).second);
    CHECK(std::regex_match(name, valid));
    CHECK(name.ends_with("_total") == (info.kind == MetricKind::kCounter));
    CHECK((info.kind == MetricKind::kHistogram) == !info.buckets.empty());
    CHECK(std::is_sorted(info.buckets.begin(), info.buckets.end()));
    CHECK_FALSE(std::string(info.help).empty());
    for (const char* label : info.labels) {
      CHECK(std::regex_match(label, valid));
      CHECK(std::string(label) != "le");
    }
  }
}

TEST_CASE("server/METRICS.md is printed from the table") {
  std::ifstream file(SEEDLM_TEST_DATA "/../server/METRICS.md");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  INFO("renew it: seedlm-server --print-metrics > server/METRICS.md");
  CHECK(text == PrintMetrics());
}

TEST_CASE("an endpoint says where it listens, and what keeps it from listening") {
  PrometheusMetrics metrics;
  const auto none = [] { return std::vector<Sample>(); };
  const auto first = MetricsEndpoint::Start("127.0.0.1:0", metrics, none);
  REQUIRE(first.ok());
  const std::string address = (*first)->address();
  CHECK(address.starts_with("127.0.0.1:"));
  CHECK(address != "127.0.0.1:0");
  const absl::Status taken = MetricsEndpoint::Start(address, metrics, none).status();
  CHECK(absl::IsFailedPrecondition(taken));
  CHECK(std::string(taken.message()).find(address) != std::string::npos);
}

TEST_CASE("adding to nothing and to every metric is safe") {
  PrometheusMetrics metrics;
  for (MetricSink* sink : {static_cast<MetricSink*>(&metrics), &NoMetrics()}) {
    sink->Add(Metric::kJobsEnded, {"FAILED"}, 1);
    sink->Add(Metric::kRpcInFlight, {"GetJob"}, -1);
    sink->Observe(Metric::kShardSeconds, {"cpu"}, 0.5);
  }
}

TEST_CASE("the system knows this process") {
  const ProcessStats stats = ReadProcessStats();
  CHECK(stats.resident_bytes > (1 << 20));
  CHECK(stats.threads >= 1);
  CHECK(stats.open_fds >= 3);
  CHECK(stats.cpu_seconds >= 0);
  const double now =
      std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  CHECK(stats.start_time > 1.5e9);
  CHECK(stats.start_time <= now + 2);
}

}  // namespace
}  // namespace seedlm::server
