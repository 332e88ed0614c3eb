// What the units are given in gemv_lockstep, and what they must give: exact arithmetic on the
// codec's integers.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "hardware/sim/command.h"
#include "hardware/sim/unit.h"
#include "kernels/format/packed_tensor.h"
#include "tests/hardware/lockstep.h"

namespace seedlm::hardware {

inline constexpr int kLanes = SEEDLM_LANES;
inline constexpr int kColumnsPerLine = 8 * kLanes;
// Bits of TUSER and `error`.
inline constexpr uint32_t kZeroSeed = 1, kNotFinite = 2, kBadLevels = 4, kBadLength = 8;

enum class Levels { kFitted, kPow2, kNone };  // kNone: float16 weights

// One product: what goes in.
struct Job {
  Command command;
  std::vector<uint32_t> vector;   // as on the wire; empty: the one before is kept
  std::vector<uint32_t> weights;  // rows of whole words
  std::vector<float> scales;      // one a row, or none
};

// An integer, and whether it stands for a value that was not finite.
struct Fixed {
  int64_t value = 0;
  bool not_finite = false;
};

// The activations of a vector.
std::vector<Fixed> Values(const std::vector<uint32_t>& wire, Activations activations);

struct Result {
  uint32_t flags = 0;
  uint32_t known = 15;  // which of the flags are known
  bool means_something = true;
  uint32_t bits = 0;  // of the float32, if so
};

// The row's result and flags, by definition.
Result Expected(const Job& job, Levels levels, const std::vector<Fixed>& x, size_t row);

// A matrix of random codes or weights. `hostile`: zero seeds and values that are not finite may be,
// and now and then a level table or a vector that does not fit the command.
Job RandomJob(const Unit& unit, Levels levels, int64_t rows, int lines, bool keep_last,
              bool hostile, Random& random);

// Two of the longest rows, all products as large as they can be, of one sign in the first and of
// the other in the second.
Job ExtremeJob(const Unit& unit, Levels levels);

// One line a row under a vector of one line more than the banks hold: its lines are counted, not
// only where the counter ends.
Job OverlongJob(const Unit& unit, Levels levels, Random& random);

// A compressed tensor against random activations.
Job TensorJob(const Unit& unit, Levels levels, const format::PackedTensor& tensor, Random& random);

}  // namespace seedlm::hardware
