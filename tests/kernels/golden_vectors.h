// Reads tests/vectors/encode_*.txt: golden vectors made by an independent brute-force program.
#pragma once

#include <string>
#include <vector>

#include "kernels/codec/levels.h"
#include "kernels/codec/profile.h"

namespace seedlm::testing {

struct GoldenBlock {
  std::vector<float> weights;
  uint32_t seed = 0;
  int level = 0;
  std::vector<int> q;
  uint32_t word = 0;
  std::vector<float> decoded;
  double error = 0;
};

struct GoldenFile {
  std::string name;
  codec::Profile profile;
  codec::Fit fit = codec::Fit::kOptimal;
  codec::LevelTable levels;
  std::vector<GoldenBlock> blocks;
};

// All six files. Throws std::runtime_error if one is missing or malformed.
std::vector<GoldenFile> ReadGoldenFiles();

}  // namespace seedlm::testing
