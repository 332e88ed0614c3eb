#include "hardware/sim/hls_decoder.h"

#include <algorithm>
#include <bit>

#include "hardware/hls/decode.h"

namespace seedlm::hardware {
namespace {

using seedlm_hls::kHalvesPerPort;
using seedlm_hls::kLanes;
using seedlm_hls::port_t;

constexpr size_t kBatch = 4096;  // port words in a stream at a time
constexpr uint32_t kEmptyBlock = 1;
constexpr size_t kLevelBytes = 64;        // of a level word
constexpr size_t kWordsPerLevelWord = 8;  // 16 nibbles each
static_assert(kBatch % kWordsPerLevelWord == 0);

port_t PortWord(std::span<const uint32_t> words, size_t index) {
  port_t word = 0;
  for (size_t lane = 0; lane < kLanes; ++lane) {
    const size_t at = index * kLanes + lane;
    const int low = static_cast<int>(32 * lane);
    word(low + 31, low) = at < words.size() ? words[at] : kEmptyBlock;
  }
  return word;
}

port_t LevelWord(std::span<const uint8_t> levels, size_t index) {
  port_t word = 0;
  for (size_t byte = 0; byte < kLevelBytes; ++byte) {
    const size_t at = index * kLevelBytes + byte;
    const int low = static_cast<int>(8 * byte);
    if (at < levels.size()) word(low + 7, low) = levels[at];
  }
  return word;
}

}  // namespace

bool HlsDecoderIsBuilt() { return true; }

int64_t DecodeWithHls(std::span<const uint32_t> words, std::span<const uint8_t> levels,
                      std::span<const float, 16> scale, HalfFormat format,
                      std::span<uint16_t> halves) {
  const bool three_bit = !levels.empty();
  hls::stream<port_t> in("words"), plane("levels"), out4[4], out6[6];
  const std::span<hls::stream<port_t>> out =
      three_bit ? std::span<hls::stream<port_t>>(out6) : out4;
  seedlm_hls::float_bits_t table[16];
  for (size_t i = 0; i < scale.size(); ++i) table[i] = std::bit_cast<uint32_t>(scale[i]);
  const ap_uint<1> format_bit = format == HalfFormat::kBfloat16 ? 1 : 0;
  const size_t count = (words.size() + kLanes - 1) / kLanes;
  int64_t zero_seeds = 0;
  size_t at = 0;
  for (size_t first = 0; first < count; first += kBatch) {
    const size_t batch = std::min(kBatch, count - first);
    for (size_t i = 0; i < batch; ++i) {
      in.write(PortWord(words, first + i));
      if (three_bit && i % kWordsPerLevelWord == 0) {
        plane.write(LevelWord(levels, (first + i) / kWordsPerLevelWord));
      }
    }
    ap_uint<32> zeros = 0;
    if (three_bit) {
      decode_stream_3bit(in, plane, out6, table, format_bit, batch, &zeros);
    } else {
      decode_stream(in, out4, table, format_bit, batch, &zeros);
    }
    zero_seeds += zeros.to_uint();
    for (size_t i = 0; i < batch; ++i) {
      for (hls::stream<port_t>& stream : out) {
        const port_t beat = stream.read();
        for (int k = 0; k < kHalvesPerPort && at < halves.size(); ++k) {
          halves[at++] = static_cast<uint16_t>(beat(16 * k + 15, 16 * k).to_uint());
        }
      }
    }
  }
  return zero_seeds;
}

}  // namespace seedlm::hardware
