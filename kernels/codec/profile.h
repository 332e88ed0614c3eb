// Profiles (how many weights a code covers, with how many coefficients) and the two encoder
// choices.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "kernels/codec/host_device.h"

namespace seedlm::codec {

inline constexpr int kMaxBlock = 16;  // weights a block, over all profiles
inline constexpr int kMaxRank = 4;    // coefficients a block, over all profiles
inline constexpr int kCoefficientBits = 4;
inline constexpr int kMinCoefficient = -8;
inline constexpr int kMaxCoefficient = 7;
inline constexpr int kLevelBits = 4;
inline constexpr int kLevels = 1 << kLevelBits;

// The shape of a block code. Weights W[row, col]: a block is `block` (C) consecutive weights of one
// row, written as a seed of `lfsr_width` (K) bits, `rank` (P) coefficients of 4 bits, a level of 4.
struct Profile {
  std::string_view name;
  int block;
  int rank;
  int lfsr_width;

  SEEDLM_HD constexpr int bits_per_block() const {
    return lfsr_width + kCoefficientBits * rank + kLevelBits;
  }
  SEEDLM_HD constexpr double bits_per_weight() const {
    return static_cast<double>(bits_per_block()) / block;
  }
  // Seeds are 1 .. seed_count(); the state 0 locks the register and is no seed.
  SEEDLM_HD constexpr uint32_t seed_count() const { return (1u << lfsr_width) - 1; }
  // Entries of the basis are (state - centre()) / unit().
  SEEDLM_HD constexpr int32_t centre() const { return 1 << (lfsr_width - 1); }
  SEEDLM_HD constexpr int32_t unit() const { return centre() - 1; }
  // With P = 3 the level rides in the top bits of the 32-bit word; with P = 4 in a plane of its
  // own.
  SEEDLM_HD constexpr bool level_in_word() const { return bits_per_block() <= 32; }
  SEEDLM_HD constexpr int64_t blocks_per_row(int64_t columns) const {
    return columns / block + (columns % block != 0);
  }
};

inline constexpr Profile k4bit{"4bit", 8, 3, 16};
inline constexpr Profile k3bit{"3bit", 12, 4, 16};
inline constexpr Profile k4_5bit{"4.5bit", 8, 4, 16};
inline constexpr Profile k2bit{"2bit", 16, 3, 16};
inline constexpr std::array<Profile, 4> kProfiles{k4bit, k3bit, k4_5bit, k2bit};

// The profile of that name ("4bit", ..), or null.
constexpr const Profile* FindProfile(std::string_view name) {
  for (const Profile& profile : kProfiles) {
    if (profile.name == name) return &profile;
  }
  return nullptr;
}

// How coefficients are chosen for a seed.
enum class Fit : uint8_t {
  kOptimal,  // the exact minimum of the error over seeds, levels and coefficients
  kNearest,  // the paper's heuristic: rounded least squares; with kPaper and kPow2 only
};

// How the 16 levels of a tensor are chosen.
enum class ScaleRule : uint8_t {
  kPaper,   // powers of two in the fixed window [-8, 7]
  kPow2,    // powers of two in a window that is placed for each tensor
  kFitted,  // a table designed for each tensor from its block norms
};

constexpr std::string_view Name(Fit fit) { return fit == Fit::kOptimal ? "optimal" : "nearest"; }

constexpr std::string_view Name(ScaleRule rule) {
  switch (rule) {
    case ScaleRule::kPaper:
      return "paper";
    case ScaleRule::kPow2:
      return "pow2";
    case ScaleRule::kFitted:
      break;
  }
  return "fitted";
}

}  // namespace seedlm::codec
