// The examples of FORMAT.md, recomputed.
#include <catch2/catch.hpp>
#include <cstdio>
#include <map>
#include <sstream>

#include "kernels/codec/bitpack.h"
#include "kernels/codec/narrow.h"
#include "kernels/format/packed_tensor.h"
#include "tests/kernels/format_support.h"
#include "tests/kernels/read_tensor.h"

namespace seedlm::format {
namespace {

std::string Page() {
  return ReadBytes(std::string(SEEDLM_TEST_DATA) + "/../kernels/format/FORMAT.md");
}

// The text of the one fenced block with that mark.
std::string Fenced(const std::string& mark) {
  const std::string page = Page();
  const std::string opening = "\n```" + mark + "\n";
  const size_t begin = page.find(opening);
  REQUIRE(begin != std::string::npos);
  const size_t text = begin + opening.size();
  const size_t end = page.find("\n```\n", text);
  REQUIRE(end != std::string::npos);
  return page.substr(text, end - text);
}

// Label -> what follows it; lines that start with a space go on.
std::map<std::string, std::string> Fields(const std::string& text) {
  std::map<std::string, std::string> fields;
  std::istringstream lines(text);
  std::string label;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    if (!line.starts_with(' ')) words >> label;
    for (std::string word; words >> word;) {
      std::string& field = fields[label];
      field += (field.empty() ? "" : " ") + word;
    }
  }
  return fields;
}

template <typename T, typename Values>
std::string Joined(const char* format, const Values& values) {
  std::string text;
  for (const auto& value : values) {
    char buffer[16];
    std::snprintf(buffer, sizeof buffer, format, static_cast<T>(value));
    text += (text.empty() ? "" : " ") + std::string(buffer);
  }
  return text;
}

uint32_t Hex(const std::string& text) {
  return static_cast<uint32_t>(std::stoul(text, nullptr, 16));
}

std::string BytesOfHex(const std::string& text) {
  std::istringstream words(text);
  std::string bytes;
  for (std::string word; words >> word;) bytes += static_cast<char>(Hex(word));
  return bytes;
}

void CheckExample(const codec::Profile& profile) {
  const auto fields = Fields(Fenced("example " + std::string(profile.name)));
  const uint32_t nibble = profile.level_in_word() ? 0 : Hex(fields.at("nibble"));
  const codec::BlockCode code = codec::UnpackWord(profile, Hex(fields.at("word")), nibble);
  CHECK(std::to_string(code.seed) == fields.at("seed"));
  CHECK(Joined<int>("%d", std::span(code.q).first(profile.rank)) == fields.at("q"));
  CHECK(std::to_string(code.level) == fields.at("level"));
  CHECK(codec::PackWord(profile, code) == Hex(fields.at("word")));

  const codec::Basis basis = codec::MakeBasis(profile, code.seed);
  std::vector<int> states;
  std::vector<int> sums;
  for (int c = 0; c < profile.block; ++c) {
    int sum = 0;
    for (int p = 0; p < profile.rank; ++p) {
      states.push_back(basis.at[c][p] + profile.centre());
      sum += basis.at[c][p] * code.q[p];
    }
    sums.push_back(sum);
  }
  CHECK(Joined<int>("%d", states) == fields.at("states"));
  CHECK(Joined<int>("%d", sums) == fields.at("sums"));

  float scale[codec::kLevels] = {};
  scale[code.level] = codec::FloatFromBits(Hex(fields.at("scale")));
  std::vector<float> weights(static_cast<size_t>(profile.block));
  codec::DecodeBlock(profile, code, scale, weights.data());
  std::vector<uint32_t> f32;
  std::vector<uint32_t> f16;
  std::vector<uint32_t> bf16;
  for (const float weight : weights) {
    f32.push_back(codec::FloatBits(weight));
    f16.push_back(codec::ToFloat16(weight));
    bf16.push_back(codec::ToBfloat16(weight));
  }
  CHECK(Joined<uint32_t>("%08x", f32) == fields.at("float32"));
  CHECK(Joined<uint32_t>("%04x", f16) == fields.at("float16"));
  CHECK(Joined<uint32_t>("%04x", bf16) == fields.at("bfloat16"));
}

TEST_CASE("the worked blocks of FORMAT.md hold") {
  CheckExample(codec::k4bit);
  CheckExample(codec::k3bit);
}

TEST_CASE("the file of FORMAT.md is what the writer writes and the reader reads") {
  std::string header = Fenced("header");
  header.resize((header.size() + 7) / 8 * 8, ' ');
  const std::string bytes = BytesOfHex(Fenced("length")) + header + BytesOfHex(Fenced("data"));
  CHECK_THAT(Page(), Catch::Contains(std::to_string(bytes.size()) + " bytes: the length (" +
                                     std::to_string(header.size()) + "),"));

  const PackedMetadata metadata{
      codec::k4bit, codec::Fit::kOptimal, codec::ScaleRule::kFitted, {{"w", DType::kBF16}}};
  const auto layout = SafetensorsLayout::Make(PlaneSpecs("w", codec::k4bit, 1, 12),
                                              {{std::string(kMetadataKey), metadata.ToJson()}});
  REQUIRE(layout.ok());
  CHECK(layout->header() == bytes.substr(0, layout->header().size()));
  CHECK(layout->file_size() == bytes.size());

  const TemporaryDirectory directory;
  WriteBytes(directory.path("f"), bytes);
  const auto file = OpenPackedFile(directory.path("f"));
  REQUIRE(Message(file.status()) == "");
  REQUIRE(file->packed.size() == 1);
  const PackedTensor& tensor = file->packed[0];
  CHECK(tensor.rows == 1);
  CHECK(tensor.columns == 12);
  CHECK(CheckRow(tensor, 0).ok());
  const std::vector<float> row = DecodedRow(tensor, 0);
  std::vector<uint32_t> bits;
  for (const float weight : row) bits.push_back(codec::FloatBits(weight));
  CHECK(Joined<uint32_t>("%08x", std::span(bits).first(8)) ==
        Fields(Fenced("example 4bit")).at("float32"));
  CHECK(std::span(row)[11] == 0);
}

TEST_CASE("the zero blocks of FORMAT.md are those of the golden vectors") {
  const auto zero_word = [](const std::string& file) {
    std::istringstream text(ReadBytes(std::string(SEEDLM_TEST_DATA) + "/vectors/" + file));
    for (std::string line; std::getline(text, line);) {
      if (line.starts_with("block 00000000 00000000 00000000 00000000 00000000 00000000 0")) {
        return line.substr(line.rfind(" | ", line.rfind(" | ", line.rfind(" | ") - 1) - 1) + 3, 8);
      }
    }
    return std::string("none");
  };
  CHECK(zero_word("encode_c8_p3_optimal_pow2.txt") == "00000001");
  const std::string nearest = zero_word("encode_c8_p3_nearest_pow2.txt");
  CHECK(nearest == "80000001");
  CHECK_THAT(Page(), Catch::Contains("word " + nearest + " in profile `4bit`"));
}

}  // namespace
}  // namespace seedlm::format
