#include <array>
#include <vector>

#include "absl/strings/str_join.h"
#include "kernels/codec/lfsr.h"
#include "kernels/format/json_text.h"
#include "kernels/format/packed_tensor.h"
#include "kernels/format/text.h"

namespace seedlm::format {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 16;  // fields of later writers may nest

// Reads the fields of the object one by one and keeps the first thing that is wrong.
class FieldReader {
 public:
  explicit FieldReader(const json& object) : object_(object) {}

  const std::string& problem() const { return problem_; }
  void Refuse(std::string problem) {
    if (problem_.empty()) problem_ = std::move(problem);
  }

  // The field if it is there and has that type, else null and a problem.
  const json* Get(const char* field, json::value_t type, std::string_view type_name) {
    const auto found = object_.find(field);
    const bool unsigned_for_integer = type == json::value_t::number_integer &&
                                      found != object_.end() && found->is_number_integer();
    if (found != object_.end() && (found->type() == type || unsigned_for_integer)) return &*found;
    Refuse(Cat("needs the field '", field, "', ", type_name));
    return nullptr;
  }
  std::string Text(const char* field) {
    const json* value = Get(field, json::value_t::string, "a string");
    return value == nullptr ? "" : value->get<std::string>();
  }
  void ExpectInteger(const char* field, int expected, std::string_view of) {
    const json* value = Get(field, json::value_t::number_integer, "an integer");
    if (value == nullptr || *value == expected) return;
    Refuse(Cat(field, " is ", value->dump(), ", ", of, " has ", expected));
  }

 private:
  const json& object_;
  std::string problem_;
};

// The element of `all` with that name, or null and a problem.
template <typename Values>
auto ByName(FieldReader& fields, const char* field, const Values& all) ->
    typename Values::const_pointer {
  const std::string name = fields.Text(field);
  for (const auto& value : all) {
    if (Name(value) == name) return &value;
  }
  fields.Refuse(Cat("unknown ", field, " '", Printable(name), "'"));
  return nullptr;
}

void ReadDTypes(FieldReader& fields, std::map<std::string, DType>& dtypes) {
  const json* object = fields.Get("dtypes", json::value_t::object, "an object");
  if (object == nullptr) return;
  for (const auto& [tensor, value] : object->items()) {
    const std::optional<DType> dtype =
        value.is_string() ? ParseDType(value.get_ref<const std::string&>()) : std::nullopt;
    if (dtype != DType::kF32 && dtype != DType::kF16 && dtype != DType::kBF16) {
      fields.Refuse(Cat("dtypes: tensor '", Printable(tensor), "' has ", Printable(value.dump()),
                        ", not F32, F16 or BF16"));
      return;
    }
    dtypes.emplace(tensor, *dtype);
  }
}

void ReadProfile(FieldReader& fields, codec::Profile& profile) {
  const std::string name = fields.Text("profile");
  const codec::Profile* found = codec::FindProfile(name);
  if (found == nullptr) {
    fields.Refuse(Cat("unknown profile '", Printable(name), "'"));
    return;
  }
  profile = *found;
  const std::string of = Cat("profile ", profile.name);
  fields.ExpectInteger("block", profile.block, of);
  fields.ExpectInteger("rank", profile.rank, of);
  fields.ExpectInteger("lfsr_width", profile.lfsr_width, of);
  const json* taps = fields.Get("lfsr_taps", json::value_t::array, "an array of bit indices");
  const std::vector<int> expected = TapIndices(profile);
  if (taps != nullptr && *taps != json(expected)) {
    fields.Refuse(Cat("lfsr_taps are ", Printable(taps->dump()), ", ", of, " has [",
                      absl::StrJoin(expected, ","), "]"));
  }
}

void ReadVersion(FieldReader& fields) {
  const json* version = fields.Get("format_version", json::value_t::number_integer, "an integer");
  if (version == nullptr || *version == kFormatVersion) return;
  fields.Refuse(
      Cat("unknown format_version ", version->dump(), ", this program reads ", kFormatVersion));
}

}  // namespace

std::vector<int> TapIndices(const codec::Profile& profile) {
  std::vector<int> indices;
  for (int bit = 0; bit < profile.lfsr_width; ++bit) {
    if ((codec::LfsrTaps(profile.lfsr_width) >> bit & 1u) != 0) indices.push_back(bit);
  }
  return indices;
}

std::string PackedMetadata::ToJson() const {
  json names = json::object();
  for (const auto& [tensor, dtype] : dtypes) names[tensor] = Name(dtype);
  const json object = {
      {"format_version", kFormatVersion},
      {"profile", profile.name},
      {"block", profile.block},
      {"rank", profile.rank},
      {"lfsr_width", profile.lfsr_width},
      {"lfsr_taps", TapIndices(profile)},
      {"fit", Name(fit)},
      {"scale", Name(scale)},
      {"dtypes", std::move(names)},
  };
  // Names come from a header, which is UTF-8; `replace` keeps this function free of exceptions.
  return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

absl::StatusOr<PackedMetadata> PackedMetadata::FromJson(std::string_view text) {
  absl::StatusOr<json> object = ParseJson(text, kMaxDepth);
  if (!object.ok()) {
    return absl::InvalidArgumentError(
        Cat("metadata '", kMetadataKey, "': ", object.status().message()));
  }
  FieldReader fields(*object);
  PackedMetadata metadata;
  if (!object->is_object()) fields.Refuse("is not a JSON object");
  if (fields.problem().empty()) ReadVersion(fields);  // first: what follows may differ by version
  if (fields.problem().empty()) {
    ReadProfile(fields, metadata.profile);
    static constexpr std::array kFits{codec::Fit::kOptimal, codec::Fit::kNearest};
    static constexpr std::array kScales{codec::ScaleRule::kPaper, codec::ScaleRule::kPow2,
                                        codec::ScaleRule::kFitted};
    if (const auto* fit = ByName(fields, "fit", kFits)) metadata.fit = *fit;
    if (const auto* scale = ByName(fields, "scale", kScales)) metadata.scale = *scale;
    ReadDTypes(fields, metadata.dtypes);
  }
  if (!fields.problem().empty()) {
    return absl::InvalidArgumentError(Cat("metadata '", kMetadataKey, "': ", fields.problem()));
  }
  return metadata;
}

}  // namespace seedlm::format
