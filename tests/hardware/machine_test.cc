#include "hardware/sim/machine.h"

#include <catch2/catch.hpp>
#include <numeric>
#include <vector>

#include "absl/strings/match.h"

namespace seedlm::hardware {
namespace {

MachineConfig Seedlm() { return {}; }

MachineConfig Fp16() {
  MachineConfig config;
  config.unit.kind = UnitKind::kFp16;
  return config;
}

Report Run(const MachineConfig& config, const std::vector<Matrix>& matrices) {
  absl::StatusOr<Report> report = Simulate(config, matrices);
  INFO(report.status());
  REQUIRE(report.ok());
  const int64_t stalls = std::accumulate(report->stalls.begin(), report->stalls.end(), int64_t{0});
  CHECK(report->cycles == report->words + stalls);
  return *report;
}

std::string Refusal(const MachineConfig& config, const Matrix& matrix) {
  const absl::StatusOr<Report> report = Simulate(config, std::vector<Matrix>{matrix});
  CHECK(absl::IsInvalidArgument(report.status()));
  return std::string(report.status().message());
}

TEST_CASE("cycles without memory stalls: load, words, drain", "[machine]") {
  const Report report = Run(Seedlm(), {{"m", 512, 512, false}});
  CHECK(report.words == 512 * 512 / 128);
  CHECK(report.stall(Stall::kVector) == 512 * 2 / 64);
  CHECK(report.stall(Stall::kDrain) == Seedlm().unit.latency());
  CHECK(report.cycles == 2048 + 16 + Seedlm().unit.latency());
  CHECK(report.bytes == 2048 * 64);
}

TEST_CASE("fp16 takes four words for one, within 5 % of its floor", "[machine]") {
  for (const int64_t side : {512, 1024, 2048}) {
    const Report fp16 = Run(Fp16(), {{"m", side, side, false}});
    const Report seedlm = Run(Seedlm(), {{"m", side, side, false}});
    CHECK(fp16.words == 4 * seedlm.words);
    CHECK(static_cast<double>(fp16.cycles) < 1.05 * static_cast<double>(side * side) / 32);
  }
}

TEST_CASE("the paper's speed-ups are reached", "[machine]") {
  const struct {
    int64_t side;
    double speed_up;
  } rows[] = {{512, 3.67}, {1024, 3.92}, {2048, 3.98}, {4096, 3.99}};
  for (const auto& row : rows) {
    const std::vector<Matrix> square = {{"m", row.side, row.side, false}};
    CHECK(static_cast<double>(Run(Fp16(), square).cycles) /
              static_cast<double>(Run(Seedlm(), square).cycles) >=
          row.speed_up);
  }
}

TEST_CASE("the next vector is loaded while a matrix streams", "[machine]") {
  const std::vector<Matrix> two = {{"a", 64, 1024, false}, {"b", 64, 1024, false}};
  const Report report = Run(Seedlm(), two);
  CHECK(report.stall(Stall::kVector) == 32);  // the first alone
  CHECK(report.stall(Stall::kCommand) == 1);
  CHECK(report.words == 2 * 64 * 8);
}

TEST_CASE("a load that is longer than the matrix before it is waited for", "[machine]") {
  const std::vector<Matrix> two = {{"a", 1, 128, false}, {"b", 1, 1024, false}};
  const Report report = Run(Seedlm(), two);
  CHECK(report.stall(Stall::kVector) > 4);
}

TEST_CASE("k and v use q's vector", "[machine]") {
  const std::vector<Matrix> qkv = {{"q", 8, 256, false}, {"k", 1, 256, true}, {"v", 1, 256, true}};
  const Report report = Run(Seedlm(), qkv);
  CHECK(report.stall(Stall::kVector) == 8);
  CHECK(report.stall(Stall::kCommand) == 2);
  CHECK_FALSE(Simulate(Seedlm(), std::vector<Matrix>{{"k", 1, 256, true}}).ok());
}

TEST_CASE("rows are padded to whole words", "[machine]") {
  const Report report = Run(Seedlm(), {{"m", 3, 136, false}});
  CHECK(report.words == 3 * 2);
  CHECK(report.weights == 3 * 136);
}

TEST_CASE("int8 activations load in half the time", "[machine]") {
  MachineConfig config;
  config.unit.activations = Activations::kInt8;
  CHECK(Run(config, {{"m", 4, 1024, false}}).stall(Stall::kVector) == 16);
}

TEST_CASE("a narrow port stalls three cycles of four", "[machine]") {
  MachineConfig config;
  config.memory.bytes_per_cycle = 16;
  const Report report = Run(config, {{"m", 256, 1024, false}});
  CHECK(report.stall(Stall::kBandwidth) > 3 * 2048 - 3 * 64 - 8);  // less what the FIFO held
  CHECK(report.cycles > 4 * 2048);
}

TEST_CASE("latency is paid once where requests in flight cover it", "[machine]") {
  MachineConfig config;
  config.memory.latency = 500;
  const std::vector<Matrix> square = {{"m", 1024, 1024, false}};
  const Report covered = Run(config, square);
  CHECK(covered.stall(Stall::kLatency) <= 500);
  config.memory.outstanding = 1;
  const Report alone = Run(config, square);
  CHECK(alone.stall(Stall::kLatency) > 500 * (8192 / 64 - 2));
}

TEST_CASE("refresh and burst gaps are named", "[machine]") {
  MachineConfig config;
  config.memory.refresh_interval = 1000;
  config.memory.refresh_cycles = 90;
  config.memory.burst_gap = 2;
  const Report report = Run(config, {{"m", 1024, 1024, false}});
  CHECK(report.stall(Stall::kRefresh) > 0);
  CHECK(report.stall(Stall::kBurstGap) > 0);
  CHECK(report.cycles > 8192 + 8192 / 1000 * 90);
}

TEST_CASE("a slow receiver of results stops the pipeline", "[machine]") {
  MachineConfig config;
  config.result_interval = 20;
  const Report report = Run(config, {{"m", 100, 128, false}});
  CHECK(report.stall(Stall::kResults) > 0);
  CHECK(report.cycles >= 99 * 20);
}

TEST_CASE("what is wrong with a matrix is named", "[machine]") {
  CHECK(absl::StrContains(Refusal(Seedlm(), {"w", 8, 12, false}),
                          "'w': a row of 12 weights is no multiple of the block of 8"));
  CHECK(absl::StrContains(Refusal(Seedlm(), {"w", 0, 128, false}), "0 rows"));
  CHECK(absl::StrContains(Refusal(Seedlm(), {"w", 1, 128 * 257, false}), "longer than the vector"));
  CHECK(Run(Seedlm(), {{"w", 1, 128 * 256, false}}).words == 256);
  CHECK_FALSE(Simulate(Seedlm(), {}).ok());
}

TEST_CASE("what is wrong with a configuration is named", "[machine]") {
  MachineConfig config;
  config.unit.lanes = 12;
  CHECK(absl::StrContains(Refusal(config, {"m", 1, 128, false}), "lanes 12"));
  config = {};
  config.memory.fifo_bytes = 100;
  CHECK(absl::StrContains(Refusal(config, {"m", 1, 128, false}), "fifo bytes 100"));
  config = Fp16();
  config.unit.activations = Activations::kInt8;
  CHECK(absl::StrContains(Refusal(config, {"m", 1, 128, false}), "float16 activations only"));
  config = {};
  config.result_interval = 0;
  CHECK(absl::StrContains(Refusal(config, {"m", 1, 128, false}), "result interval 0"));
}

TEST_CASE("a run can be bounded", "[machine]") {
  const absl::StatusOr<Report> report =
      Simulate(Seedlm(), std::vector<Matrix>{{"m", 512, 512, false}}, 100);
  CHECK(absl::IsDeadlineExceeded(report.status()));
}

}  // namespace
}  // namespace seedlm::hardware
