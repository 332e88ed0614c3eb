// Self-checking bench, the same for C simulation and C/RTL co-simulation.
//
//   test_bench VECTORS [COMPRESSED.safetensors DECOMPRESSED.safetensors]
//
// VECTORS: the folder of golden vectors. COMPRESSED: what `seedlm compress` made, 4bit or 3bit;
// DECOMPRESSED: what `seedlm decompress --dtype f16` made of it. Returns 0 only if everything
// agreed, and at least one block was compared.
#include <algorithm>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <string>

#include "hardware/hls/decode.h"
#include "hardware/hls/tb/bench.h"
#include "hardware/hls/tb/expected.h"
#include "hardware/hls/tb/packed_file.h"

using namespace seedlm_hls;

namespace test_bench {
namespace {

long compared = 0, failures = 0;

}  // namespace

bool check(bool good, const std::string& what) {
  ++compared;
  if (!good && ++failures <= 20) std::fprintf(stderr, "test_bench: FAILED: %s\n", what.c_str());
  return good;
}

namespace {

// Decodes through the stream top: words (a multiple of 16 blocks) to halves in their order.
std::vector<uint16_t> decode(const std::vector<uint32_t>& words, const std::vector<uint8_t>& levels,
                             const std::vector<uint32_t>& scale, bool three_bit, HalfFormat format,
                             uint32_t& zero_seeds) {
  const int outputs = three_bit ? 6 : 4;
  hls::stream<port_t> in("in"), plane("plane"), out4[4], out6[6];
  float_bits_t table[kLevels];
  for (int i = 0; i < kLevels; ++i) table[i] = scale[i];
  const size_t count = words.size() / kLanes;
  for (size_t i = 0; i < count; ++i) {
    port_t word = 0;
    for (int lane = 0; lane < kLanes; ++lane) {
      word(32 * lane + 31, 32 * lane) = words[i * kLanes + lane];
    }
    in.write(word);
    if (three_bit && i % 8 == 0) {
      port_t beat = 0;
      for (int byte = 0; byte < 64; ++byte) {
        const size_t at = i / 8 * 64 + byte;
        if (at < levels.size()) beat(8 * byte + 7, 8 * byte) = levels[at];
      }
      plane.write(beat);
    }
  }
  ap_uint<32> zeros = 0;
  if (three_bit) {
    decode_stream_3bit(in, plane, out6, table, format, count, &zeros);
  } else {
    decode_stream(in, out4, table, format, count, &zeros);
  }
  zero_seeds = zeros.to_uint();
  std::vector<uint16_t> halves;
  for (size_t i = 0; i < count; ++i) {
    for (int q = 0; q < outputs; ++q) {
      const port_t beat = three_bit ? out6[q].read() : out4[q].read();
      for (int k = 0; k < kHalvesPerPort; ++k) {
        halves.push_back(static_cast<uint16_t>(beat(16 * k + 15, 16 * k).to_uint()));
      }
    }
  }
  return halves;
}

struct GoldenBlock {
  uint32_t word;
  int level;
  std::vector<uint32_t> decoded;
};

bool read_golden(const std::string& path, std::vector<uint32_t>& scale,
                 std::vector<GoldenBlock>& blocks) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string tag, token;
    words >> tag;
    if (tag == "scale") {
      while (words >> token) scale.push_back(static_cast<uint32_t>(std::stoul(token, nullptr, 16)));
    } else if (tag == "block") {
      GoldenBlock block{};
      int field = 0, index = 0;
      while (words >> token) {
        if (token == "|") {
          ++field;
          index = 0;
          continue;
        }
        if (field == 1 && index == 1) block.level = std::stoi(token);
        if (field == 2) block.word = static_cast<uint32_t>(std::stoul(token, nullptr, 16));
        if (field == 3) {
          block.decoded.push_back(static_cast<uint32_t>(std::stoul(token, nullptr, 16)));
        }
        ++index;
      }
      blocks.push_back(block);
    }
  }
  return scale.size() == 16 && !blocks.empty();
}

