#include "hardware/sim/memory_port.h"

#include <catch2/catch.hpp>

#include "absl/strings/match.h"

namespace seedlm::hardware {
namespace {

TEST_CASE("the ideal port delivers every cycle from the first", "[memory_port]") {
  MemoryPort port({}, 64 * 1000);
  for (int i = 0; i < 1000; ++i) {
    port.Tick();
    CHECK(port.state() == PortState::kDelivering);
    REQUIRE(port.Take(64));
  }
  port.Tick();
  CHECK(port.state() == PortState::kDone);
  CHECK_FALSE(port.Take(64));
  CHECK(port.delivered_bytes() == 64 * 1000);
}

TEST_CASE("a full FIFO holds the bus, and loses nothing", "[memory_port]") {
  MemoryConfig config;
  config.fifo_bytes = 128;
  MemoryPort port(config, 64 * 10);
  for (int i = 0; i < 100; ++i) port.Tick();
  CHECK(port.fifo_bytes() == 128);
  int words = 0;
  for (int i = 0; i < 100; ++i) {
    port.Tick();
    if (port.Take(64)) ++words;
  }
  CHECK(words == 10);
}

TEST_CASE("the last burst may be short", "[memory_port]") {
  MemoryConfig config;
  config.burst_beats = 4;
  MemoryPort port(config, 64 * 6 + 8);
  for (int i = 0; i < 20; ++i) port.Tick();
  CHECK(port.delivered_bytes() == 64 * 6 + 8);
}

TEST_CASE("fields out of range are named", "[memory_port]") {
  MemoryConfig config;
  config.bytes_per_cycle = 0;
  CHECK(absl::StrContains(config.Validate().message(), "port bytes 0"));
  config = {};
  config.latency = -1;
  CHECK(absl::StrContains(config.Validate().message(), "latency -1"));
  config = {};
  config.refresh_interval = 100;
  config.refresh_cycles = 100;
  CHECK(absl::StrContains(config.Validate().message(), "leave nothing"));
  config = {};
  config.refresh_cycles = 100;
  CHECK(absl::StrContains(config.Validate().message(), "need a refresh interval"));
  CHECK(MemoryConfig{}.Validate().ok());
}

}  // namespace
}  // namespace seedlm::hardware
