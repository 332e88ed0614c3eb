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
  static constexpr int64_t kColumns = 20;  // three blocks of 8, the last one padded
  codec::Profile profile = codec::k4bit;
  codec::Fit fit = codec::Fit::kOptimal;
  codec::ScaleRule rule = codec::ScaleRule::kFitted;
  std::vector<float> weights;   // [kRows, kColumns] of "w.weight"
  std::vector<float> bias;      // "w.bias", passed through
  std::vector<uint32_t> words;  // [kRows, 3]
  codec::LevelTable levels;
};

inline TinyCheckpoint MakeTinyCheckpoint(codec::Fit fit, codec::ScaleRule rule) {
  TinyCheckpoint tiny;
  tiny.fit = fit;
  tiny.rule = rule;
  std::mt19937 random(7);
  std::normal_distribution<float> normal(0, 0.02f);
  for (int64_t i = 0; i < tiny.kRows * tiny.kColumns; ++i) tiny.weights.push_back(normal(random));
  tiny.bias = {1, 2, 3};
  const int64_t blocks = tiny.profile.blocks_per_row(tiny.kColumns);
  std::vector<std::array<float, codec::kMaxBlock>> padded;
  codec::NormHistogram histogram;
  for (int64_t row = 0; row < tiny.kRows; ++row) {
    for (int64_t block = 0; block < blocks; ++block) {
      auto& values = padded.emplace_back();
      for (int64_t c = 0; c < 8 && block * 8 + c < tiny.kColumns; ++c) {
        values[static_cast<size_t>(c)] =
            tiny.weights[static_cast<size_t>(row * tiny.kColumns + block * 8 + c)];
      }
      histogram.Add(tiny.profile, values.data(), row * blocks + block);
    }
  }
  tiny.levels = codec::DesignLevels(tiny.profile, rule, histogram);
  const codec::ReferenceEncoder encoder(tiny.profile);
  for (const auto& values : padded) {
    const codec::BlockCode code = encoder.Encode(fit, tiny.levels, values.data()).code;
    tiny.words.push_back(codec::PackWord(tiny.profile, code));
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
  (void)writer->Write(names.scale, 0, std::as_bytes(std::span(tiny.levels.scale)));
  (void)writer->Write(names.shape, 0, std::as_bytes(std::span(shape)));
  (void)writer->Write("w.bias", 0, std::as_bytes(std::span(tiny.bias)));
  (void)writer->Commit();
}

}  // namespace seedlm::client
