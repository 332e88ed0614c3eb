// The memory port that weights come through: bursts in flight, a bus, refresh, a small FIFO.
#pragma once

#include <cstdint>
#include <deque>

#include "absl/status/status.h"

namespace seedlm::hardware {

// The default is a port without stalls: every cycle brings `bytes_per_cycle`.
struct MemoryConfig {
  int bytes_per_cycle = 64;
  int latency = 0;           // cycles from a request to its first beat
  int burst_beats = 64;      // beats a request
  int outstanding = 16;      // requests in flight
  int burst_gap = 0;         // idle cycles of the bus after a burst
  int refresh_interval = 0;  // cycles from one refresh to the next; 0: none
  int refresh_cycles = 0;    // the bus is idle that long at each
  int fifo_bytes = 4096;     // between port and unit

  // INVALID_ARGUMENT naming the field.
  absl::Status Validate() const;
};

// Why the FIFO has no whole word.
enum class PortState : uint8_t { kDelivering, kLatency, kBurstGap, kRefresh, kDone };

// Cycle by cycle. Deterministic. Not thread-safe.
class MemoryPort {
 public:
  // `total_bytes`: all that will be read. REQUIRES: a valid config; fifo_bytes >= the unit's word
  // plus a beat.
  MemoryPort(const MemoryConfig& config, int64_t total_bytes);

  // One cycle: requests go out, a beat may arrive. Call before Take().
  void Tick();
  // Takes `bytes` out of the FIFO; false if it holds fewer.
  bool Take(int bytes);
  // What the bus did in this cycle.
  PortState state() const { return state_; }
  int64_t delivered_bytes() const { return delivered_; }
  int64_t fifo_bytes() const { return fifo_; }

 private:
  MemoryConfig config_;
  int64_t to_request_;
  int64_t to_deliver_;
  int64_t delivered_ = 0;
  int64_t fifo_ = 0;
  int64_t cycle_ = -1;
  struct Burst {
    int64_t ready;  // cycle of its first beat
    int64_t bytes;
  };
  std::deque<Burst> in_flight_;
  int gap_ = 0;
  int refresh_ = 0;
  int64_t next_refresh_;
  PortState state_ = PortState::kLatency;
};

}  // namespace seedlm::hardware
