// What the searches read of all seeds, made on the host from the codec and search/bound_table.h,
// the same tables that the CPU's scan uses, laid out for threads that all read the same seed.
//
// Seeds stand in the order of the register's cycle: position n holds seed x_n, v[m] = x_{m+1} -
// 2^15, and with r(m) = sum_c v[m + c P] w_c every seed's A^T w is (r(n), .., r(n + P - 1)): one
// correlation a seed. |Q^T w|^2 = |L^-1 A^T w|^2 then takes P (P+1)/2 + P more multiply-adds.
// Ill-conditioned seeds are scored by their orthonormal bases instead.
//
// Margin. A block enters as float32(w_c block_unit / |w|). BoundTable counts (2P + 4) roundings of
// 2^-24 for r as a float and the multiply-adds of z, relative to sum_j |(L^-1)_ij| |a_j|; here r
// itself takes C multiply-adds, at most two roundings each and relative to sum_c |v w| <= |a_j|
// |w|, and the weights one: 2C + 1, taken as 2C + 2. So |error of z| is at most (2P + 4 + 2C + 2) /
// (2P + 4) times what BoundTable::margin() counts once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "kernels/codec/host_device.h"
#include "kernels/codec/profile.h"
#include "kernels/cuda/cell_search.h"

namespace seedlm::cuda {

// Floats of a position's record: the C values v[n + P - 1 + c P], the entries of L^-1 / block_unit
// (zeros for ill-conditioned seeds), padded to whole 16-byte loads.
constexpr int RecordFloats(int block, int rank) {
  return (block + rank * (rank + 1) / 2 + 3) / 4 * 4;
}
// Doubles of a seed's exact factors: Q [P][C], R upper triangle row by row.
constexpr int FactorDoubles(int block, int rank) { return block * rank + rank * (rank + 1) / 2; }

// Ill-conditioned seeds are 1 % to 2 % of all; more than these would be a fault of the bound table.
inline constexpr int kMostIllSeeds = 1 << 13;

// Pointers into device memory (or, for the emulation and for tests, the host's).
struct TableView {
  const float* records;       // [P - 1 + plain_segments * segment][RecordFloats]: from n = 1 - P on
  const float* sequence;      // v[m]
  const float* ill_bases;     // [ill_segments * ill_segment][C][P]: Q / block_unit
  const float* bases;         // [seed][P][C]: Q / block_unit; seed 0: zeros
  const uint16_t* seeds;      // [plain_segments * segment + ill_segments * ill_segment]; 0: padding
  const double* factors;      // [seed][FactorDoubles]
  const double* shortest;     // [seed]: lower bound of |A q| over A q != 0
  const uint32_t* fragments;  // [2^16 / 16][TensorSteps][lane][4]: tensor_tile.h, 16 seeds each
  double tensor_rounding;     // the largest |dA| of them
  int plain_segments;
  int ill_segments;
  float margin;  // |computed - exact| of a score, which is |Q^T w|^2 of unit-norm w
  double block_unit;
  CellView cells;  // set by whoever has memory for them

  SEEDLM_HD int segments() const { return plain_segments + ill_segments; }
};

// The tables of one profile as one piece of memory. 4bit: 22 MB. Immutable.
class SearchTables {
 public:
  // Takes about 100 ms.
  explicit SearchTables(const codec::Profile& profile);

  // The process's tables for one of codec::kProfiles, built at the first call. Thread-safe.
  static const SearchTables& For(const codec::Profile& profile);

  // Of bytes(), without building the tables.
  static size_t UpperBoundBytes(const codec::Profile& profile);

  std::string_view name() const { return name_; }  // of the profile
  const std::vector<std::byte>& bytes() const { return bytes_; }
  // The view of a copy of bytes() that begins at `base`.
  TableView ViewAt(const std::byte* base) const;

 private:
  template <typename T>
  size_t Append(const std::vector<T>& values);

  std::string_view name_;
  std::vector<std::byte> bytes_;
  size_t records_, sequence_, ill_bases_, bases_, seeds_, factors_, shortest_,
      fragments_;  // offsets
  int plain_segments_ = 0;
  int ill_segments_ = 0;
  float margin_ = 0;
  double tensor_rounding_ = 0;
  double block_unit_ = 0;
};

}  // namespace seedlm::cuda
