// Any weights, profile, fit and scale: each instruction set returns the reference's bytes.
//
// Input: one byte of options, one byte of scale, then weights, 4 bytes each as float32 bits or one
// byte each as an integer times a power of two (short inputs then reach ordinary blocks).
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "kernels/backend/weight_blocks.h"
#include "kernels/codec/level_design.h"
#include "kernels/cpu/backends.h"

namespace seedlm {
namespace {

constexpr size_t kMostBlocks = 4;  // the reference takes milliseconds for one

struct Input {
  backend::EncodeSpec spec;
  codec::ScaleRule rule = codec::ScaleRule::kFitted;
  std::string target;
  std::vector<float> weights;  // [1, columns]
};

bool Parse(const uint8_t* data, size_t size, Input& input) {
  if (size < 3) return false;
  input.spec.profile = codec::kProfiles[data[0] % std::size(codec::kProfiles)];
  input.spec.fit = data[0] & 4 ? codec::Fit::kNearest : codec::Fit::kOptimal;
  constexpr codec::ScaleRule kRules[] = {codec::ScaleRule::kPaper, codec::ScaleRule::kPow2,
                                         codec::ScaleRule::kFitted, codec::ScaleRule::kFitted};
  input.rule = kRules[(data[0] >> 3) & 3];
  if (input.spec.fit == codec::Fit::kNearest && input.rule == codec::ScaleRule::kFitted) {
    return false;
  }
  const std::vector<std::string> targets = cpu::SimdTargets();
  input.target = targets[(data[0] >> 6) % targets.size()];
  const bool raw = (data[0] & 32) != 0;
  const int exponent = static_cast<int8_t>(data[1]);
  const size_t most = kMostBlocks * static_cast<size_t>(input.spec.profile.block);
  for (size_t at = 2; at < size && input.weights.size() < most;) {
    float w = 0;
    if (raw) {
      if (at + sizeof w > size) break;
      std::memcpy(&w, data + at, sizeof w);
      at += sizeof w;
      if (!std::isfinite(w)) return false;
    } else {
      w = std::ldexp(static_cast<float>(static_cast<int8_t>(data[at++])), exponent);
    }
    input.weights.push_back(w);
  }
  return !input.weights.empty();
}

backend::EncodedShard MustEncode(const backend::Backend& backend, const Input& input,
                                 const backend::WeightRows& rows) {
  auto shard = backend.Encode(input.spec, rows, {});
  if (!shard.ok()) std::abort();
  return *std::move(shard);
}

void Compare(Input& input) {
  const backend::WeightRows rows{backend::WeightType::kF32, 1,
                                 static_cast<int64_t>(input.weights.size()),
                                 reinterpret_cast<const std::byte*>(input.weights.data())};
  codec::NormHistogram histogram;
  if (!backend::AddBlockNorms(input.spec.profile, rows, histogram).ok()) std::abort();
  input.spec.levels = codec::DesignLevels(input.spec.profile, input.rule, histogram);
  static const auto reference = cpu::MakeReferenceBackend();
  const auto expected = MustEncode(*reference, input, rows);
  const auto got = MustEncode(**cpu::MakeSimdBackend(input.target), input, rows);
  if (got.words != expected.words || got.levels != expected.levels) std::abort();
}

}  // namespace
}  // namespace seedlm

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  seedlm::Input input;
  if (seedlm::Parse(data, size, input)) seedlm::Compare(input);
  return 0;
}
