// A checkpoint of one compressed and one other tensor, encoded by the reference, with its source.
#pragma once

#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "kernels/codec/bitpack.h"
#include "kernels/codec/level_design.h"
#include "kernels/codec/reference.h"
#include "kernels/format/packed_tensor.h"
#include "kernels/format/safetensors.h"

namespace seedlm::client {

struct TinyCheckpoint {
  static constexpr int64_t kRows = 6;
  static constexpr int64_t kColumns = 20;  // three blocks of 8 or two larger ones, the last padded
  codec::Profile profile = codec::k4bit;
  codec::Fit fit = codec::Fit::kOptimal;
  codec::ScaleRule rule = codec::ScaleRule::kFitted;
  std::vector<float> weights;    // [kRows, kColumns] of "w.weight"
  std::vector<float> bias;       // "w.bias", passed through
  std::vector<uint32_t> words;   // [kRows, blocks a row]
  std::vector<uint8_t> nibbles;  // the plane of levels, where the profile has one
  codec::LevelTable levels;
};

inline TinyCheckpoint MakeTinyCheckpoint(codec::Fit fit, codec::ScaleRule rule,
                                         const codec::Profile& profile = codec::k4bit) {
  TinyCheckpoint tiny;
  tiny.profile = profile;
  tiny.fit = fit;
  tiny.rule = rule;
  std::mt19937 random(7);
  std::normal_distribution<float> normal(0, 0.02f);
  for (int64_t i = 0; i < tiny.kRows * tiny.kColumns; ++i) tiny.weights.push_back(normal(random));
  tiny.bias = {1, 2, 3};
  const int64_t blocks = profile.blocks_per_row(tiny.kColumns);
  std::vector<std::array<float, codec::kMaxBlock>> padded;
  codec::NormHistogram histogram;
  for (int64_t row = 0; row < tiny.kRows; ++row) {
    for (int64_t block = 0; block < blocks; ++block) {
      auto& values = padded.emplace_back();
      const int64_t first = block * profile.block;
      for (int64_t c = 0; c < profile.block && first + c < tiny.kColumns; ++c) {
        values[static_cast<size_t>(c)] =
            tiny.weights[static_cast<size_t>(row * tiny.kColumns + first + c)];
      }
      histogram.Add(profile, values.data(), row * blocks + block);
    }
  }
  tiny.levels = codec::DesignLevels(profile, rule, histogram);
  const int64_t level_bytes = codec::LevelRowBytes(profile, blocks);
  tiny.nibbles.resize(static_cast<size_t>(tiny.kRows * level_bytes));
  const codec::ReferenceEncoder encoder(profile);
  for (int64_t i = 0; i < tiny.kRows * blocks; ++i) {
    const codec::BlockCode code =
        encoder.Encode(fit, tiny.levels, padded[static_cast<size_t>(i)].data()).code;
    tiny.words.push_back(codec::PackWord(profile, code));
    if (level_bytes == 0) continue;
    codec::PutLevelNibble(&tiny.nibbles[static_cast<size_t>(i / blocks * level_bytes)], i % blocks,
                          code.level);
  }
  return tiny;
}

inline void WriteSource(const TinyCheckpoint& tiny, const std::string& path) {
  auto layout = format::SafetensorsLayout::Make(
      {{"w.weight", format::DType::kF32, {tiny.kRows, tiny.kColumns}},
       {"w.bias", format::DType::kF32, {static_cast<int64_t>(tiny.bias.size())}}},
      {});
  auto writer =
      format::SafetensorsWriter::Create(path, *std::move(layout), format::IfExists::kReplace);
  (void)writer->Write("w.weight", 0, std::as_bytes(std::span(tiny.weights)));
  (void)writer->Write("w.bias", 0, std::as_bytes(std::span(tiny.bias)));
  (void)writer->Commit();
}

inline void WriteCompressed(const TinyCheckpoint& tiny, const std::string& path) {
  format::PackedMetadata metadata;
  metadata.profile = tiny.profile;
  metadata.fit = tiny.fit;
  metadata.scale = tiny.rule;
  metadata.dtypes["w.weight"] = format::DType::kF32;
  auto specs = format::PlaneSpecs("w.weight", tiny.profile, tiny.kRows, tiny.kColumns);
  specs.push_back({"w.bias", format::DType::kF32, {static_cast<int64_t>(tiny.bias.size())}});
  auto layout = format::SafetensorsLayout::Make(
      specs, {{std::string(format::kMetadataKey), metadata.ToJson()}});
  auto writer =
      format::SafetensorsWriter::Create(path, *std::move(layout), format::IfExists::kReplace);
  const format::PlaneNames names("w.weight");
  const std::vector<int64_t> shape = {tiny.kRows, tiny.kColumns};
  (void)writer->Write(names.packed, 0, std::as_bytes(std::span(tiny.words)));
  if (!tiny.nibbles.empty()) {
    (void)writer->Write(names.level, 0, std::as_bytes(std::span(tiny.nibbles)));
  }
  (void)writer->Write(names.scale, 0, std::as_bytes(std::span(tiny.levels.scale)));
  (void)writer->Write(names.shape, 0, std::as_bytes(std::span(shape)));
  (void)writer->Write("w.bias", 0, std::as_bytes(std::span(tiny.bias)));
  (void)writer->Commit();
}

}  // namespace seedlm::client
