#include "kernels/format/model_config.h"

#include <cmath>

#include "kernels/format/atomic_file.h"
#include "kernels/format/json_text.h"
#include "kernels/format/packed_tensor.h"
#include "kernels/format/text.h"

namespace seedlm::format {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 64;
constexpr char kField[] = "quantization_config";

absl::StatusOr<json> ReadConfig(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadSmallFile(path, kMaxConfigBytes);
  if (!text.ok()) return text.status();
  absl::StatusOr<json> config = ParseJson(*text, kMaxDepth);
  std::string problem;
  if (!config.ok()) {
    problem = std::string(config.status().message());
  } else if (!config->is_object()) {
    problem = "is not a JSON object";
  }
  if (problem.empty()) return config;
  return absl::InvalidArgumentError(Cat(Printable(path), ": ", problem));
}

absl::StatusOr<std::string> ConfigText(const std::string& path, const json& config) {
  absl::StatusOr<std::string> text = JsonToText(config, 2);
  if (!text.ok()) {
    return absl::InvalidArgumentError(Cat(Printable(path), ": ", text.status().message()));
  }
  return *std::move(text) + "\n";
}

// 4, not 4.0, where the number is whole.
json BitsPerWeight(const codec::Profile& profile) {
  const double bits = profile.bits_per_weight();
  if (bits == std::floor(bits)) return static_cast<int>(bits);
  return bits;
}

}  // namespace

absl::StatusOr<std::string> AddQuantizationConfig(
    const std::string& path, const codec::Profile& profile,
    const std::vector<std::string>& modules_to_not_convert) {
  absl::StatusOr<json> config = ReadConfig(path);
  if (!config.ok()) return config.status();
  if (config->contains(kField)) {
    return absl::InvalidArgumentError(
        Cat(Printable(path), ": has a ", kField,
            " already: the model is quantised; start from the weights that it was made of"));
  }
  (*config)[kField] = {
      {"quant_method", kMetadataKey},
      {"format_version", kFormatVersion},
      {"bits", BitsPerWeight(profile)},
      {"block", profile.block},
      {"rank", profile.rank},
      {"lfsr_width", profile.lfsr_width},
      {"lfsr_taps", TapIndices(profile)},
      {"modules_to_not_convert", modules_to_not_convert},
  };
  return ConfigText(path, *config);
}

absl::StatusOr<std::string> RemoveQuantizationConfig(const std::string& path) {
  absl::StatusOr<json> config = ReadConfig(path);
  if (!config.ok()) return config.status();
  config->erase(kField);
  return ConfigText(path, *config);
}

}  // namespace seedlm::format
