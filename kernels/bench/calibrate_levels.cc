// Measures the curve that kernels/codec/level_curve.h holds: the mean relative squared error of
// isotropic blocks of norm 2^(offset/8) when all levels are 1 / (2^(K-1) - 1). Prints the table as
// C++, one row of eight offsets a line. Usage: calibrate_levels [blocks [profile]]
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "kernels/codec/levels.h"
#include "kernels/cpu/backends.h"

namespace {

using seedlm::backend::EncodeSpec;
using seedlm::backend::WeightRows;
using seedlm::backend::WeightType;

constexpr int kFirstOffset = -24;
constexpr int kOffsets = 72;

// [count, C] directions, uniform on the sphere.
std::vector<double> Directions(int block, int count) {
  std::mt19937_64 bits(20261123);
  std::normal_distribution<double> normal;
  std::vector<double> rows(static_cast<size_t>(block * count));
  for (size_t at = 0; at < rows.size(); at += static_cast<size_t>(block)) {
    double squared = 0;
    for (int c = 0; c < block; ++c) {
      rows[at + static_cast<size_t>(c)] = normal(bits);
      squared += rows[at + static_cast<size_t>(c)] * rows[at + static_cast<size_t>(c)];
    }
    for (int c = 0; c < block; ++c) rows[at + static_cast<size_t>(c)] /= std::sqrt(squared);
  }
  return rows;
}

}  // namespace

int main(int argc, char** argv) {
  const int count = argc > 1 ? std::atoi(argv[1]) : 1000;
  const auto backend = seedlm::cpu::MakeSimdBackend();
  for (const seedlm::codec::Profile& profile : seedlm::codec::kProfiles) {
    if (argc > 2 && profile.name != argv[2]) continue;
    const std::vector<double> directions = Directions(profile.block, count);
    std::vector<float> weights(directions.size());
    EncodeSpec spec{profile, seedlm::codec::Fit::kOptimal, {}};
    spec.levels.scale.fill(seedlm::codec::LevelAt(0, profile.unit()));
    std::printf("    // %.*s\n", static_cast<int>(profile.name.size()), profile.name.data());
    for (int k = 0; k < kOffsets; ++k) {
      const double norm = std::exp2((kFirstOffset + k) / 8.0);
      for (size_t i = 0; i < weights.size(); ++i) {
        weights[i] = static_cast<float>(directions[i] * norm);
      }
      // Far below the level every seed has to be evaluated, and the error hardly varies.
      const int rows_used = kFirstOffset + k < 4 ? std::min(count, 24) : count;
      const WeightRows rows{WeightType::kF32, rows_used, profile.block,
                            reinterpret_cast<const std::byte*>(weights.data())};
      const auto shard = (*backend)->Encode(spec, rows, {});
      std::printf("%s%.5f,%s", k % 8 == 0 ? "    " : " ",
                  shard->squared_error / shard->squared_weights, k % 8 == 7 ? "\n" : "");
      std::fflush(stdout);
    }
  }
}
