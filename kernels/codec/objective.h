// What the encoder minimises, and the order among equals.
#pragma once

#include <cmath>
#include <cstdint>

#include "kernels/codec/block_code.h"
#include "kernels/codec/host_device.h"
#include "kernels/codec/profile.h"

namespace seedlm::codec {

// E = sum_c (w_c - decoded_c)^2 in float64, c upward, one fused multiply-add a step.
SEEDLM_HD inline double BlockError(const Profile& profile, const float* weights, const Basis& basis,
                                   const int8_t* q, float scale) {
  double error = 0;
  for (int c = 0; c < profile.block; ++c) {
    const float decoded = DecodeWeight(profile, basis.at[c], q, scale);
    const double d = static_cast<double>(weights[c]) - static_cast<double>(decoded);
    error = fma(d, d, error);
  }
  return error;
}

// A code with its error. Order: least error, then least seed, then least remaining code.
struct Candidate {
  double error;
  uint32_t seed;
  uint32_t remainder;
};

SEEDLM_HD inline bool Better(const Candidate& a, const Candidate& b) {
  if (a.error != b.error) return a.error < b.error;
  if (a.seed != b.seed) return a.seed < b.seed;
  return a.remainder < b.remainder;
}

}  // namespace seedlm::codec
