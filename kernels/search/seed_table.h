// What a search reads of a single seed: its orthonormal basis in 16 bits, for scores of lists of
// seeds, and its factors in float32, for the coefficients of the few seeds that are left.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/codec/profile.h"
#include "kernels/codec/seed_search.h"
#include "kernels/search/cache_aligned.h"

namespace seedlm::search {

// Immutable, thread-safe. 4bit: 16 MB, 3bit: 35 MB.
//
// Notation: A the C x P integer basis of a seed, A = Q R (thin QR in float64, codec::FactorBasis).
class SeedTable {
 public:
  // Takes about 50 ms.
  explicit SeedTable(const codec::Profile& profile);

  // The process's table for one of codec::kProfiles, built at the first call.
  static const SeedTable& For(const codec::Profile& profile);

  const codec::Profile& profile() const { return profile_; }

  // round(32767 Q), [P][C] (for pairs of weights c, c + 1 one 32-bit word). A row begins at a cache
  // line where it fits in one. Row 0, which is no seed, holds zeros.
  const int16_t* row(uint32_t seed) const { return &rows_[seed * row_stride_]; }
  size_t row_stride() const { return row_stride_; }
  static constexpr double kRowUnit = 32767;

  // The same in 8 bits, for profiles whose scores need no more (3bit): a line of 64 bytes.
  //   u8 128 + round(127 / m Q) [P][C], m the largest |entry| of Q: Q' = m / 127 (bytes - 128);
  //   f32 (m / 127)^2; f32 twice a bound of the norm of Q - Q' as a matrix, times kByteBlock.
  // Row 0: 128 for all bytes, 0 for both numbers.
  //
  // Scores of byte rows bound |Q^T u|, |u| = 1, from above. For u' with |u - u'| <= d,
  //   |Q^T u| <= |Q'^T u'| + |Q^T (u - u')| + |(Q - Q')^T u'| <= |Q'^T u'| + d + |Q - Q'| (1 + d),
  // and as |Q^T u| <= 1, the squares differ by no more than twice what is added here. A block is
  // rounded to multiples of n / m, n its largest |entry|, m at least kLeastByteWeight, so d <=
  // sqrt(C) / (2 m), 1 + d <= kByteBlock; and kByteMargin covers the float32 part.
  bool has_byte_rows() const { return !byte_rows_.empty(); }
  const uint8_t* byte_row(uint32_t seed) const { return &byte_rows_[seed * kLine]; }
  static constexpr double kByteUnit = 127;
  static constexpr int kLeastByteWeight = 64;
  static constexpr double kByteBlock = 1.028;
  static constexpr double kByteMargin = 0x1p-18;

  // A record of whole cache lines: float32 of Q [P][C], of R [P (P + 1) / 2] row by row from the
  // diagonal on, and of 1 / R_pp [P]; then A [C][P] as int16_t. Seeds that are not sound have zeros
  // for 1 / R_pp.
  const float* factor(uint32_t seed) const {
    return reinterpret_cast<const float*>(&records_[seed * record_stride_]);
  }
  int r_offset() const { return profile_.block * profile_.rank; }
  int inverse_offset() const { return r_offset() + profile_.rank * (profile_.rank + 1) / 2; }

  // Whether min_p R_pp >= kLeastDiagonal, so that float32 arithmetic on the factors means
  // something: no two coefficient vectors of such a seed decode to nearly the same weights. All but
  // some 1 % of the seeds.
  bool sound(uint32_t seed) const { return factor(seed)[inverse_offset()] != 0; }
  static constexpr double kLeastDiagonal = 4096;

  // The factors, in float64, of a seed that is not sound.
  const codec::Factor& exact_factor(uint32_t seed) const {
    const auto at = std::lower_bound(unsound_.begin(), unsound_.end(), seed);
    return exact_factors_[static_cast<size_t>(at - unsound_.begin())];
  }

  // A [C][P].
  const int16_t* basis(uint32_t seed) const {
    return reinterpret_cast<const int16_t*>(&records_[seed * record_stride_ + basis_offset()]);
  }

  // Asks for a seed's record, and its row, ahead of their use.
  void PrefetchRecord(uint32_t seed) const {
    const std::byte* record = &records_[seed * record_stride_];
    for (size_t i = 0; i < record_stride_; i += kLine) __builtin_prefetch(record + i);
  }
  static constexpr int kRowsAhead = 32;
  void PrefetchByteRow(uint32_t seed) const { __builtin_prefetch(byte_row(seed)); }
  void PrefetchRow(uint32_t seed) const {
    const int16_t* entries = row(seed);
    for (size_t i = 0; i < row_stride_; i += kLine / sizeof(int16_t)) {
      __builtin_prefetch(entries + i);
    }
  }

  // Scores of rows: |(1/32767) row^T u|^2 of a unit-norm u that is itself rounded to multiples of
  // 1 / 32767, in exact integers but for one conversion and P float32 multiply-adds, is within this
  // of |Q^T u|^2. Rounding moves the entries of Q and of u by at most 1 / 65534 each, so every z_p
  // by at most (2 sqrt(C) + C / 65534) / 65534, z by sqrt(P) times that =: e, and |z|^2, |z| <= 1,
  // by 2 e + e^2; 2^-20 covers the float32 part.
  double row_margin() const {
    const double block = profile_.block;
    const double e =
        std::sqrt(profile_.rank) * (2 * std::sqrt(block) + block / 65534) / 65534 * (1 + 1e-6);
    return 2 * e + e * e + 0x1p-20;
  }

 private:
  static constexpr size_t kLine = 64;  // bytes of a cache line
  void SetByteRow(uint32_t seed, const codec::Factor& factor);
  size_t basis_offset() const {
    return static_cast<size_t>(inverse_offset() + profile_.rank) * sizeof(float);
  }

  codec::Profile profile_;
  size_t row_stride_;
  size_t record_stride_;  // bytes
  std::vector<int16_t, CacheAligned<int16_t>> rows_;
  std::vector<uint8_t, CacheAligned<uint8_t>> byte_rows_;
  std::vector<std::byte, CacheAligned<std::byte>> records_;
  std::vector<uint32_t> unsound_;             // ascending
  std::vector<codec::Factor> exact_factors_;  // of those
};

}  // namespace seedlm::search