void golden(const std::string& path, bool three_bit) {
  std::vector<uint32_t> scale;
  std::vector<GoldenBlock> blocks;
  if (!check(read_golden(path, scale, blocks), path + " cannot be read")) return;
  const size_t count = blocks.size();
  while (blocks.size() % kLanes != 0) blocks.push_back(blocks[0]);
  std::vector<uint32_t> words;
  std::vector<uint8_t> levels;
  for (size_t b = 0; b < blocks.size(); ++b) {
    words.push_back(blocks[b].word);
    if (b % 2 == 0) levels.push_back(0);
    levels.back() = static_cast<uint8_t>(levels.back() | (blocks[b].level << (4 * (b % 2))));
  }
  const int block_size = three_bit ? kBlock3 : kBlock4;
  for (HalfFormat format : {kFloat16, kBfloat16}) {
    uint32_t zeros = 1;
    const std::vector<uint16_t> halves = decode(words, levels, scale, three_bit, format, zeros);
    check(zeros == 0, path + ": zero seeds were counted");
    for (size_t b = 0; b < count; ++b) {
      for (int c = 0; c < block_size; ++c) {
        const float value = float_of(blocks[b].decoded[c]);
        const uint16_t expected = format == kFloat16 ? float16_of(value) : bfloat16_of(value);
        check(halves[b * block_size + c] == expected,
              path + ": block " + std::to_string(b) + " weight " + std::to_string(c));
      }
    }
  }
  if (three_bit) return;
  float_bits_t table[kLevels];
  for (int i = 0; i < kLevels; ++i) table[i] = scale[i];
  for (size_t b = 0; b < count; ++b) {  // the single-block top
    half_bits_t weights[8];
    ap_uint<1> zero_seed = 1;
    block_decoder(blocks[b].word, table, kFloat16, weights, &zero_seed);
    bool same = zero_seed == 0;
    for (int c = 0; c < 8; ++c) {
      same = same && weights[c] == float16_of(float_of(blocks[b].decoded[c]));
    }
    check(same, path + ": block_decoder, block " + std::to_string(b));
  }
}

// The states of the register, one by one: with q_p = 1 alone weight c is state cP + p + 1, less
// 2^15.
template <int C, int P>
void register_states(uint32_t seed, const std::vector<int64_t>& states) {
  for (int p = 0; p < P; ++p) {
    sum_t sums[C];
    block_sums<C, P>(seed | (1u << (16 + 4 * p)), sums);
    for (size_t c = 0; c < C && c * P + p < states.size(); ++c) {
      check(sums[c] == states[c * P + p] - 32768,
            "seed " + std::to_string(seed) + " state " + std::to_string(c * P + p + 1));
    }
  }
}

void golden_states(const std::string& path) {
  std::ifstream file(path);
  int seeds = 0;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string width, taps, arrow;
    uint32_t seed = 0;
    if (!(words >> width >> taps >> seed >> arrow) || width != "16" || taps != "0,1,3,12") continue;
    std::vector<int64_t> states;
    for (int64_t state = 0; words >> state;) states.push_back(state);
    check(!states.empty(), path + ": a seed without states");
    register_states<kBlock4, kRank4>(seed, states);
    register_states<kBlock3, kRank3>(seed, states);
    ++seeds;
  }
  check(seeds > 0, path + " cannot be read, or has no register of 16 bits");
}

