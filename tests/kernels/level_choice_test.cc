#include "kernels/backend/level_choice.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <functional>
#include <random>

#include "kernels/backend/weight_blocks.h"
#include "kernels/cpu/backends.h"
#include "tests/kernels/test_weights.h"

namespace seedlm::backend {
namespace {

using codec::Fit;
using codec::ScaleRule;

struct Tensor {
  const char* name;
  std::function<float(std::mt19937&, int64_t)> weight;
};

float Normal(std::mt19937& bits) { return std::normal_distribution<float>(0, 0.02f)(bits); }

// Tensors on which a table for the average block could go wrong.
const Tensor kTensors[] = {
    {"gaussian", [](std::mt19937& b, int64_t) { return Normal(b); }},
    {"student t, 2 degrees",
     [](std::mt19937& b, int64_t) { return std::student_t_distribution<float>(2)(b); }},
    {"outliers of 60 sigma",
     [](std::mt19937& b, int64_t) { return Normal(b) * (b() % 500 == 0 ? 60.0f : 1.0f); }},
    {"log-normal, a few weights are everything",
     [](std::mt19937& b, int64_t) { return std::exp(75 * Normal(b)) * (b() % 2 == 0 ? 1 : -1); }},
};

double RelativeError(const Backend& backend, const codec::LevelTable& levels,
                     const codec::Profile& profile, const WeightRows& rows) {
  const auto shard = backend.Encode({profile, Fit::kOptimal, levels}, rows, {});
  return shard->squared_error / shard->squared_weights;
}

TEST_CASE("fitted levels are never worse than powers of two", "[level_choice]") {
  const auto backend = *cpu::MakeSimdBackend();
  const auto [profile, rows_count] = GENERATE(table<codec::Profile, int64_t>(
      {{codec::k4bit, 200}, {codec::k3bit, 12}, {codec::k4_5bit, 12}, {codec::k2bit, 12}}));
  for (const Tensor& tensor : kTensors) {
    const int64_t columns = 50 * profile.block;
    std::mt19937 bits(16);
    std::vector<float> weights;
    for (int64_t i = 0; i < rows_count * columns; ++i) weights.push_back(tensor.weight(bits, i));
    const WeightRows rows{WeightType::kF32, rows_count, columns,
                          reinterpret_cast<const std::byte*>(weights.data())};
    codec::NormHistogram histogram;
    REQUIRE(AddBlockNorms(profile, rows, histogram).ok());
    const auto choose = [&, &profile = profile](ScaleRule rule) {
      return *ChooseLevels(*backend, profile, Fit::kOptimal, rule, histogram, {});
    };
    const codec::LevelTable fitted = choose(ScaleRule::kFitted);
    const double fitted_error = RelativeError(*backend, fitted, profile, rows);
    const double pow2_error = RelativeError(*backend, choose(ScaleRule::kPow2), profile, rows);
    CAPTURE(profile.name, tensor.name, fitted_error, pow2_error);
    CHECK(fitted_error <= 1.005 * pow2_error);
    CHECK(fitted.rule == ScaleRule::kFitted);
    CHECK(std::is_sorted(fitted.scale.begin(), fitted.scale.end()));
  }
}

TEST_CASE("every backend chooses the same levels", "[level_choice]") {
  const std::vector<float> weights =
      testing::MakeWeights(testing::Kind::kHeavyTailed, 40 * 400, 17);
  const WeightRows rows{WeightType::kF32, 40, 400,
                        reinterpret_cast<const std::byte*>(weights.data())};
  codec::NormHistogram histogram;
  REQUIRE(AddBlockNorms(codec::k4bit, rows, histogram).ok());
  const auto by_reference = ChooseLevels(*cpu::MakeReferenceBackend(), codec::k4bit, Fit::kOptimal,
                                         ScaleRule::kFitted, histogram, {});
  const auto by_simd = ChooseLevels(**cpu::MakeSimdBackend(), codec::k4bit, Fit::kOptimal,
                                    ScaleRule::kFitted, histogram, {});
  CHECK(*by_reference == *by_simd);
}

TEST_CASE("a tensor of zeros has levels too", "[level_choice]") {
  const auto levels = ChooseLevels(**cpu::MakeSimdBackend(), codec::k4bit, Fit::kOptimal,
                                   ScaleRule::kFitted, codec::NormHistogram(), {});
  REQUIRE(levels.ok());
  for (const float level : levels->scale) CHECK(std::isnormal(level));
}

}  // namespace
}  // namespace seedlm::backend
