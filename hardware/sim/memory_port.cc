#include "hardware/sim/memory_port.h"

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"

namespace seedlm::hardware {

absl::Status MemoryConfig::Validate() const {
  const struct {
    const char* name;
    int value, lowest, highest;
  } fields[] = {
      {"port bytes", bytes_per_cycle, 1, 4096},
      {"latency", latency, 0, 1'000'000},
      {"burst", burst_beats, 1, 1 << 20},
      {"outstanding", outstanding, 1, 1 << 16},
      {"burst gap", burst_gap, 0, 1'000'000},
      {"refresh interval", refresh_interval, 0, 1 << 30},
      {"refresh cycles", refresh_cycles, 0, 1 << 30},
      {"fifo bytes", fifo_bytes, 1, 1 << 30},
  };
  for (const auto& field : fields) {
    if (field.value < field.lowest || field.value > field.highest) {
      return absl::InvalidArgumentError(absl::StrCat(field.name, " ", field.value, " is not in [",
                                                     field.lowest, ", ", field.highest, "]"));
    }
  }
  if (refresh_interval != 0 && refresh_cycles >= refresh_interval) {
    return absl::InvalidArgumentError(absl::StrCat("refresh cycles ", refresh_cycles,
                                                   " leave nothing of the refresh interval ",
                                                   refresh_interval));
  }
  if (refresh_interval == 0 && refresh_cycles != 0) {
    return absl::InvalidArgumentError("refresh cycles need a refresh interval");
  }
  return absl::OkStatus();
}

MemoryPort::MemoryPort(const MemoryConfig& config, int64_t total_bytes)
    : config_(config),
      to_request_(total_bytes),
      to_deliver_(total_bytes),
      next_refresh_(config.refresh_interval == 0 ? std::numeric_limits<int64_t>::max()
                                                 : config.refresh_interval) {}

void MemoryPort::Tick() {
  ++cycle_;
  if (to_request_ > 0 && static_cast<int>(in_flight_.size()) < config_.outstanding) {
    const int64_t bytes =
        std::min(to_request_, int64_t{config_.burst_beats} * config_.bytes_per_cycle);
    in_flight_.push_back({cycle_ + config_.latency, bytes});
    to_request_ -= bytes;
  }
  if (cycle_ == next_refresh_) {
    refresh_ = config_.refresh_cycles;
    next_refresh_ += config_.refresh_interval;
  }
  if (refresh_ > 0) {
    --refresh_;
    state_ = PortState::kRefresh;
  } else if (gap_ > 0) {
    --gap_;
    state_ = PortState::kBurstGap;
  } else if (to_deliver_ == 0) {
    state_ = PortState::kDone;
  } else if (in_flight_.empty() || in_flight_.front().ready > cycle_) {
    state_ = PortState::kLatency;
  } else {
    state_ = PortState::kDelivering;
    Burst& burst = in_flight_.front();
    const int64_t bytes = std::min<int64_t>(burst.bytes, config_.bytes_per_cycle);
    if (fifo_ + bytes > config_.fifo_bytes) return;  // the bus waits for the unit
    fifo_ += bytes;
    delivered_ += bytes;
    to_deliver_ -= bytes;
    burst.bytes -= bytes;
    if (burst.bytes == 0) {
      in_flight_.pop_front();
      gap_ = config_.burst_gap;
    }
  }
}

bool MemoryPort::Take(int bytes) {
  if (fifo_ < bytes) return false;
  fifo_ -= bytes;
  return true;
}

}  // namespace seedlm::hardware
