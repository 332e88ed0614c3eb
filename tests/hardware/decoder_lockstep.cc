// The RTL decoders against the codec, block by block and bit for bit, with random back-pressure.
//
//   decoder_lockstep --blocks N [--seed S]      random codes; every seed first, if N allows
//   decoder_lockstep --model FILE [--seed S]    every 4bit and 3bit tensor of a compressed file
#include <Vdecoder_3bit.h>
#include <Vdecoder_4bit.h>

#include <cstring>
#include <string>
#include <vector>

#include "kernels/codec/bitpack.h"
#include "kernels/codec/block_code.h"
#include "kernels/codec/narrow.h"
#include "kernels/format/packed_codes.h"
#include "tests/hardware/lockstep.h"

namespace seedlm::hardware {
namespace {

constexpr int kLanes = SEEDLM_LANES;
constexpr int kBlocksPerLevelBeat = 8 * kLanes;

struct Blocks {
  std::vector<uint32_t> words;
  std::vector<uint8_t> levels;  // one a byte; used where the level is not in the word
  std::array<float, codec::kLevels> scale{};
  bool bfloat16 = false;
};

// Compares what a beat gave; blocks with a zero seed must be flagged, the others must not.
template <class Model>
void CheckBeat(const codec::Profile& profile, const Blocks& blocks, size_t first, Model& model) {
  for (int lane = 0; lane < kLanes; ++lane) {
    const size_t index = first + static_cast<size_t>(lane);
    const uint32_t word = blocks.words[index];
    const bool flagged = ((model.m_axis_tuser >> lane) & 1) != 0;
    if (flagged != ((word & 0xFFFF) == 0)) Fail("the flag of block " + std::to_string(index));
    if (flagged) continue;
    float weights[codec::kMaxBlock];
    codec::DecodeBlock(profile, codec::UnpackWord(profile, word, blocks.levels[index]),
                       blocks.scale.data(), weights);
    for (int c = 0; c < profile.block; ++c) {
      const size_t at = static_cast<size_t>(lane * profile.block + c);
      const uint16_t got = static_cast<uint16_t>(model.m_axis_tdata[at / 2] >> (16 * (at % 2)));
      const uint16_t expected =
          blocks.bfloat16 ? codec::ToBfloat16(weights[c]) : codec::ToFloat16(weights[c]);
      if (got != expected) {
        Fail("profile " + std::string(profile.name) + " block " + std::to_string(index) + " word " +
             std::to_string(word) + " weight " + std::to_string(c) + ": " + std::to_string(got) +
             ", expected " + std::to_string(expected));
      }
    }
  }
}

// The level stream of tensors that end where `last` says: each begins with a beat of its own, and
// what its last beat has left is noise.
std::vector<uint32_t> LevelBeats(const Blocks& blocks, const std::vector<bool>& last,
                                 Random& random) {
  std::vector<uint32_t> data;
  size_t in_beat = kBlocksPerLevelBeat;  // blocks that the last beat has levels of
  for (size_t b = 0; b < blocks.levels.size(); ++b) {
    if (in_beat == kBlocksPerLevelBeat) {
      for (int i = 0; i < kLanes; ++i) data.push_back(static_cast<uint32_t>(random()));
      in_beat = 0;
    }
    uint32_t& nibbles = data[data.size() - kLanes + in_beat / 8];
    const size_t low = 4 * (in_beat % 8);
    nibbles = (nibbles & ~(15u << low)) | (uint32_t{blocks.levels[b]} << low);
    ++in_beat;
    if ((b + 1) % kLanes == 0 && last[b / kLanes]) in_beat = kBlocksPerLevelBeat;
  }
  return data;
}

// Streams all blocks through, as one tensor or, `cut`, as many of 1 to 40 words, one after the
// other without a reset; returns how many were compared.
template <class Model>
size_t Run(const codec::Profile& profile, Blocks blocks, bool cut, int percent, Random& random) {
  blocks.levels.resize(blocks.words.size(), 0);
  while (blocks.words.size() % kLanes != 0) {
    blocks.words.push_back(1);
    blocks.levels.push_back(0);
  }
  Beats words{blocks.words, std::vector<bool>(blocks.words.size() / kLanes, false), kLanes, 0};
  for (size_t end = 0; cut && end < words.count(); end += 1 + random() % 40) words.last[end] = true;
  words.last.back() = true;
  Beats levels{LevelBeats(blocks, words.last, random), {}, kLanes, 0};
  Patience offer(&random, percent), offer_level(&random, percent);
  Receiver accept(&random, percent);
  HeldOutput<Model> output;
  Model model;
  for (size_t i = 0; i < blocks.scale.size(); ++i) {
    model.scale[i] = codec::FloatBits(blocks.scale[i]);
  }
  model.bfloat16 = blocks.bfloat16;
  Reset(model);
  size_t received = 0;
  const size_t limit = 1000 + 100 * words.count();
  for (size_t cycle = 0; received < words.count(); ++cycle) {
    if (cycle > limit) Fail("the decoder stands still");
    model.s_axis_tvalid = words.left() && offer.Draw();
    if (words.left()) Drive(model.s_axis_tdata, words.next(), kLanes);
    model.s_axis_tlast = words.left() && words.next_is_last();
    model.s_axis_level_tvalid = levels.left() && offer_level.Draw();
    if (levels.left()) Drive(model.s_axis_level_tdata, levels.next(), kLanes);
    model.m_axis_tready = accept.Draw();
    model.clk = 0;
    model.eval();
    output.Look(model);
    if (model.s_axis_tvalid && model.s_axis_tready) {
      ++words.sent;
      offer.Taken();
    }
    if (model.s_axis_level_tvalid && model.s_axis_level_tready) {
      ++levels.sent;
      offer_level.Taken();
    }
    if (model.m_axis_tvalid && model.m_axis_tready) {
      CheckBeat(profile, blocks, received * kLanes, model);
      if ((model.m_axis_tlast != 0) != words.last[received]) Fail("tlast");
      ++received;
    }
    model.clk = 1;
    model.eval();
  }
  bool zero_seed = false;
  for (const uint32_t word : blocks.words) zero_seed |= (word & 0xFFFF) == 0;
  if ((model.zero_seed != 0) != zero_seed) Fail("the error flag");
  if (levels.left() && profile.name == codec::k3bit.name) Fail("level words are left");
  if (percent < 100 && words.count() > 100 && output.stalls() == 0) Fail("nothing was held back");
  return received * kLanes;
}

// Random codes under levels of all magnitudes. `sweep`: the seeds 1 .. 65,535 come first, and no
// seed is zero; else some are.
Blocks RandomBlocks(size_t count, bool sweep, Random& random) {
  Blocks blocks;
  for (size_t i = 0; i < count; ++i) {
    uint32_t word = static_cast<uint32_t>(random());
    if (sweep && i < 65535) word = (word & 0xFFFF0000u) | static_cast<uint32_t>(i + 1);
    if (sweep && (word & 0xFFFF) == 0) word |= 1;
    if (!sweep && random() % 500 == 0) word &= 0xFFFF0000u;
    blocks.words.push_back(word);
    blocks.levels.push_back(static_cast<uint8_t>(random() % codec::kLevels));
  }
  // Half of the tables where weights are, half anywhere: subnormal, overflow.
  const bool anywhere = random() % 2 != 0;
  for (float& level : blocks.scale) {
    const uint32_t exponent = static_cast<uint32_t>(anywhere ? random() % 255 : 95 + random() % 25);
    level =
        codec::FloatFromBits((exponent << 23) | (static_cast<uint32_t>(random()) & 0x7FFFFF) | 1);
  }
  blocks.bfloat16 = random() % 2 != 0;
  return blocks;
}

void RunRandom(size_t count, Random& random) {
  constexpr size_t kBatch = 1 << 17;
  size_t matched4 = 0, matched3 = 0;
  for (const int percent : {100, 70, 30}) {
    size_t left = count / 3 + 1;
    for (bool sweep = percent == 100; left > 0; sweep = false) {
      const size_t batch = std::min(left, kBatch);
      // Three of four for 4bit: it is the one that the matrix-vector unit reads.
      const size_t three_bit = batch / 4;
      matched4 += Run<Vdecoder_4bit>(codec::k4bit, RandomBlocks(batch - three_bit, sweep, random),
                                     true, percent, random);
      matched3 += Run<Vdecoder_3bit>(codec::k3bit, RandomBlocks(three_bit, sweep, random), true,
                                     percent, random);
      left -= batch;
    }
  }
  std::printf("decoder_lockstep: matched %zu 4bit and %zu 3bit blocks, %d lanes\n", matched4,
              matched3, kLanes);
}

void RunModel(const std::string& path, Random& random) {
  const auto file = format::OpenPackedFile(path);
  if (!file.ok()) Fail(std::string(file.status().message()));
  size_t matched = 0, tensors = 0;
  for (const format::PackedTensor& tensor : file->packed) {
    const bool three_bit = tensor.profile.name == codec::k3bit.name;
    if (!three_bit && tensor.profile.name != codec::k4bit.name) Fail("profile of " + tensor.name);
    Blocks blocks;
    blocks.scale = tensor.scale;
    blocks.bfloat16 = tensor.dtype == format::DType::kBF16;
    const absl::Status read = format::ReadCodes(
        tensor, 0, tensor.rows, [&](const format::CodePiece& piece) -> absl::Status {
          const format::CodeRange& range = piece.range();
          for (int64_t row = range.first_row; row < range.end_row(); ++row) {
            if (absl::Status status = piece.CheckRow(row); !status.ok()) return status;
            for (int64_t b = range.first_block; b < range.end_block(); ++b) {
              const codec::BlockCode code = piece.CodeAt(row, b);
              blocks.words.push_back(codec::PackWord(tensor.profile, code));
              blocks.levels.push_back(code.level);
            }
          }
          return absl::OkStatus();
        });
    if (!read.ok()) Fail(std::string(read.message()));
    matched += three_bit ? Run<Vdecoder_3bit>(tensor.profile, std::move(blocks), false, 70, random)
                         : Run<Vdecoder_4bit>(tensor.profile, std::move(blocks), false, 70, random);
    ++tensors;
  }
  if (tensors == 0) Fail(path + ": holds no compressed tensor");
  std::printf("decoder_lockstep: matched %zu blocks of %zu tensors of %s\n", matched, tensors,
              path.c_str());
}

}  // namespace
}  // namespace seedlm::hardware

int main(int argc, char** argv) {
  using namespace seedlm::hardware;
  size_t blocks = 0;
  std::string model;
  Random random(1);
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string option = argv[i];
    if (option == "--blocks") blocks = std::stoul(argv[i + 1]);
    if (option == "--model") model = argv[i + 1];
    if (option == "--seed") random.seed(std::stoul(argv[i + 1]));
  }
  if (blocks == 0 && model.empty()) {
    std::fprintf(stderr, "usage: decoder_lockstep --blocks N | --model FILE [--seed S]\n");
    return 2;
  }
  if (blocks != 0) RunRandom(blocks, random);
  if (!model.empty()) RunModel(model, random);
  return 0;
}
