// Any weights, profile, fit and scale: each instruction set returns the reference's bytes, by the
// scan of all seeds and through the cell index.
//
// Input: one byte each of options, scale and instruction set, then weights, 4 bytes each as float32
// bits or one byte each as an integer times a power of two (short inputs then reach ordinary
// blocks).
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "kernels/backend/weight_blocks.h"
#include "kernels/codec/bitpack.h"
#include "kernels/codec/level_design.h"
#include "kernels/cpu/backends.h"
#include "kernels/cpu/index_search.h"
#include "kernels/search/index_store.h"

namespace seedlm {
namespace {

constexpr size_t kMostBlocks = 4;  // the reference takes milliseconds for one
constexpr int64_t kListMemory = int64_t{256} << 20;

struct Input {
  backend::EncodeSpec spec;
  codec::ScaleRule rule = codec::ScaleRule::kFitted;
  std::string target;
  std::vector<float> weights;  // [1, columns]
};

bool Parse(const uint8_t* data, size_t size, Input& input) {
  if (size < 4) return false;
  input.spec.profile = codec::kProfiles[data[0] % std::size(codec::kProfiles)];
  input.spec.fit = data[0] & 4 ? codec::Fit::kNearest : codec::Fit::kOptimal;
  constexpr codec::ScaleRule kRules[] = {codec::ScaleRule::kPaper, codec::ScaleRule::kPow2,
                                         codec::ScaleRule::kFitted, codec::ScaleRule::kFitted};
  input.rule = kRules[(data[0] >> 3) & 3];
  if (input.spec.fit == codec::Fit::kNearest && input.rule == codec::ScaleRule::kFitted) {
    return false;
  }
  const std::vector<std::string> targets = cpu::SimdTargets();
  input.target = targets[data[2] % targets.size()];
  const bool raw = (data[0] & 32) != 0;
  const int exponent = static_cast<int8_t>(data[1]);
  const size_t most = kMostBlocks * static_cast<size_t>(input.spec.profile.block);
  for (size_t at = 3; at < size && input.weights.size() < most;) {
    float w = 0;
    if (raw) {
      if (at + sizeof w > size) break;
      std::memcpy(&w, data + at, sizeof w);
      at += sizeof w;
    } else {
      w = std::ldexp(static_cast<float>(static_cast<int8_t>(data[at++])), exponent);
    }
    if (!std::isfinite(w)) return false;
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

// Lists of all inputs so far; begun anew when their memory is full, lest the index do nothing more.
search::CellIndex& Cells(const Input& input) {
  static std::unique_ptr<search::IndexStore> store;
  if (store == nullptr || store->memory_left() < kListMemory / 8) {
    store = std::make_unique<search::IndexStore>(kListMemory);
  }
  const size_t resolutions = search::Resolutions(input.spec.profile).size();
  return store->At(input.spec.profile, input.weights.size() % resolutions);
}

// The codes of all blocks through the cell index, words only: with a promise of so much work to
// come that every list pays.
void CompareIndex(const Input& input, const backend::EncodedShard& expected) {
  const codec::Profile& profile = input.spec.profile;
  if (search::Resolutions(profile).empty()) return;
  backend::EncodeSpec spec = input.spec;
  spec.blocks_to_come = int64_t{1} << 40;
  std::vector<float> blocks = input.weights;
  blocks.resize(expected.words.size() * static_cast<size_t>(profile.block), 0.0f);
  std::vector<codec::Candidate> best(expected.words.size());
  std::vector<uint32_t> places;
  for (size_t i = 0; i < best.size(); ++i) {
    const codec::BlockTask task =
        codec::MakeTask(profile, &blocks[i * static_cast<size_t>(profile.block)]);
    best[i] = codec::InitialCandidate(spec.fit, task);
    if (task.squared_norm > 0) places.push_back(static_cast<uint32_t>(i));
  }
  const cpu::SearchKernels kernels = cpu::KernelsFor(input.target);
  cpu::IndexSearch search(kernels, spec, Cells(input));
  const cpu::Section section{&spec, places};
  const size_t sections = places.empty() ? 0 : 1;
  if (!search.Run({blocks.data(), best.data()}, {&section, sections}, {}).ok()) std::abort();
  for (const uint32_t place : places) {
    const codec::BlockCode code =
        codec::FromSeedAndRemainder(profile, best[place].seed, best[place].remainder);
    if (codec::PackWord(profile, code) != expected.words[place]) std::abort();
    if (!expected.levels.empty() &&
        codec::GetLevelNibble(expected.levels.data(), place) != code.level) {
      std::abort();
    }
  }
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
  CompareIndex(input, expected);
}

}  // namespace
}  // namespace seedlm

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  seedlm::Input input;
  if (seedlm::Parse(data, size, input)) seedlm::Compare(input);
  return 0;
}
