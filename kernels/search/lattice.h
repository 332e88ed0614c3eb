// Cells on the sphere of directions: the nearest point of a lattice, in closed form.
//
// D_n is the set of integer vectors of even sum, D_n+ its union with D_n + (1/2, .., 1/2). D_8+ is
// E8, whose covering radius is 1. The nearest point of D_n rounds every coordinate, and where the
// sum comes out odd rounds the worst one the other way (Conway and Sloane, "Fast quantizing and
// decoding algorithms for lattice quantizers and codes", 1982).
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/codec/host_device.h"
#include "kernels/codec/profile.h"

namespace seedlm::search {

// A lattice point, doubled: all coordinates even or all odd.
struct LatticePoint {
  int8_t twice[codec::kMaxBlock];
};

namespace internal {

// The nearest point of D_n + shift; returns the squared distance.
template <int n>
SEEDLM_HD inline float NearestOfD(const float* x, float shift, LatticePoint& point) {
  // Adding and subtracting this rounds a small float to the nearest integer, ties to even.
  constexpr float kRounder = 0x1.8p23f;
  float rounded[n], rest[n];
  float sum = 0, squared = 0;
  for (int i = 0; i < n; ++i) {
    const float shifted = x[i] - shift;
    rounded[i] = (shifted + kRounder) - kRounder;
    rest[i] = shifted - rounded[i];
    sum += rounded[i];
    squared += rest[i] * rest[i];
  }
  if (static_cast<int>(sum) & 1) {
    int worst = 0;
    for (int i = 1; i < n; ++i) worst = fabsf(rest[i]) > fabsf(rest[worst]) ? i : worst;
    rounded[worst] += rest[worst] < 0 ? -1.0f : 1.0f;
    squared += 1 - 2 * fabsf(rest[worst]);
  }
  for (int i = 0; i < n; ++i) point.twice[i] = static_cast<int8_t>(2 * (rounded[i] + shift));
  return squared;
}

}  // namespace internal

// The point of D_n+ nearest to x[0 .. n), up to the rounding of float32 (a neighbour at the border
// of two cells). REQUIRES: |x_i| <= 60.
template <int n>
SEEDLM_HD inline LatticePoint NearestOfDPlus(const float* x) {
  LatticePoint whole, half;
  const float to_whole = internal::NearestOfD<n>(x, 0.0f, whole);
  const float to_half = internal::NearestOfD<n>(x, 0.5f, half);
  return to_whole <= to_half ? whole : half;
}

// A name for the pair of points +-p, for which the lists of seeds are the same: 5 bits for each
// doubled coordinate of the one whose first non-zero coordinate is positive. 0: the origin.
// REQUIRES: n <= 12, |twice[i]| <= 15.
template <int n>
SEEDLM_HD inline uint64_t CellKey(const LatticePoint& point) {
  int sign = 0;
  for (int i = 0; i < n && sign == 0; ++i) sign = (point.twice[i] > 0) - (point.twice[i] < 0);
  if (sign == 0) return 0;
  uint64_t key = 0;
  for (int i = 0; i < n; ++i) {
    key |= static_cast<uint64_t>(16 + sign * point.twice[i]) << (5 * i);
  }
  return key;
}

// The doubled point of a key. REQUIRES: key != 0.
SEEDLM_HD inline LatticePoint PointOfKey(uint64_t key, int n) {
  LatticePoint point{};
  for (int i = 0; i < n; ++i) {
    point.twice[i] = static_cast<int8_t>(static_cast<int>((key >> (5 * i)) & 31) - 16);
  }
  return point;
}

// The centre of the cell of a key: a unit vector [n]. REQUIRES: key != 0.
inline void CentreOfKey(uint64_t key, int n, double* centre) {
  const LatticePoint point = PointOfKey(key, n);
  double squared = 0;
  for (int c = 0; c < n; ++c) squared += point.twice[c] * point.twice[c];
  for (int c = 0; c < n; ++c) centre[c] = point.twice[c] / std::sqrt(squared);
}

}  // namespace seedlm::search
