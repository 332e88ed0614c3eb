#include <catch2/catch.hpp>
#include <cstring>
#include <fstream>
#include <sstream>

#include "kernels/codec/bitpack.h"
#include "kernels/codec/levels.h"
#include "kernels/format/packed_codes.h"
#include "tests/kernels/format_support.h"

namespace seedlm::format {
namespace {

// A packed tensor that is not in a file.
struct OwnedTensor {
  PackedTensor tensor;
  std::vector<uint32_t> words;
  std::vector<uint8_t> levels;

  OwnedTensor(const codec::Profile& profile, int64_t rows, int64_t columns) {
    const int64_t blocks = profile.blocks_per_row(columns);
    words.resize(static_cast<size_t>(rows * blocks));
    levels.resize(static_cast<size_t>(rows * codec::LevelRowBytes(profile, blocks)));
    tensor.name = std::string("w");
    tensor.profile = profile;
    tensor.rows = rows;
    tensor.columns = columns;
  }

  CodePiece codes() const {
    return {tensor,
            {0, tensor.rows, 0, tensor.blocks_per_row()},
            std::as_bytes(std::span(words)),
            std::as_bytes(std::span(levels))};
  }

  // codec::DecodeBlock over a row: the truth.
  std::vector<float> ReferenceRow(int64_t row) const {
    const codec::Profile& profile = tensor.profile;
    std::vector<float> weights;
    for (int64_t block = 0; block < tensor.blocks_per_row(); ++block) {
      float decoded[codec::kMaxBlock];
      codec::DecodeBlock(profile, codes().CodeAt(row, block), tensor.scale.data(), decoded);
      weights.insert(weights.end(), decoded, decoded + profile.block);
    }
    weights.resize(static_cast<size_t>(tensor.columns));
    return weights;
  }
};

bool SameBits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

TEST_CASE("rows decode to the codec's bits: every seed, random codes, every profile") {
  std::mt19937 random(5);
  for (const codec::Profile& profile : codec::kProfiles) {
    constexpr int64_t kBlocks = 4096;
    OwnedTensor owned(profile, 16, kBlocks * profile.block);
    for (size_t i = 0; i < owned.words.size(); ++i) {
      owned.words[i] = (static_cast<uint32_t>(random()) & 0xFFFF0000u) | (i & 0xFFFF);
    }
    for (uint8_t& byte : owned.levels) byte = static_cast<uint8_t>(random());
    owned.tensor.scale = codec::Pow2Levels(profile, -7).scale;
    std::vector<float> row(static_cast<size_t>(owned.tensor.columns));
    for (int64_t r = 0; r < owned.tensor.rows; ++r) {
      owned.codes().DecodeRow(r, row);
      REQUIRE(SameBits(row, owned.ReferenceRow(r)));
    }
  }
}

TEST_CASE("rows of any width decode, the padding left out") {
  std::mt19937 random(6);
  for (const codec::Profile& profile : codec::kProfiles) {
    for (int64_t columns = 1; columns <= 3 * profile.block + 1; ++columns) {
      OwnedTensor owned(profile, 3, columns);
      for (uint32_t& word : owned.words) word = static_cast<uint32_t>(random()) | 1;
      for (uint8_t& byte : owned.levels) byte = static_cast<uint8_t>(random());
      for (float& level : owned.tensor.scale) level = static_cast<float>(random() % 1000 + 1);
      for (int64_t r = 0; r < 3; ++r) {
        std::vector<float> row(static_cast<size_t>(columns) + 1, -1.0f);
        owned.codes().DecodeRow(r, std::span(row).first(static_cast<size_t>(columns)));
        CHECK(row.back() == -1.0f);
        row.pop_back();
        CHECK(SameBits(row, owned.ReferenceRow(r)));
      }
    }
  }
}

TEST_CASE("a row decodes in parts as in one piece") {
  std::mt19937 random(7);
  for (const codec::Profile& profile : codec::kProfiles) {
    OwnedTensor owned(profile, 2, 9 * profile.block + 3);
    for (uint32_t& word : owned.words) word = static_cast<uint32_t>(random()) | 1;
    for (uint8_t& byte : owned.levels) byte = static_cast<uint8_t>(random());
    owned.tensor.scale.fill(0.5f);
    std::vector<float> row(static_cast<size_t>(owned.tensor.columns));
    const size_t cut = static_cast<size_t>(4 * profile.block);
    owned.codes().Decode(1, 0, std::span(row).first(cut));
    owned.codes().Decode(1, 4, std::span(row).subspan(cut));
    CHECK(SameBits(row, owned.ReferenceRow(1)));
  }
}

TEST_CASE("the golden vectors decode") {
  for (const auto& [file, profile] : {std::pair("encode_c8_p3_optimal_quarter.txt", codec::k4bit),
                                      std::pair("encode_c12_p4_optimal_quarter.txt", codec::k3bit),
                                      std::pair("encode_c12_p4_nearest_pow2.txt", codec::k3bit)}) {
    std::ifstream in(std::string(SEEDLM_TEST_DATA) + "/vectors/" + file);
    OwnedTensor owned(profile, 1, profile.block);
    int blocks = 0;
    for (std::string line; std::getline(in, line);) {
      std::istringstream fields(line);
      std::string word;
      fields >> word;
      const auto read_floats = [&](float* values, int count) {
        for (int i = 0; i < count; ++i) {
          fields >> word;
          const uint32_t bits = static_cast<uint32_t>(std::stoul(word, nullptr, 16));
          std::memcpy(&values[i], &bits, sizeof bits);
        }
      };
      if (word == "scale") read_floats(owned.tensor.scale.data(), codec::kLevels);
      if (word != "block") continue;
      std::vector<float> source(static_cast<size_t>(profile.block));
      read_floats(source.data(), profile.block);
      uint32_t level = 0;
      fields >> word >> word >> level;  // "|", the seed, the level
      while (fields >> word && word != "|") {
      }
      fields >> word;
      owned.words[0] = static_cast<uint32_t>(std::stoul(word, nullptr, 16));
      if (!owned.levels.empty()) owned.levels[0] = static_cast<uint8_t>(level);
      fields >> word;  // "|"
      std::vector<float> expected(source.size());
      read_floats(expected.data(), profile.block);
      std::vector<float> decoded(source.size());
      owned.codes().DecodeRow(0, decoded);
      for (size_t c = 0; c < decoded.size(); ++c) CHECK(decoded[c] == expected[c]);
      ++blocks;
    }
    CHECK(blocks > 40);
  }
}

TEST_CASE("the first zero seed of a row is found") {
  OwnedTensor owned(codec::k4bit, 3, 40);
  for (uint32_t& word : owned.words) word = 1;
  owned.words[2 * 5 + 3] = 0xFFFF0000u;
  owned.words[2 * 5 + 4] = 0;
  CHECK(owned.codes().FirstZeroSeed(0) == std::nullopt);
  CHECK(owned.codes().FirstZeroSeed(1) == std::nullopt);
  CHECK(owned.codes().FirstZeroSeed(2) == 3);
}

}  // namespace
}  // namespace seedlm::format
