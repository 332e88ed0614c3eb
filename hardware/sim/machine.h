// A unit behind its ports, cycle by cycle: matrices in a row, one after the other.
//
// The control is that of hardware/rtl. Weights come through a MemoryPort; activations through a
// port of their own, a beat as wide as a word each cycle, into one of two banks: the vector of the
// next matrix is loaded while this one streams. A matrix starts when its vector is whole. Between
// two matrices lies one cycle without a word.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "hardware/sim/memory_port.h"
#include "hardware/sim/unit.h"

namespace seedlm::hardware {

// One product y = W x.
struct Matrix {
  std::string name;
  int64_t rows = 0;
  int64_t columns = 0;
  // The vector of the matrix before is used again (k and v after q): no load. Not for the first.
  bool same_vector = false;
};

// The largest row, from the depth of the vector banks in rtl.
inline constexpr int kMaxLines = 256;

// Why a cycle took no word. In this order where several hold.
enum class Stall : uint8_t {
  kResults,    // the receiver of results is not ready: the whole pipeline stands
  kVector,     // activations are still being loaded
  kCommand,    // between two matrices
  kLatency,    // no word: memory latency
  kBurstGap,   // no word: between bursts
  kRefresh,    // no word: refresh
  kBandwidth,  // no word: the port is narrower than a word
  kDrain,      // all words are in; the last results are on their way
};
inline constexpr int kStalls = 8;
std::string_view Name(Stall stall);

struct MachineConfig {
  Unit unit;
  MemoryConfig memory;
  // The receiver takes a result every so many cycles.
  int result_interval = 1;

  absl::Status Validate() const;
};

// cycles = words + the sum of stalls: from the first activation's beat to the last result.
struct Report {
  int64_t cycles = 0;
  int64_t words = 0;
  int64_t weights = 0;  // of the matrices, without padding of rows to whole lines
  int64_t bytes = 0;    // through the memory port
  std::array<int64_t, kStalls> stalls{};

  int64_t stall(Stall cause) const { return stalls[static_cast<size_t>(cause)]; }
};

// What a cycle looked like, for traces.
struct CycleView {
  int64_t cycle;
  bool word_taken;
  Stall stall;                      // if not
  std::span<const uint8_t> stages;  // [latency]: 1 where a pipeline stage holds a word
  int64_t fifo_bytes;
  bool result;
};
using CycleObserver = absl::FunctionRef<void(const CycleView&)>;

// Runs all matrices. Deterministic; thread-safe. Errors: INVALID_ARGUMENT naming the matrix: no
// rows or columns, a row that is no multiple of the block of 8 or longer than kMaxLines lines; or
// the field of the configuration; DEADLINE_EXCEEDED after `max_cycles`.
absl::StatusOr<Report> Simulate(const MachineConfig& config, std::span<const Matrix> matrices,
                                int64_t max_cycles = int64_t{1} << 40);
// The same, telling of each cycle.
absl::StatusOr<Report> Simulate(const MachineConfig& config, std::span<const Matrix> matrices,
                                int64_t max_cycles, CycleObserver observer);

}  // namespace seedlm::hardware
