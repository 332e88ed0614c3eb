#include "client/report/job_history.h"

#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <cctype>
#include <map>
#include <utility>

namespace seedlm::client {
namespace {

using google::protobuf::util::TimeUtil;

double SecondsSince(const google::protobuf::Timestamp& begin,
                    const google::protobuf::Timestamp& time) {
  return static_cast<double>(TimeUtil::DurationToMicroseconds(time - begin)) / 1e6;
}

bool IsDigit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }

// The digits at `at`, without leading zeros.
std::string_view NumberAt(const std::string& text, size_t& at) {
  while (at + 1 < text.size() && text[at] == '0' && IsDigit(text[at + 1])) ++at;
  const size_t begin = at;
  while (at < text.size() && IsDigit(text[at])) ++at;
  return std::string_view(text).substr(begin, at - begin);
}

struct InNaturalOrder {
  bool operator()(const std::string& a, const std::string& b) const { return NaturalLess(a, b); }
};

}  // namespace

bool NaturalLess(const std::string& a, const std::string& b) {
  size_t i = 0;
  size_t j = 0;
  while (i < a.size() && j < b.size()) {
    if (IsDigit(a[i]) && IsDigit(b[j])) {
      const std::string_view x = NumberAt(a, i);
      const std::string_view y = NumberAt(b, j);
      if (x.size() != y.size()) return x.size() < y.size();
      if (x != y) return x < y;
    } else if (a[i] != b[j]) {
      return static_cast<unsigned char>(a[i]) < static_cast<unsigned char>(b[j]);
    } else {
      ++i;
      ++j;
    }
  }
  if (i < a.size() || j < b.size()) return j < b.size();
  return a < b;  // they differ in leading zeros at most
}

JobHistory ToHistory(v1::Job job, const std::vector<v1::JobEvent>& events) {
  JobHistory history;
  history.job = std::move(job);
  std::map<std::string, JobHistory::Tensor, InNaturalOrder> tensors;
  for (const v1::JobEvent& event : events) {
    const double seconds = SecondsSince(history.job.create_time(), event.time());
    if (event.sequence() > 0 && event.event_case() != v1::JobEvent::kSnapshot) {
      history.seconds = std::max(history.seconds, seconds);
    }
    switch (event.event_case()) {
      case v1::JobEvent::kState:
        history.states.push_back({history.seconds, event.state()});
        break;
      case v1::JobEvent::kTensor:
        tensors[event.tensor().name()] = {history.seconds, event.tensor()};
        break;
      case v1::JobEvent::kWarning:
        history.warnings.push_back({history.seconds, event.warning()});
        break;
      default:
        break;
    }
  }
  if (history.job.has_end_time()) {
    history.seconds =
        std::max(history.seconds, SecondsSince(history.job.create_time(), history.job.end_time()));
  }
  for (auto& [name, tensor] : tensors) history.tensors.push_back(std::move(tensor));
  return history;
}

absl::StatusOr<JobHistory> ReadHistory(JobClient& client, const std::string& name,
                                       const std::stop_token& stop) {
  std::vector<v1::JobEvent> events;
  int64_t last = -1;  // the snapshot's; a job that goes on is not waited for
  int64_t seen = 0;
  std::stop_source enough;
  {
    const std::stop_callback forward(stop, [&] { enough.request_stop(); });
    const absl::Status watched =
        client.WatchJob(name, enough.get_token(), [&](const v1::JobEvent& event) {
          if (event.event_case() == v1::JobEvent::kSnapshot) {
            last = event.sequence();
          } else {
            seen = std::max(seen, event.sequence());
          }
          events.push_back(event);
          if (last >= 0 && seen >= last) enough.request_stop();
        });
    if (stop.stop_requested()) return absl::CancelledError("interrupted; nothing was written");
    if (!watched.ok() && !enough.stop_requested()) return watched;
  }
  auto job = client.GetJob(name, stop);
  if (!job.ok()) return job.status();
  return ToHistory(*std::move(job), events);
}

}  // namespace seedlm::client
