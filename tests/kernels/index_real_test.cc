// The cell index on weights of a trained model, and on blocks that the levels hardly reach: the
// same codes as by the scan of all seeds.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "kernels/backend/weight_blocks.h"
#include "kernels/format/checkpoint.h"
#include "kernels/format/compression_plan.h"
#include "kernels/search/index_store.h"
#include "tests/kernels/index_compare.h"
#include "tests/kernels/read_tensor.h"

namespace seedlm::cpu {
namespace {

using codec::Fit;
using codec::Profile;
using codec::ScaleRule;

// Blocks of a tensor as a job cuts them: never across rows, the last one of a row padded.
std::vector<float> BlocksOf(const format::SafetensorsFile& file, const format::TensorInfo& tensor,
                            const Profile& profile) {
  REQUIRE(tensor.dtype == format::DType::kF32);
  const std::vector<std::byte> bytes = format::BytesOf(file, tensor);
  const backend::WeightRows rows{backend::WeightType::kF32, tensor.shape[0], tensor.shape[1],
                                 bytes.data()};
  std::vector<float> blocks(backend::LoadedSize(profile, rows, rows.rows));
  REQUIRE(backend::LoadBlocks(profile, rows, 0, rows.rows, blocks).ok());
  return blocks;
}

TEST_CASE("every tensor of a real model gets the exhaustive scan's codes", "[.][slow]") {
  const char* model = std::getenv("SEEDLM_TEST_MODEL");
  if (model == nullptr || *model == 0) {
    WARN("skipped: SEEDLM_TEST_MODEL names no model; make test-slow fetches one");
    return;
  }
  const auto checkpoint = format::Checkpoint::Open(model);
  REQUIRE(checkpoint.ok());
  const auto plan = format::PlanCompression(*checkpoint, {});
  REQUIRE(plan.ok());
  const SearchKernels kernels = KernelsFor(SupportedTargets().front());
  int64_t compared = 0;
  for (const Profile* profile : kIndexed) {
    search::IndexStore store(int64_t{2} << 30);
    size_t turn = 0;
    for (const format::PlannedTensor& tensor : plan->tensors) {
      if (!tensor.compressed) continue;
      CAPTURE(profile->name, tensor.source->name);
      const std::vector<float> blocks =
          BlocksOf(*checkpoint->files[tensor.file].file, *tensor.source, *profile);
      const backend::EncodeSpec spec{*profile, Fit::kOptimal,
                                     LevelsFor(*profile, ScaleRule::kFitted, blocks),
                                     int64_t{1} << 40};
      search::CellIndex& index = store.At(*profile, turn++ % search::Resolutions(*profile).size());
      compared += Compare(kernels, spec, index, blocks).blocks;
    }
  }
  CHECK(compared > 1'000'000);
}

// Codes scaled down by octaves and parts of octaves: from blocks that fit the lowest level to such
// as are nearer to zero than to any code, with those that lie exactly between.
std::vector<float> FadingBlocks(const Profile& profile, float lowest, int count) {
  std::mt19937 bits(23);
  std::vector<float> weights;
  for (int i = 0; i < count; ++i) {
    codec::BlockCode code;
    code.seed = static_cast<uint16_t>(1 + bits() % profile.seed_count());
    for (int p = 0; p < profile.rank; ++p) {
      code.q[p] = static_cast<int8_t>(static_cast<int>(bits() % 16) - 8);
    }
    std::vector<float> scale(codec::kLevels, lowest);
    std::vector<float> block(static_cast<size_t>(profile.block));
    codec::DecodeBlock(profile, code, scale.data(), block.data());
    const float factor = std::ldexp(i % 3 == 0 ? 1.0f : 0.75f, -(i % 7));
    for (const float w : block) weights.push_back(w * factor);
  }
  return weights;
}

void RunFading(const Profile& profile, int blocks) {
  const SearchKernels kernels = KernelsFor(SupportedTargets().front());
  search::IndexStore store(int64_t{1} << 30);
  const codec::LevelTable levels = codec::Pow2Levels(profile, -6);
  const backend::EncodeSpec spec{profile, Fit::kOptimal, levels, int64_t{1} << 40};
  const float lowest = *std::min_element(levels.scale.begin(), levels.scale.end());
  const std::vector<float> weights = FadingBlocks(profile, lowest, blocks);
  for (size_t r = 0; r < search::Resolutions(profile).size(); ++r) {
    CAPTURE(profile.name, r);
    CHECK(Compare(kernels, spec, store.At(profile, r), weights).blocks > 0);
  }
}

TEST_CASE("blocks that fade below the lowest level get the exhaustive scan's codes") {
  RunFading(codec::k4bit, 42);
}

TEST_CASE("many blocks that fade below the lowest level", "[.][slow]") {
  for (const Profile* profile : kIndexed) RunFading(*profile, 1'400);
}

}  // namespace
}  // namespace seedlm::cpu
