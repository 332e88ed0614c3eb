#include "hardware/sim/trace.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "absl/strings/match.h"

namespace seedlm::hardware {
namespace {

TEST_CASE("a trace shows each change once, stalls by number", "[trace]") {
  const std::string path =
      (std::filesystem::temp_directory_path() / "seedlm_trace_test.vcd").string();
  const MachineConfig config;
  absl::StatusOr<Trace> trace = Trace::Create(path, config.unit);
  REQUIRE(trace.ok());
  const std::vector<Matrix> matrices = {{"m", 1, 128, false}};
  const absl::StatusOr<Report> report =
      Simulate(config, matrices, 1000, [&](const CycleView& view) { trace->Add(view); });
  REQUIRE(report.ok());
  REQUIRE(trace->Close().ok());
  std::ifstream file(path);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  std::filesystem::remove(path);
  CHECK(absl::StrContains(text, "$var wire 20 C stages $end"));
  CHECK(absl::StrContains(text, "#0\n0A\nb0001 B\n"));  // waits for the vector
  CHECK(absl::StrContains(text, "#8\n1A\nbzzzz B\n"));  // after its four beats the one word
  CHECK(absl::StrContains(text, "1E\n"));               // the result
  size_t stages = 0;
  for (size_t at = text.find(" C\n"); at != std::string::npos; at = text.find(" C\n", at + 1)) {
    ++stages;
  }
  CHECK(stages == 21);  // empty, then the word in each of 20 stages
}

TEST_CASE("a trace that cannot be written says so", "[trace]") {
  CHECK(absl::StrContains(Trace::Create("/nonexistent/t.vcd", Unit{}).status().message(),
                          "/nonexistent/t.vcd: cannot be written"));
}

}  // namespace
}  // namespace seedlm::hardware
