#include "hardware/sim/report_text.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace seedlm::hardware {
namespace {

double Seconds(const Report& report, double clock_mhz) {
  return static_cast<double>(report.cycles) / (clock_mhz * 1e6);
}

double BytesPerCycle(const Report& report) {
  return static_cast<double>(report.bytes) / static_cast<double>(report.cycles);
}

nlohmann::ordered_json Differences(const std::vector<TensorCheck>& checks) {
  nlohmann::ordered_json tensors = nlohmann::ordered_json::array();
  for (const TensorCheck& check : checks) {
    tensors.push_back(
        {{"name", check.name}, {"weights", check.weights}, {"differences", check.differences}});
  }
  return tensors;
}

std::string Line(const nlohmann::ordered_json& json) {
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string ReportJson(const MachineConfig& config, const Report& report, double clock_mhz,
                       const std::vector<TensorCheck>& checks) {
  const double seconds = Seconds(report, clock_mhz);
  nlohmann::ordered_json json;
  json["unit"] = Name(config.unit.kind);
  json["lanes"] = config.unit.lanes;
  json["cycles"] = report.cycles;
  json["words"] = report.words;
  json["weights"] = report.weights;
  nlohmann::ordered_json& stalls = json["stalls"] = nlohmann::ordered_json::object();
  for (int i = 0; i < kStalls; ++i) {
    const Stall cause = static_cast<Stall>(i);
    stalls[std::string(Name(cause))] = report.stall(cause);
  }
  json["bytes"] = report.bytes;
  json["bytes_per_cycle"] = BytesPerCycle(report);
  json["clock_mhz"] = clock_mhz;
  json["seconds"] = seconds;
  json["weights_per_second"] = static_cast<double>(report.weights) / seconds;
  if (!checks.empty()) json["decoder"] = Differences(checks);
  return Line(json);
}

std::string ChecksJson(const std::vector<TensorCheck>& checks) {
  nlohmann::ordered_json json;
  json["decoder"] = Differences(checks);
  return Line(json);
}

std::string ReportText(const MachineConfig& config, const Report& report, double clock_mhz,
                       const std::vector<TensorCheck>& checks) {
  const double seconds = Seconds(report, clock_mhz);
  std::string text = absl::StrFormat(
      "unit        %s, %d lanes, %d weights a cycle\n"
      "weights     %d\n"
      "cycles      %d\n"
      "words       %d\n",
      Name(config.unit.kind), config.unit.lanes, config.unit.weights_per_word(), report.weights,
      report.cycles, report.words);
  for (int i = 0; i < kStalls; ++i) {
    const Stall cause = static_cast<Stall>(i);
    if (report.stall(cause) != 0) {
      absl::StrAppendFormat(&text, "  %-9s %d\n", Name(cause), report.stall(cause));
    }
  }
  absl::StrAppendFormat(&text,
                        "memory      %d bytes, %.2f a cycle\n"
                        "at %g MHz  %.6g s, %.4g weights/s\n",
                        report.bytes, BytesPerCycle(report), clock_mhz, seconds,
                        static_cast<double>(report.weights) / seconds);
  return text + ChecksText(checks);
}

std::string ChecksText(const std::vector<TensorCheck>& checks) {
  std::string text;
  for (const TensorCheck& check : checks) {
    absl::StrAppendFormat(&text, "decoded     %s: %d weights, %d differ from the codec\n",
                          check.name, check.weights, check.differences);
  }
  return text;
}

}  // namespace seedlm::hardware
