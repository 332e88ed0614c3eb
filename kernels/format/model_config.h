// config.json of a Hugging Face model: its quantization_config. Private to this room.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/codec/profile.h"

namespace seedlm::format {

inline constexpr std::string_view kConfigName = "config.json";
inline constexpr uint64_t kMaxConfigBytes = 16 << 20;

// The text of the config at `path` with a quantization_config, as its last member, that says how
// the weights are compressed. All else stays to the byte; the NaN and Infinity of Python are let
// pass. `modules_to_not_convert`: names of the linear modules that are left as they were. Errors:
// those of ReadSmallFile; INVALID_ARGUMENT if it is not a JSON object, or has a quantization_config
// already.
absl::StatusOr<std::string> AddQuantizationConfig(
    const std::string& path, const codec::Profile& profile,
    const std::vector<std::string>& modules_to_not_convert);

// The text without its quantization_config: what AddQuantizationConfig was given, to the byte.
// Same errors, but for the last.
absl::StatusOr<std::string> RemoveQuantizationConfig(const std::string& path);

}  // namespace seedlm::format
