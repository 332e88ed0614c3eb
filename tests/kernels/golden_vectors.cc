#include "tests/kernels/golden_vectors.h"

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <stdexcept>

#include "kernels/codec/narrow.h"

namespace seedlm::testing {
namespace {

float HexFloat(const std::string& hex) {
  return codec::FloatFromBits(static_cast<uint32_t>(std::stoul(hex, nullptr, 16)));
}

std::vector<std::string> Words(const std::string& text) {
  std::istringstream stream(text);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) words.push_back(word);
  return words;
}

std::vector<float> HexFloats(const std::string& text) {
  std::vector<float> values;
  for (const std::string& word : Words(text)) values.push_back(HexFloat(word));
  return values;
}

GoldenBlock ParseBlock(const std::string& line) {
  std::vector<std::string> parts;
  std::istringstream stream(line);
  for (std::string part; std::getline(stream, part, '|');) parts.push_back(part);
  if (parts.size() != 5) throw std::runtime_error("malformed line: " + line);
  GoldenBlock block;
  block.weights = HexFloats(parts[0]);
  const std::vector<std::string> code = Words(parts[1]);
  block.seed = static_cast<uint32_t>(std::stoul(code.at(0)));
  block.level = std::stoi(code.at(1));
  for (size_t i = 2; i < code.size(); ++i) block.q.push_back(std::stoi(code[i]));
  block.word = static_cast<uint32_t>(std::stoul(Words(parts[2]).at(0), nullptr, 16));
  block.decoded = HexFloats(parts[3]);
  block.error = std::strtod(Words(parts[4]).at(0).c_str(), nullptr);
  return block;
}

GoldenFile ReadFile(const codec::Profile& profile, codec::Fit fit, const std::string& table) {
  GoldenFile golden;
  golden.name = "encode_c" + std::to_string(profile.block) + "_p" + std::to_string(profile.rank) +
                "_" + std::string(codec::Name(fit)) + "_" + table + ".txt";
  golden.profile = profile;
  golden.fit = fit;
  std::ifstream file(std::string(SEEDLM_TEST_DATA "/vectors/") + golden.name);
  if (!file) throw std::runtime_error("missing " + golden.name);
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("scale ", 0) == 0) {
      const std::vector<float> scale = HexFloats(line.substr(6));
      if (scale.size() != codec::kLevels) throw std::runtime_error("scale in " + golden.name);
      std::copy(scale.begin(), scale.end(), golden.levels.scale.begin());
    } else if (line.rfind("block ", 0) == 0) {
      golden.blocks.push_back(ParseBlock(line.substr(6)));
    }
  }
  // scale[0] is 2^bias / 32767 in a pow2 table.
  if (table == "pow2") golden.levels.bias = std::ilogb(golden.levels.scale[0] * 32768);
  golden.levels.rule = table == "pow2" ? codec::ScaleRule::kPow2 : codec::ScaleRule::kFitted;
  if (golden.blocks.empty()) throw std::runtime_error("no blocks in " + golden.name);
  return golden;
}

}  // namespace

std::vector<GoldenFile> ReadGoldenFiles() {
  std::vector<GoldenFile> files;
  for (const codec::Profile& profile : {codec::k4bit, codec::k3bit}) {
    files.push_back(ReadFile(profile, codec::Fit::kNearest, "pow2"));
    files.push_back(ReadFile(profile, codec::Fit::kOptimal, "pow2"));
    files.push_back(ReadFile(profile, codec::Fit::kOptimal, "quarter"));
  }
  return files;
}

}  // namespace seedlm::testing
