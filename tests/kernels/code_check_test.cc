// Every single bit of every plane, flipped: what verify sees without encoding anything again.
#include <fcntl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <tuple>

#include "kernels/verify/verifier.h"
#include "tests/client/tiny_checkpoint.h"
#include "tests/server/temporary_directory.h"

namespace seedlm::verify {
namespace {

using client::TinyCheckpoint;
using codec::Fit;
using codec::ScaleRule;

// A file whose bits can be flipped and flipped back.
class Bits {
 public:
  explicit Bits(const std::string& path) : fd_(open(path.c_str(), O_RDWR | O_CLOEXEC)) {}
  ~Bits() { close(fd_); }
  void Flip(uint64_t bit) const {
    uint8_t byte = 0;
    const auto offset = static_cast<off_t>(bit / 8);
    REQUIRE(pread(fd_, &byte, 1, offset) == 1);
    byte = static_cast<uint8_t>(byte ^ (1u << (bit % 8)));
    REQUIRE(pwrite(fd_, &byte, 1, offset) == 1);
  }

 private:
  int fd_;
};

bool IsFound(const std::string& path, const format::Checkpoint& original) {
  const auto packed = OpenPackedCheckpoint(path);
  if (!packed.ok()) return absl::IsInvalidArgument(packed.status());
  const auto report = Verify(*packed, original, {.sample = 0}, {}, [](const VerifyProgress&) {});
  REQUIRE(report.ok());
  return !report->problems.empty();
}

std::vector<float> BlockOf(const TinyCheckpoint& tiny, int64_t index) {
  const int64_t blocks = tiny.profile.blocks_per_row(tiny.kColumns);
  const int64_t first = index % blocks * tiny.profile.block;
  std::vector<float> weights(static_cast<size_t>(tiny.profile.block), 0.0f);
  for (int64_t c = 0; c < tiny.profile.block && first + c < tiny.kColumns; ++c) {
    weights[static_cast<size_t>(c)] =
        tiny.weights[static_cast<size_t>(index / blocks * tiny.kColumns + first + c)];
  }
  return weights;
}

// By trying them all.
bool IsBestOfAllCodesOf(const TinyCheckpoint& tiny, const std::vector<float>& weights,
                        uint32_t seed, uint32_t remainder) {
  const codec::Profile& profile = tiny.profile;
  const codec::Basis basis = codec::MakeBasis(profile, seed);
  const auto candidate = [&](uint32_t r) {
    const codec::BlockCode code = codec::FromSeedAndRemainder(profile, seed, r);
    return codec::Candidate{
        codec::BlockError(profile, weights.data(), basis, code.q, tiny.levels.scale[code.level]),
        seed, r};
  };
  const codec::Candidate stored = candidate(remainder);
  for (uint32_t r = 0; r < 1u << (4 * profile.rank + 4); ++r) {
    if (codec::Better(candidate(r), stored)) return false;
  }
  return true;
}

// A bit of a seed that gives the code of another seed that is the best which that one has: an
// encoder could have made it, had it not found a better seed.
void CheckUnseen(const TinyCheckpoint& tiny, uint64_t bit) {
  const auto index = static_cast<int64_t>(bit / 32);
  CAPTURE(index, bit % 32);
  REQUIRE(bit % 32 < 16);
  REQUIRE(tiny.fit == Fit::kOptimal);
  const int64_t blocks = tiny.profile.blocks_per_row(tiny.kColumns);
  const uint32_t word = tiny.words[static_cast<size_t>(index)] ^ (1u << (bit % 32));
  uint32_t level = 0;
  if (!tiny.nibbles.empty()) {
    const int64_t row_bytes = codec::LevelRowBytes(tiny.profile, blocks);
    level = codec::GetLevelNibble(&tiny.nibbles[static_cast<size_t>(index / blocks * row_bytes)],
                                  index % blocks);
  }
  const codec::BlockCode code = codec::UnpackWord(tiny.profile, word, level);
  CHECK(IsBestOfAllCodesOf(tiny, BlockOf(tiny, index), code.seed,
                           codec::Remainder(tiny.profile, code)));
}

TEST_CASE("every flipped bit is found, but for seeds whose best code is the same") {
  const auto [profile, fit, rule] = GENERATE(table<codec::Profile, Fit, ScaleRule>({
      {codec::k4bit, Fit::kOptimal, ScaleRule::kFitted},
      {codec::k4bit, Fit::kOptimal, ScaleRule::kPow2},
      {codec::k4bit, Fit::kOptimal, ScaleRule::kPaper},
      {codec::k4bit, Fit::kNearest, ScaleRule::kPow2},
      {codec::k4bit, Fit::kNearest, ScaleRule::kPaper},
      {codec::k3bit, Fit::kOptimal, ScaleRule::kFitted},
      {codec::k3bit, Fit::kNearest, ScaleRule::kPow2},
      {codec::k4_5bit, Fit::kOptimal, ScaleRule::kFitted},
      {codec::k4_5bit, Fit::kNearest, ScaleRule::kPow2},
      {codec::k2bit, Fit::kOptimal, ScaleRule::kFitted},
      {codec::k2bit, Fit::kNearest, ScaleRule::kPow2},
  }));
  CAPTURE(profile.name, codec::Name(fit), codec::Name(rule));
  const TinyCheckpoint tiny = client::MakeTinyCheckpoint(fit, rule, profile);
  const server::TemporaryDirectory scratch;
  const std::string path = scratch / "c.safetensors";
  WriteCompressed(tiny, path);
  WriteSource(tiny, scratch / "o.safetensors");
  const auto original = format::Checkpoint::Open(scratch / "o.safetensors");
  REQUIRE(original.ok());
  REQUIRE_FALSE(IsFound(path, *original));

  const auto file = format::SafetensorsFile::Open(path);
  REQUIRE(file.ok());
  const uint64_t data = (*file)->file_size() - (*file)->tensors().back().end;
  const Bits bits(path);
  const format::PlaneNames names("w.weight");
  int flipped = 0;
  int unseen = 0;
  for (const std::string& plane : {names.packed, names.level, names.scale, names.shape}) {
    const format::TensorInfo* info = (*file)->Find(plane);
    if (info == nullptr) continue;
    CAPTURE(plane);
    for (uint64_t bit = 0; bit < 8 * info->byte_size(); ++bit) {
      const uint64_t at = 8 * (data + info->begin) + bit;
      bits.Flip(at);
      const bool found = IsFound(path, *original);
      bits.Flip(at);
      ++flipped;
      if (found) continue;
      ++unseen;
      CAPTURE(bit);
      REQUIRE(plane == names.packed);
      CheckUnseen(tiny, bit);
    }
  }
  CHECK(flipped > 1000);
  CHECK(unseen == 0);
}

}  // namespace
}  // namespace seedlm::verify
