// The scalar model of a tensor core, and mma.sync made of it.
#include <algorithm>
#include <cmath>

#include "kernels/cuda/tensor_tile.h"

namespace seedlm::cuda {

float ModelDotProduct(const uint16_t* a, const uint16_t* b, int count, float accumulator) {
  double terms[17];
  terms[0] = accumulator;
  for (int i = 0; i < count; ++i) {
    terms[i + 1] = double{codec::FromFloat16(a[i])} * double{codec::FromFloat16(b[i])};
  }
  double largest = 0;
  for (int i = 0; i <= count; ++i) largest = std::max(largest, std::abs(terms[i]));
  if (largest == 0) return 0;
  const double unit = std::ldexp(1.0, std::ilogb(largest) - kAccumulatorBits + 1);
  double sum = 0;  // of multiples of `unit`: exact
  for (int i = 0; i <= count; ++i) sum += std::trunc(terms[i] / unit) * unit;
  if (sum == 0) return 0;
  const double last = std::ldexp(1.0, std::ilogb(sum) - 23);  // a float's last bit, cut as well
  return static_cast<float>(std::trunc(sum / last) * last);
}

void MultiplyAccumulate(FragmentD& d, const FragmentA& a, const FragmentB& b) {
  struct Given {
    const FragmentA* a;
    const FragmentB* b;
  } mine{&a, &b};
  // The others' fragments lie on their stacks, where they stay until all have met again.
  uint64_t addresses[kWarpSize];
  emulation::Gather(kWholeWarp, reinterpret_cast<uintptr_t>(&mine), addresses);
  const auto of = [&](int lane) { return reinterpret_cast<const Given*>(addresses[lane]); };
  const int g = emulation::LaneIndex() / 4, t = emulation::LaneIndex() % 4;
  uint16_t rows[2][16], columns[2][16];
  const auto halves = [](uint32_t word, uint16_t* to) {
    to[0] = static_cast<uint16_t>(word);
    to[1] = static_cast<uint16_t>(word >> 16);
  };
  for (int u = 0; u < 4; ++u) {
    const FragmentA& from = *of(4 * g + u)->a;
    halves(from.at[0], &rows[0][2 * u]);
    halves(from.at[1], &rows[1][2 * u]);
    halves(from.at[2], &rows[0][2 * u + 8]);
    halves(from.at[3], &rows[1][2 * u + 8]);
    for (int column = 0; column < 2; ++column) {
      const FragmentB& given = *of(4 * (2 * t + column) + u)->b;
      halves(given.at[0], &columns[column][2 * u]);
      halves(given.at[1], &columns[column][2 * u + 8]);
    }
  }
  for (int i = 0; i < 4; ++i) d.at[i] = ModelDotProduct(rows[i / 2], columns[i % 2], 16, d.at[i]);
  __syncwarp();
}

}  // namespace seedlm::cuda
