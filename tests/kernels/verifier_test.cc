#include "kernels/verify/verifier.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "kernels/verify/problems.h"
#include "tests/client/tiny_checkpoint.h"
#include "tests/server/temporary_directory.h"

namespace seedlm::verify {
namespace {

using namespace client;  // TinyCheckpoint
using server::TemporaryDirectory;

// The reference takes about a millisecond a block: made once.
const TinyCheckpoint& Intact() {
  static const TinyCheckpoint tiny =
      MakeTinyCheckpoint(codec::Fit::kOptimal, codec::ScaleRule::kFitted);
  return tiny;
}

VerifyReport Check(const TinyCheckpoint& compressed, const TinyCheckpoint& original,
                   const VerifyOptions& options = {}) {
  const TemporaryDirectory scratch;
  WriteCompressed(compressed, scratch / "c.safetensors");
  WriteSource(original, scratch / "o.safetensors");
  const auto packed = OpenPackedCheckpoint(scratch / "c.safetensors");
  REQUIRE(packed.ok());
  const auto source = format::Checkpoint::Open(scratch / "o.safetensors");
  REQUIRE(source.ok());
  auto report = Verify(*packed, *source, options, {}, [](const VerifyProgress&) {});
  REQUIRE(report.ok());
  return *std::move(report);
}

std::string Problems(const VerifyReport& report) { return absl::StrJoin(report.problems, "\n"); }

// The relative error by a plain loop over DecodeBlock.
double PlainError(const TinyCheckpoint& tiny) {
  double error = 0;
  double norm = 0;
  for (int64_t row = 0; row < tiny.kRows; ++row) {
    for (int64_t column = 0; column < tiny.kColumns; ++column) {
      const uint32_t word = tiny.words[static_cast<size_t>(row * 3 + column / 8)];
      float decoded[codec::kMaxBlock];
      codec::DecodeBlock(tiny.profile, codec::UnpackWord(tiny.profile, word, 0),
                         tiny.levels.scale.data(), decoded);
      const double w = tiny.weights[static_cast<size_t>(row * tiny.kColumns + column)];
      error += (w - decoded[column % 8]) * (w - decoded[column % 8]);
      norm += w * w;
    }
  }
  return std::sqrt(error / norm);
}

TEST_CASE("an intact checkpoint passes, all of its blocks encoded again") {
  const VerifyReport report = Check(Intact(), Intact(), {.max_error = {}, .sample = 1000});
  CHECK(Problems(report).empty());
  REQUIRE(report.tensors.size() == 1);
  CHECK(report.tensors[0].name == "w.weight");
  CHECK(report.relative_error() == Approx(PlainError(Intact())).epsilon(1e-9));
  CHECK(report.max_error() > 0);
  CHECK(report.passed_through == std::vector<std::string>{"w.bias"});
}

TEST_CASE("nearest with paper and pow2 levels: the levels are found again") {
  for (const auto rule : {codec::ScaleRule::kPaper, codec::ScaleRule::kPow2}) {
    const TinyCheckpoint tiny = MakeTinyCheckpoint(codec::Fit::kNearest, rule);
    CHECK(Problems(Check(tiny, tiny)).empty());
  }
}

TEST_CASE("--max-error names the tensor that is above it") {
  const double error = PlainError(Intact());
  CHECK(Problems(Check(Intact(), Intact(), {.max_error = error * 1.001})).empty());
  const std::string problems = Problems(Check(Intact(), Intact(), {.max_error = error * 0.999}));
  CHECK(absl::StrContains(problems, "tensor 'w.weight': relative error"));
  CHECK(absl::StrContains(problems, "above --max-error"));
}

TEST_CASE("a zero seed is named by tensor, row and block") {
  TinyCheckpoint damaged = Intact();
  damaged.words[2 * 3 + 1] &= 0xFFFF0000u;
  const std::string problems = Problems(Check(damaged, Intact(), {.max_error = {}, .sample = 0}));
  CHECK(absl::StrContains(problems, "w.weight"));
  CHECK(absl::StrContains(problems, "row 2"));
  CHECK(absl::StrContains(problems, "block 1"));
}

TEST_CASE("a code worse than none is damage") {
  TinyCheckpoint damaged = Intact();
  // The largest coefficients at the largest level: far outside of any block here.
  damaged.words[4 * 3] = (damaged.words[4 * 3] & 0xFFFFu) | 0xF8880000u;
  const std::string problems = Problems(Check(damaged, Intact(), {.max_error = {}, .sample = 0}));
  CHECK(absl::StrContains(problems, "tensor 'w.weight': row 4, block 0: its code is not the best"));
}

TEST_CASE("a weight of the original that is not finite is named, and spoils no figure") {
  for (const float bad : {std::nanf(""), -HUGE_VALF}) {
    TinyCheckpoint original = Intact();
    original.weights[static_cast<size_t>(2 * original.kColumns + 9)] = bad;
    const VerifyReport report = Check(Intact(), original, {.max_error = {}, .sample = 0});
    CHECK(Problems(report) ==
          "tensor 'w.weight': row 2, column 9: the original's weight is not finite, so that this "
          "is not what was compressed; give the one that was");
    CHECK(report.relative_error() == Approx(PlainError(Intact())).epsilon(0.1));
    CHECK(std::isfinite(report.max_error()));
  }
}

TEST_CASE("another original is told in one line") {
  TinyCheckpoint other = Intact();
  std::reverse(other.weights.begin(), other.weights.end());
  other.bias[0] = 7;
  CHECK(Problems(Check(Intact(), other)) ==
        "tensor 'w.weight': the original is not what was compressed, as 18 of 18 blocks are not "
        "its own; give the one that was");
  // Where most of it is the same, the blocks are named.
  other = Intact();
  for (size_t i = 0; i < 5; ++i) other.weights[i * 20] += 1;
  CHECK(Check(Intact(), other, {.max_error = {}, .sample = 0}).problems.size() == 6);
}

TEST_CASE("many problems are counted, and a few are told") {
  ProblemList all;
  for (int range = 0; range < 3; ++range) {
    ProblemList found;
    for (int i = 0; i < 7; ++i) found.Add(std::to_string(i));
    CHECK(found.count() == 7);
    all.Append(found);
  }
  CHECK(all.Lines() == std::vector<std::string>{"0", "1", "2", "3", "4", "and 16 more like these"});
  CHECK(ProblemList().Lines().empty());
}

TEST_CASE("another seed's best code is found by encoding again") {
  TinyCheckpoint damaged = Intact();
  const float* weights = &damaged.weights[static_cast<size_t>(5 * damaged.kColumns + 8)];
  const codec::BlockTask task = codec::MakeTask(damaged.profile, weights);
  codec::Candidate other = codec::InitialCandidate(damaged.fit, task);
  codec::EvaluateSeed(damaged.profile, damaged.fit, task, damaged.levels, 100, other);
  REQUIRE(other.seed == 100);
  damaged.words[5 * 3 + 1] = codec::PackWord(
      damaged.profile, codec::FromSeedAndRemainder(damaged.profile, other.seed, other.remainder));
  CHECK(Problems(Check(damaged, Intact(), {.max_error = {}, .sample = 0})).empty());
  const std::string problems =
      Problems(Check(damaged, Intact(), {.max_error = {}, .sample = 1000}));
  CHECK(absl::StrContains(problems, "tensor 'w.weight': row 5, block 1: holds seed"));
}

TEST_CASE("levels that no bias gives are damage") {
  TinyCheckpoint damaged = MakeTinyCheckpoint(codec::Fit::kOptimal, codec::ScaleRule::kPow2);
  const TinyCheckpoint original = damaged;
  damaged.levels.scale[3] = std::nextafter(damaged.levels.scale[3], 1.0f);
  CHECK(absl::StrContains(Problems(Check(damaged, original)), "not those of the rule pow2"));
}

TEST_CASE("a level that no block uses must be the one that the weights give") {
  TinyCheckpoint damaged = Intact();
  damaged.levels.scale[15] *= 2;
  CHECK(absl::StrContains(Problems(Check(damaged, Intact(), {.max_error = {}, .sample = 0})),
                          "tensor 'w.weight': its levels are not those of its weights"));
}

TEST_CASE("a passed-through tensor must be byte-identical") {
  TinyCheckpoint damaged = Intact();
  damaged.bias[1] = -damaged.bias[1];
  CHECK(absl::StrContains(Problems(Check(damaged, Intact())), "tensor 'w.bias': was passed"));
}

TEST_CASE("both sides must have the same tensors") {
  const TemporaryDirectory scratch;
  WriteCompressed(Intact(), scratch / "c.safetensors");
  auto layout = format::SafetensorsLayout::Make({{"other", format::DType::kU8, {1}}}, {});
  auto writer = format::SafetensorsWriter::Create(scratch / "o.safetensors", *std::move(layout),
                                                  format::IfExists::kFail);
  REQUIRE(writer->Commit().ok());
  const auto report = Verify(*OpenPackedCheckpoint(scratch / "c.safetensors"),
                             *format::Checkpoint::Open(scratch / "o.safetensors"), {}, {},
                             [](const VerifyProgress&) {});
  REQUIRE(report.ok());
  CHECK(absl::StrContains(Problems(*report), "tensor 'w.weight': is not in the original"));
  CHECK(absl::StrContains(Problems(*report), "tensor 'w.bias': is not in the original"));
  CHECK(absl::StrContains(Problems(*report), "tensor 'other': is missing from the compressed"));
}

TEST_CASE("a file of either side that is truncated meanwhile is an error with its name") {
  const TemporaryDirectory scratch;
  const std::string compressed = scratch / "c.safetensors";
  const std::string original = scratch / "o.safetensors";
  WriteCompressed(Intact(), compressed);
  WriteSource(Intact(), original);
  const auto packed = OpenPackedCheckpoint(compressed);
  const auto source = format::Checkpoint::Open(original);
  REQUIRE(packed.ok());
  REQUIRE(source.ok());
  const std::string cut = GENERATE_COPY(compressed, original);
  const auto report = Verify(*packed, *source, {}, {}, [&](const VerifyProgress& progress) {
    if (progress.done == 0) std::filesystem::resize_file(cut, 8);  // before the first row
  });
  CHECK(absl::IsFailedPrecondition(report.status()));
  CHECK(absl::StrContains(report.status().message(), cut + ": became shorter while tensor 'w."));
}

TEST_CASE("a stop ends it") {
  const TemporaryDirectory scratch;
  WriteCompressed(Intact(), scratch / "c.safetensors");
  WriteSource(Intact(), scratch / "o.safetensors");
  std::stop_source stop;
  stop.request_stop();
  const auto report = Verify(*OpenPackedCheckpoint(scratch / "c.safetensors"),
                             *format::Checkpoint::Open(scratch / "o.safetensors"), {},
                             stop.get_token(), [](const VerifyProgress&) {});
  CHECK(absl::IsCancelled(report.status()));
}

}  // namespace
}  // namespace seedlm::verify