// Random words under scales from subnormal to overflow, and a zero seed: flagged, and the stream
// stays aligned.
void random_blocks(bool three_bit) {
  Random random;
  const int block_size = three_bit ? kBlock3 : kBlock4, rank = three_bit ? kRank3 : kRank4;
  for (uint32_t exponent : {1u, 20u, 80u, 97u, 103u, 112u, 127u, 235u, 254u, 0u}) {
    std::vector<uint32_t> words, scale;
    std::vector<uint8_t> levels;
    for (int i = 0; i < 16; ++i) {
      scale.push_back((exponent << 23) | (random.next() & 0x7FFFFF) | 1);
    }
    for (int b = 0; b < 16 * 16; ++b) words.push_back(static_cast<uint32_t>(random.next() >> 20));
    for (int b = 0; b < 16 * 8; ++b) levels.push_back(static_cast<uint8_t>(random.next() >> 30));
    words[3] &= 0xFFFF0000;
    uint32_t expected_zeros = 0;
    for (uint32_t word : words) expected_zeros += (word & 0xFFFF) == 0;
    for (HalfFormat format : {kFloat16, kBfloat16}) {
      uint32_t zeros = 0;
      const std::vector<uint16_t> halves = decode(words, levels, scale, three_bit, format, zeros);
      check(zeros == expected_zeros, "random blocks: zero seeds miscounted");
      for (size_t b = 0; b < words.size(); ++b) {
        if ((words[b] & 0xFFFF) == 0) continue;
        const int level = three_bit ? (levels[b / 2] >> (4 * (b % 2))) & 15 : words[b] >> 28;
        const std::vector<int64_t> sums = sums_of(words[b], block_size, rank);
        for (int c = 0; c < block_size; ++c) {
          const float value = static_cast<float>(sums[c]) * float_of(scale[level]);
          const uint16_t expected = format == kFloat16 ? float16_of(value) : bfloat16_of(value);
          check(halves[b * block_size + c] == expected,
                "random blocks, scale exponent " + std::to_string(exponent));
        }
      }
    }
  }
}

// A compressed file against what the command line decoded of it.
void compressed_file(const std::string& compressed, const std::string& decompressed) {
  File packed, plain;
  std::string error;
  bool good = read_file(compressed, packed, error) && read_file(decompressed, plain, error);
  if (!check(good, error)) return;
  const bool three_bit = packed.profile == "3bit";
  if (!check(packed.profile == "4bit" || three_bit,
             compressed + ": profile '" + packed.profile + "' is neither 4bit nor 3bit")) {
    return;
  }
  const std::vector<std::string> names = packed_names(packed);
  check(!names.empty(), compressed + ": holds no compressed tensor");
  for (const std::string& name : names) {
    PackedTensor tensor;
    good = packed_tensor(packed, name, three_bit ? kBlock3 : kBlock4, three_bit, tensor, error);
    if (!check(good, compressed + ": " + error)) {
      continue;
    }
    const size_t weights = static_cast<size_t>(tensor.rows * tensor.columns);
    const auto found = plain.tensors.find(name);
    if (!check(found != plain.tensors.end() && found->second.dtype == "F16" &&
                   found->second.bytes.size() == 2 * weights,
               decompressed + ": has no float16 tensor '" + name + "' of that shape")) {
      continue;
    }
    while (tensor.words.size() % kLanes != 0) tensor.words.push_back(1);
    uint32_t zeros = 0;
    const std::vector<uint16_t> halves =
        decode(tensor.words, tensor.levels, tensor.scale, three_bit, kFloat16, zeros);
    check(zeros == 0, compressed + ": tensor '" + name + "' has " + std::to_string(zeros) +
                          " blocks with a zero seed");
    for (size_t i = 0; i < weights; ++i) {
      const int expected = found->second.bytes[2 * i] | (found->second.bytes[2 * i + 1] << 8);
      check(halves[i] == expected,
            compressed + ": tensor '" + name + "' weight " + std::to_string(i));
    }
    if (!three_bit) check_units_on(tensor, compressed + ": tensor '" + name + "'");
  }
}

}  // namespace
}  // namespace test_bench

int main(int argc, char** argv) {
  using namespace test_bench;
  if (argc != 2 && argc != 4) {
    std::fprintf(stderr, "usage: test_bench VECTORS [COMPRESSED DECOMPRESSED]\n");
    return 2;
  }
  const std::string vectors = std::string(argv[1]) + "/";
  golden_states(vectors + "lfsr.txt");
  for (const char* fit : {"nearest_pow2", "optimal_pow2", "optimal_quarter"}) {
    golden(vectors + "encode_c8_p3_" + fit + ".txt", false);
    golden(vectors + "encode_c12_p4_" + fit + ".txt", true);
  }
  random_blocks(false);
  random_blocks(true);
  check_units();
  if (argc == 4) compressed_file(argv[2], argv[3]);
  std::printf("test_bench: %ld comparisons, %ld failures\n", compared, failures);
  return failures == 0 ? 0 : 1;
}
