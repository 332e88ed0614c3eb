// What a matrix-vector unit does in a cycle: the figures of hardware/rtl that its cycles depend on.
#pragma once

#include <bit>
#include <cstdint>
#include <string_view>

namespace seedlm::hardware {

enum class UnitKind : uint8_t {
  kSeedlm,  // rtl/gemv.sv: 4bit blocks of 8 weights
  kFp16,    // rtl/gemv.sv with FP16: float16 weights, the reference on the same port
};

enum class Activations : uint8_t { kFloat16, kInt8 };

// Immutable. REQUIRES: lanes a power of two.
struct Unit {
  UnitKind kind = UnitKind::kSeedlm;
  int lanes = 16;  // seedlm: blocks a cycle; fp16: twice as many weights a cycle
  Activations activations = Activations::kFloat16;

  // Weights and bytes of one word: what the unit takes in a cycle.
  int weights_per_word() const { return kind == UnitKind::kSeedlm ? 8 * lanes : 2 * lanes; }
  int word_bytes() const { return 4 * lanes; }

  // Activations come in lines of 8 * lanes, on a port as wide as the words, whatever the unit.
  int columns_per_line() const { return 8 * lanes; }
  int beats_per_line() const { return activations == Activations::kInt8 ? 2 : 4; }

  // Cycles from the one that takes a row's last word to the one that gives its result.
  int latency() const {
    const int adder_tree = std::bit_width(static_cast<unsigned>(lanes)) - 1;
    if (kind == UnitKind::kFp16) return 1 + 1 + 1 + (adder_tree + 1) + kRowEnd;
    // word, digits, sums, products, shifts, pairs, block, level products (2), level shift
    return 10 + adder_tree + kRowEnd;
  }

 private:
  static constexpr int kRowEnd = 6;  // accumulator, magnitude, shift, float32, product, result
};

constexpr std::string_view Name(UnitKind kind) {
  return kind == UnitKind::kSeedlm ? "seedlm" : "fp16";
}

}  // namespace seedlm::hardware
