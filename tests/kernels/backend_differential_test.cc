// Every SIMD target against the reference backend: the same bytes.
#include <catch2/catch.hpp>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "kernels/backend/weight_blocks.h"
#include "kernels/codec/level_design.h"
#include "kernels/cpu/backends.h"
#include "tests/kernels/test_weights.h"

namespace seedlm {
namespace {

using backend::Backend;
using backend::EncodedShard;
using backend::EncodeSpec;
using backend::WeightRows;
using codec::Fit;
using codec::ScaleRule;
using testing::Kind;

constexpr int64_t kBlocksPerRow = 4;

WeightRows Rows(const std::vector<float>& weights, int64_t columns) {
  return {backend::WeightType::kF32, static_cast<int64_t>(weights.size()) / columns, columns,
          reinterpret_cast<const std::byte*>(weights.data())};
}

// Rows [first, first + count) of `rows`.
WeightRows Slice(WeightRows rows, int64_t first, int64_t count) {
  rows.data += first * rows.columns * backend::ByteWidth(rows.type);
  rows.rows = count;
  rows.first_row += first;
  return rows;
}

// Blocks where no level fits leave every seed to be evaluated: a few are enough.
int64_t RowsOf(Kind kind) {
  switch (kind) {
    case Kind::kGaussian:
      return 72;
    case Kind::kHeavyTailed:
      return 20;
    case Kind::kBfloat16:
      return 24;
    case Kind::kSparse:
      return 2;
    case Kind::kConstant:
      return 1;
    case Kind::kZero:
      return 8;
    case Kind::kTiny:
      return 1;
    case Kind::kHuge:
      return 1;
  }
  return 0;
}

EncodeSpec SpecFor(const codec::Profile& profile, Fit fit, ScaleRule rule, const WeightRows& rows) {
  codec::NormHistogram histogram;
  REQUIRE(backend::AddBlockNorms(profile, rows, histogram).ok());
  return {profile, fit, codec::DesignLevels(profile, rule, histogram)};
}

// The shard in two halves on two threads, put together again.
EncodedShard EncodeOnTwoThreads(const Backend& backend, const EncodeSpec& spec,
                                const WeightRows& rows) {
  EncodedShard halves[2];
  const int64_t middle = rows.rows / 2;
  {
    std::jthread first([&] { halves[0] = *backend.Encode(spec, Slice(rows, 0, middle), {}); });
    std::jthread second(
        [&] { halves[1] = *backend.Encode(spec, Slice(rows, middle, rows.rows - middle), {}); });
  }
  halves[0].words.insert(halves[0].words.end(), halves[1].words.begin(), halves[1].words.end());
  halves[0].levels.insert(halves[0].levels.end(), halves[1].levels.begin(), halves[1].levels.end());
  return halves[0];
}

TEST_CASE("every target, fit and scale makes the reference's bytes", "[differential]") {
  const auto reference = cpu::MakeReferenceBackend();
  std::map<std::string, std::shared_ptr<const Backend>> targets;
  for (const std::string& name : cpu::SimdTargets()) targets[name] = *cpu::MakeSimdBackend(name);
  REQUIRE(!targets.empty());
  int64_t blocks = 0;
  unsigned seed = 0;
  for (const codec::Profile& profile : codec::kProfiles) {
    for (const auto& [fit, rule] :
         {std::pair{Fit::kOptimal, ScaleRule::kFitted}, std::pair{Fit::kOptimal, ScaleRule::kPow2},
          std::pair{Fit::kOptimal, ScaleRule::kPaper}, std::pair{Fit::kNearest, ScaleRule::kPow2},
          std::pair{Fit::kNearest, ScaleRule::kPaper}}) {
      for (const Kind kind : testing::kKinds) {
        const bool hopeless = kind == Kind::kTiny || kind == Kind::kHuge;
        const int64_t columns =
            (hopeless ? 1 : kBlocksPerRow) * profile.block - 3;  // the last block is padded
        const std::vector<float> weights =
            testing::MakeWeights(kind, static_cast<size_t>(RowsOf(kind) * columns), ++seed);
        const WeightRows rows = Rows(weights, columns);
        const EncodeSpec spec = SpecFor(profile, fit, rule, rows);
        const auto expected = reference->Encode(spec, rows, {});
        REQUIRE(expected.ok());
        blocks += static_cast<int64_t>(expected->words.size());
        for (const auto& [name, backend] : targets) {
          CAPTURE(profile.name, codec::Name(fit), codec::Name(rule), testing::Name(kind), name);
          const auto got = backend->Encode(spec, rows, {});
          REQUIRE(got.ok());
          CHECK(got->words == expected->words);
          CHECK(got->levels == expected->levels);
          CHECK(got->squared_error == expected->squared_error);
          CHECK(got->max_error == expected->max_error);
        }
        // Each kind on each target, whatever their numbers.
        const size_t place = (seed + seed / std::size(testing::kKinds)) % targets.size();
        const auto& turn = *std::next(targets.begin(), static_cast<std::ptrdiff_t>(place));
        CAPTURE(profile.name, codec::Name(fit), codec::Name(rule), testing::Name(kind), turn.first);
        const EncodedShard halves = EncodeOnTwoThreads(*turn.second, spec, rows);
        CHECK(halves.words == expected->words);
        CHECK(halves.levels == expected->levels);
      }
    }
  }
  CHECK(blocks >= 10000);
}

TEST_CASE("narrow weights are the same as their float32 values", "[differential]") {
  const auto type = GENERATE(backend::WeightType::kBF16, backend::WeightType::kF16);
  std::vector<float> weights = testing::MakeWeights(Kind::kGaussian, 64 * 8, 9);
  std::vector<uint16_t> narrow;
  for (float& w : weights) {
    const bool is_bf16 = type == backend::WeightType::kBF16;
    narrow.push_back(is_bf16 ? codec::ToBfloat16(w) : codec::ToFloat16(w));
    w = is_bf16 ? codec::FromBfloat16(narrow.back()) : codec::FromFloat16(narrow.back());
  }
  const WeightRows wide = Rows(weights, 64);
  WeightRows half = wide;
  half.type = type;
  half.data = reinterpret_cast<const std::byte*>(narrow.data());
  const EncodeSpec spec = SpecFor(codec::k4bit, Fit::kOptimal, ScaleRule::kFitted, wide);
  const auto expected = cpu::MakeReferenceBackend()->Encode(spec, wide, {});
  CHECK((*cpu::MakeSimdBackend())->Encode(spec, half, {})->words == expected->words);
  CHECK(cpu::MakeReferenceBackend()->Encode(spec, half, {})->words == expected->words);
}

TEST_CASE("bad weights and impossible fits are refused by name", "[backend]") {
  std::vector<float> weights = testing::MakeWeights(Kind::kGaussian, 20 * 16, 1);
  weights[5 * 20 + 7] = std::numeric_limits<float>::quiet_NaN();
  WeightRows rows = Rows(weights, 20);
  rows.first_row = 100;
  EncodeSpec spec;
  spec.levels = codec::Pow2Levels(spec.profile, -10);
  for (const auto& backend : {cpu::MakeReferenceBackend(), *cpu::MakeSimdBackend()}) {
    const auto refused = backend->Encode(spec, rows, {});
    REQUIRE(refused.status().code() == absl::StatusCode::kInvalidArgument);
    CHECK(refused.status().message() == "row 105, column 7: weight is NaN");
  }
  weights[5 * 20 + 7] = 0;
  spec.fit = Fit::kNearest;
  spec.levels.rule = ScaleRule::kFitted;
  const auto refused = (*cpu::MakeSimdBackend())->Encode(spec, rows, {});
  CHECK(refused.status().code() == absl::StatusCode::kInvalidArgument);
}

TEST_CASE("a stop request ends an encoding", "[backend]") {
  const std::vector<float> weights = testing::MakeWeights(Kind::kGaussian, 64 * 64, 2);
  EncodeSpec spec;
  spec.levels = codec::Pow2Levels(spec.profile, -10);
  std::stop_source stop;
  stop.request_stop();
  const auto stopped = (*cpu::MakeSimdBackend())->Encode(spec, Rows(weights, 64), stop.get_token());
  CHECK(stopped.status().code() == absl::StatusCode::kCancelled);
}

TEST_CASE("an unknown instruction set is refused", "[backend]") {
  CHECK(cpu::MakeSimdBackend("AVX9").status().code() == absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace seedlm
