// The door to hardware/hls: the only place where the simulator meets AMD's types.
#pragma once

#include <cstdint>
#include <span>

namespace seedlm::hardware {

enum class HalfFormat : uint8_t { kFloat16, kBfloat16 };

// Whether the decoder was compiled in. Without it DecodeWithHls must not be called.
bool HlsDecoderIsBuilt();

// Decodes a tensor's blocks, as decode_stream and decode_stream_3bit do. `levels`: a nibble a block
// (3bit), or empty (4bit). `halves`: 8 (12) a block. Returns the number of zero seeds. Any number
// of blocks: the last word is filled with empty ones.
int64_t DecodeWithHls(std::span<const uint32_t> words, std::span<const uint8_t> levels,
                      std::span<const float, 16> scale, HalfFormat format,
                      std::span<uint16_t> halves);

}  // namespace seedlm::hardware
