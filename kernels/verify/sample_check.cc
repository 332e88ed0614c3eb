#include "kernels/verify/sample_check.h"

#include <algorithm>
#include <array>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "kernels/codec/bitpack.h"
#include "kernels/format/packed_codes.h"
#include "kernels/verify/parallel_rows.h"
#include "kernels/verify/weight_rows.h"

namespace seedlm::verify {
namespace {

constexpr size_t kBatch = 64;  // blocks between two reports

// FNV-1a, then splitmix64: spreads the sample, the same on every machine.
uint64_t HashName(std::string_view name) {
  uint64_t hash = 0xCBF29CE484222325u;
  for (const unsigned char c : name) hash = (hash ^ c) * 0x100000001B3u;
  return hash;
}

uint64_t NextRandom(uint64_t& state) {
  state += 0x9E3779B97F4A7C15u;
  uint64_t z = state;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

std::set<int64_t> ChooseBlocks(const format::PackedTensor& tensor, int count) {
  const auto total = static_cast<uint64_t>(tensor.rows * tensor.blocks_per_row());
  uint64_t state = HashName(tensor.name);
  std::set<int64_t> chosen;
  while (chosen.size() < std::min<uint64_t>(static_cast<uint64_t>(count), total)) {
    chosen.insert(static_cast<int64_t>(NextRandom(state) % total));
  }
  return chosen;
}

using BlockWeights = std::array<float, codec::kMaxBlock>;

absl::StatusOr<BlockWeights> LoadBlock(const format::PackedTensor& tensor, const ReadSource& source,
                                       int64_t row, int64_t block) {
  BlockWeights weights{};  // the last block of a row is padded with zeros
  const int64_t first = block * tensor.profile.block;
  const auto count =
      static_cast<size_t>(std::min<int64_t>(tensor.profile.block, tensor.columns - first));
  const auto width = static_cast<size_t>(format::BitWidth(tensor.dtype)) / 8;
  const auto offset = static_cast<size_t>(row * tensor.columns + first) * width;
  std::array<std::byte, codec::kMaxBlock * sizeof(float)> bytes;
  const auto read = std::span(bytes).first(count * width);
  if (absl::Status status = source(offset, read); !status.ok()) return status;
  Widen(tensor.dtype, read, std::span(weights).first(count));
  return weights;
}

std::string Describe(const codec::Profile& profile, const codec::BlockCode& code) {
  return absl::StrFormat("seed %d, rest %05x", code.seed, codec::Remainder(profile, code));
}

// What is wrong with one block; "" if it holds what encoding it again gives.
using BlockResult = absl::StatusOr<std::string>;

BlockResult CheckBlock(const codec::ReferenceEncoder& encoder, codec::Fit fit,
                       const codec::LevelTable& levels, const format::PackedTensor& tensor,
                       const ReadSource& source, int64_t index) {
  const int64_t row = index / tensor.blocks_per_row();
  const int64_t block = index % tensor.blocks_per_row();
  const auto weights = LoadBlock(tensor, source, row, block);
  if (!weights.ok()) return weights.status();
  const absl::StatusOr<codec::BlockCode> stored = format::ReadCode(tensor, row, block);
  if (!stored.ok()) return stored.status();
  const codec::BlockCode expected = encoder.Encode(fit, levels, weights->data()).code;
  if (expected.seed == stored->seed &&
      codec::Remainder(tensor.profile, expected) == codec::Remainder(tensor.profile, *stored)) {
    return std::string();
  }
  return absl::StrFormat("row %d, block %d: holds %s, encoding it again gives %s", row, block,
                         Describe(tensor.profile, *stored), Describe(tensor.profile, expected));
}

}  // namespace

absl::StatusOr<codec::LevelTable> RecoverLevels(const codec::Profile& profile,
                                                codec::ScaleRule rule,
                                                const std::array<float, codec::kLevels>& scale) {
  if (rule == codec::ScaleRule::kFitted) return codec::LevelTable{.scale = scale};
  if (rule == codec::ScaleRule::kPaper) {
    const codec::LevelTable paper = codec::PaperLevels(profile);
    if (paper.scale == scale) return paper;
  } else {
    for (int bias = codec::kMinLevelExponent + 8; bias <= codec::kMaxLevelExponent - 7; ++bias) {
      const codec::LevelTable table = codec::Pow2Levels(profile, bias);
      if (table.scale == scale) return table;
    }
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "its levels are not those of the rule ", std::string(codec::Name(rule)), "; it is damaged"));
}

absl::StatusOr<ProblemList> SampleChecker::Check(codec::Fit fit, const codec::LevelTable& levels,
                                                 const format::PackedTensor& tensor,
                                                 const ReadSource& source, int count, int threads,
                                                 const std::stop_token& stop,
                                                 const std::function<void(int)>& on_blocks) {
  const std::set<int64_t> chosen = ChooseBlocks(tensor, count);
  ProblemList problems;
  if (chosen.empty()) return problems;
  if (encoder_ == nullptr || profile_ != tensor.profile.name) {
    encoder_ = std::make_unique<codec::ReferenceEncoder>(tensor.profile);
    profile_ = tensor.profile.name;
  }
  const std::vector<int64_t> blocks(chosen.begin(), chosen.end());
  for (size_t begin = 0; begin < blocks.size() && !stop.stop_requested(); begin += kBatch) {
    const auto batch = std::span(blocks).subspan(begin, std::min(kBatch, blocks.size() - begin));
    const auto found =
        ForRanges<BlockResult>(static_cast<int64_t>(batch.size()), 1, threads, stop,
                               [&](int64_t i, int64_t /*one*/, BlockResult& result) {
                                 result = CheckBlock(*encoder_, fit, levels, tensor, source,
                                                     batch[static_cast<size_t>(i)]);
                               });
    if (stop.stop_requested()) break;  // some have no result
    for (const BlockResult& result : found) {
      if (!result.ok()) return result.status();
      if (!result->empty()) problems.Add(*result);
    }
    on_blocks(static_cast<int>(begin + batch.size()));
  }
  return problems;
}

}  // namespace seedlm::verify
