// Which tensors belong together, and what they sum to.
#include <google/protobuf/util/time_util.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/report/charts.h"

namespace seedlm::client {
namespace {

bool IsNumber(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

}  // namespace

TensorPlace PlaceOf(const std::string& name) {
  std::vector<std::string> parts = absl::StrSplit(name, '.');
  if (parts.size() > 1 && parts.back() == "weight") parts.pop_back();
  const auto number = std::find_if(parts.begin(), parts.end(), IsNumber);
  TensorPlace place;
  if (number == parts.end() || !absl::SimpleAtoi(*number, &place.layer)) {
    return {-1, absl::StrJoin(parts, ".")};
  }
  std::vector<std::string> kind(number + 1, parts.end());
  for (std::string& part : kind) {
    if (IsNumber(part)) part.assign(1, '*');  // experts of a layer are one kind
  }
  if (kind.empty()) kind.assign(parts.begin(), number);
  place.kind = absl::StrJoin(kind, ".");
  return place;
}

std::vector<KindGroup> GroupByKind(const JobHistory& history, size_t max,
                                   std::vector<size_t>& others) {
  std::vector<KindGroup> groups;
  std::map<std::string, size_t> known;
  std::map<std::string, std::set<int64_t>> layers;
  others.clear();
  for (size_t i = 0; i < history.tensors.size(); ++i) {
    const TensorPlace place = PlaceOf(history.tensors[i].result.name());
    if (place.layer < 0) {
      others.push_back(i);
      continue;
    }
    const auto [entry, added] = known.emplace(place.kind, groups.size());
    if (added) groups.push_back({place.kind, {}});
    groups[entry->second].tensors.push_back(i);
    layers[place.kind].insert(place.layer);
  }
  std::vector<KindGroup> kept;
  for (KindGroup& group : groups) {
    if (layers[group.kind].size() < 2) {
      others.insert(others.end(), group.tensors.begin(), group.tensors.end());
    } else {
      kept.push_back(std::move(group));
    }
  }
  while (kept.size() > max) {  // the smallest, of equals the last
    const auto least = std::min_element(
        kept.rbegin(), kept.rend(),
        [](const auto& a, const auto& b) { return a.tensors.size() < b.tensors.size(); });
    others.insert(others.end(), least->tensors.begin(), least->tensors.end());
    kept.erase(std::next(least).base());
  }
  std::sort(others.begin(), others.end());
  return kept;
}

Totals Sum(const JobHistory& history) {
  using google::protobuf::util::TimeUtil;
  Totals totals;
  double error = 0;
  double squares = 0;
  double bits = 0;
  totals.has_error = !history.tensors.empty();
  for (const auto& [seconds, result] : history.tensors) {
    const int64_t weights = result.rows() * result.columns();
    totals.weights += weights;
    bits += result.bits_per_weight() * static_cast<double>(weights);
    error += result.squared_error();
    squares += result.squared_weights();
    totals.source_bytes += result.source_bytes();
    totals.packed_bytes += result.packed_bytes();
    totals.device_seconds += result.seconds();
    if (result.squared_weights() == 0 && result.relative_error() > 0) totals.has_error = false;
  }
  if (totals.weights > 0) totals.bits_per_weight = bits / static_cast<double>(totals.weights);
  if (squares > 0) totals.relative_error = std::sqrt(error / squares);
  const v1::Job& job = history.job;
  totals.input_bytes = job.estimate().input_bytes();
  for (const auto& file : job.output_files()) {
    if (absl::EndsWith(file.path(), ".safetensors")) totals.output_bytes += file.size();
  }
  if (totals.output_bytes == 0) totals.output_bytes = job.estimate().output_bytes();
  if (job.has_start_time() && job.has_end_time()) {
    totals.run_seconds =
        static_cast<double>(TimeUtil::DurationToMicroseconds(job.end_time() - job.start_time())) /
        1e6;
  }
  return totals;
}

}  // namespace seedlm::client
