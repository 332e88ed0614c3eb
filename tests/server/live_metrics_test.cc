// What an operator's alerts watch is there before anything has happened.
#include "server/live_metrics.h"

#include <catch2/catch.hpp>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>

namespace seedlm::server {
namespace {

// Series as an alert would select them: `name{label="value"}`, one for each label.
class Series final : public MetricSink {
 public:
  void Add(Metric metric, LabelValues labels, double amount) override {
    CHECK(amount == 0);
    Note(Info(metric), {labels.begin(), labels.end()});
  }
  void Observe(Metric, LabelValues, double) override { FAIL("an observation is an event"); }
  void Note(const MetricInfo& info, const std::vector<std::string>& labels) {
    REQUIRE(labels.size() == info.labels.size());
    for (size_t i = 0; i < labels.size(); ++i) {
      names.insert(std::string(info.name) + "{" + info.labels[i] + "=\"" + labels[i] + "\"}");
    }
  }
  std::set<std::string> names;
};

TEST_CASE("every series with a label that alerts.yml watches begins at 0") {
  Series series;
  BeginAtZero(series);
  for (const Sample& sample : ReadLiveMetrics({})) {
    series.Note(Info(sample.metric), sample.labels);
  }
  CHECK(series.names.contains("seedlm_rpc_calls_total{method=\"VerifyArtifact\"}"));
  std::ifstream file(SEEDLM_TEST_DATA "/../docker/alerts.yml");
  const std::string alerts{std::istreambuf_iterator<char>(file), {}};
  const std::regex selector("(seedlm_[a-z_]+)\\{([a-z_]+)=~?\"([A-Z_|]+)\"\\}");
  int found = 0;
  for (std::sregex_iterator it(alerts.begin(), alerts.end(), selector), end; it != end; ++it) {
    const std::string values = (*it)[3];
    const std::regex value("[A-Z_]+");
    for (std::sregex_iterator one(values.begin(), values.end(), value); one != end; ++one) {
      const std::string name = (*it)[1].str() + "{" + (*it)[2].str() + "=\"" + one->str() + "\"}";
      INFO(name);
      CHECK(series.names.contains(name));
      ++found;
    }
  }
  CHECK(found == 4);  // queued jobs, failed ones, calls of two codes
  // These have no series before their first event.
  CHECK(alerts.find("increase(seedlm_job_failures_total") == std::string::npos);
}

}  // namespace
}  // namespace seedlm::server
