#include "kernels/format/model_config.h"

#include <cmath>

#include "absl/strings/str_replace.h"
#include "kernels/format/atomic_file.h"
#include "kernels/format/json_text.h"
#include "kernels/format/packed_tensor.h"
#include "kernels/format/text.h"

namespace seedlm::format {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 64;
constexpr char kField[] = "quantization_config";

struct Config {
  std::string text;
  json value;
};

// A character that stands outside of strings, one after the other.
class Structure {
 public:
  // Goes on to the next such character; false at the end. An opening quote counts, what follows it
  // in the string does not.
  bool Next(std::string_view text) {
    if (started_ && text[at_] == '"') {
      do {
        at_ += text[at_] == '\\' ? 2 : 1;
      } while (at_ < text.size() && text[at_] != '"');
    }
    at_ += started_ ? 1 : 0;
    started_ = true;
    return at_ < text.size();
  }
  size_t at() const { return at_; }

 private:
  size_t at_ = 0;
  bool started_ = false;
};

// The text with zeros in place of NaN, Infinity and -Infinity, which Python writes and reads but
// JSON does not know; positions stay the same.
std::string WithPlainNumbers(std::string text) {
  Structure mark;
  while (mark.Next(text)) {
    for (const std::string_view name : {"NaN", "Infinity"}) {
      if (text.compare(mark.at(), name.size(), name) != 0) continue;
      text.replace(mark.at(), name.size(), name.size(), '0');
      text.replace(mark.at() + 1, 1, ".");
    }
  }
  return text;
}

absl::StatusOr<Config> ReadConfig(const std::string& path) {
  absl::StatusOr<std::string> text = ReadSmallFile(path, kMaxConfigBytes);
  if (!text.ok()) return text.status();
  absl::StatusOr<json> value = ParseJson(WithPlainNumbers(*text), kMaxDepth);
  std::string problem;
  if (!value.ok()) {
    problem = std::string(value.status().message());
  } else if (!value->is_object()) {
    problem = "is not a JSON object";
  }
  if (problem.empty()) return Config{*std::move(text), *std::move(value)};
  return absl::InvalidArgumentError(Cat(Printable(path), ": ", problem));
}

constexpr char kSpace[] = " \t\r\n";

// The object's text with a member more, its last. REQUIRES: `object` is the text of an object.
std::string WithMember(std::string object, const std::string& member) {
  const size_t last = object.find_last_not_of(kSpace, object.rfind('}') - 1);
  return object.insert(last + 1, Cat(object[last] == '{' ? "" : ",", "\n  ", member));
}

// Where the member's name begins and its value ends, with the comma or brace after it. Nowhere if
// the name is written with escapes. REQUIRES: `object` is the text of an object.
struct Place {
  size_t begin = std::string::npos;
  size_t end = std::string::npos;
};

Place FindMember(const std::string& object, std::string_view name) {
  const std::string quoted = Cat("\"", name, "\"");
  Place place;
  int depth = 0;
  Structure mark;
  while (mark.Next(object)) {
    const size_t at = mark.at();
    const char c = object[at];
    if (depth == 1 && place.begin != std::string::npos && (c == ',' || c == '}')) {
      place.end = at;
      return place;
    }
    if (depth == 1 && c == '"' && object.compare(at, quoted.size(), quoted) == 0) {
      const size_t after = object.find_first_not_of(kSpace, at + quoted.size());
      if (object[after] == ':') place.begin = at;
    }
    if (c == '{' || c == '[') ++depth;
    if (c == '}' || c == ']') --depth;
  }
  return {};
}

// The object's text without the member and one comma beside it; what WithMember added is taken away
// to the byte.
std::string WithoutMember(const std::string& object, Place member) {
  const size_t before = object.find_last_not_of(kSpace, member.begin - 1);
  const size_t value_end = object.find_last_not_of(kSpace, member.end - 1) + 1;
  if (object[before] == ',') return object.substr(0, before) + object.substr(value_end);
  const bool has_next = object[member.end] == ',';
  return object.substr(0, before + 1) + object.substr(has_next ? member.end + 1 : value_end);
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
  absl::StatusOr<Config> config = ReadConfig(path);
  if (!config.ok()) return config.status();
  if (config->value.contains(kField)) {
    return absl::InvalidArgumentError(
        Cat(Printable(path), ": has a ", kField,
            " already: the model is quantised; start from the weights that it was made of"));
  }
  const json quantization = {
      {"quant_method", kMetadataKey},
      {"format_version", kFormatVersion},
      {"bits", BitsPerWeight(profile)},
      {"block", profile.block},
      {"rank", profile.rank},
      {"lfsr_width", profile.lfsr_width},
      {"lfsr_taps", TapIndices(profile)},
      {"modules_to_not_convert", modules_to_not_convert},
  };
  absl::StatusOr<std::string> text = JsonToText(quantization, 2);
  if (!text.ok()) {
    return absl::InvalidArgumentError(Cat(Printable(path), ": ", text.status().message()));
  }
  return WithMember(std::move(config->text),
                    Cat("\"", kField, "\": ", absl::StrReplaceAll(*text, {{"\n", "\n  "}})));
}

absl::StatusOr<std::string> RemoveQuantizationConfig(const std::string& path) {
  absl::StatusOr<Config> config = ReadConfig(path);
  if (!config.ok()) return config.status();
  if (!config->value.contains(kField)) return std::move(config->text);
  const Place member = FindMember(config->text, kField);
  if (member.end != std::string::npos) return WithoutMember(config->text, member);
  return absl::InvalidArgumentError(
      Cat(Printable(path), ": writes '", kField, "' with escapes; write it plainly"));
}

}  // namespace seedlm::format
