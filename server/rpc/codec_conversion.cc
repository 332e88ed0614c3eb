#include "server/rpc/codec_conversion.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/errors/invalid_field.h"
#include "server/errors/reason.h"

namespace seedlm::server {
namespace {

constexpr std::pair<v1::Profile, codec::Profile> kProfilePairs[] = {
    {v1::PROFILE_4BIT, codec::k4bit},
    {v1::PROFILE_3BIT, codec::k3bit},
    {v1::PROFILE_4_5BIT, codec::k4_5bit},
    {v1::PROFILE_2BIT, codec::k2bit},
};

absl::Status UnknownValue(std::string_view field, int value) {
  return InvalidField(field, absl::StrCat("unknown value ", value,
                                          ": GetCapabilities says what this server knows"));
}

absl::StatusOr<codec::Profile> ProfileFromProto(v1::Profile profile) {
  if (profile == v1::PROFILE_UNSPECIFIED) return codec::k4bit;
  for (const auto& [wire, plain] : kProfilePairs) {
    if (wire == profile) return plain;
  }
  return UnknownValue("job.spec.profile", profile);
}

absl::StatusOr<codec::Fit> FitFromProto(v1::Fit fit) {
  switch (fit) {
    case v1::FIT_UNSPECIFIED:
    case v1::FIT_OPTIMAL:
      return codec::Fit::kOptimal;
    case v1::FIT_NEAREST:
      return codec::Fit::kNearest;
    default:
      return UnknownValue("job.spec.fit", fit);
  }
}

absl::StatusOr<codec::ScaleRule> ScaleFromProto(v1::ScaleRule scale, codec::Fit fit) {
  switch (scale) {
    case v1::SCALE_UNSPECIFIED:
      return fit == codec::Fit::kNearest ? codec::ScaleRule::kPow2 : codec::ScaleRule::kFitted;
    case v1::SCALE_PAPER:
      return codec::ScaleRule::kPaper;
    case v1::SCALE_POW2:
      return codec::ScaleRule::kPow2;
    case v1::SCALE_FITTED:
      if (fit == codec::Fit::kOptimal) return codec::ScaleRule::kFitted;
      return InvalidField("job.spec.scale",
                          "FIT_NEAREST goes with SCALE_PAPER and SCALE_POW2 only");
    default:
      return UnknownValue("job.spec.scale", scale);
  }
}

absl::StatusOr<std::string> SkipFromProto(const v1::Override& exception) {
  constexpr std::string_view kField = "job.spec.overrides";
  if (exception.has_profile()) {
    return WithReason(
        absl::UnimplementedError(absl::StrCat(
            std::string(kField), ": pattern '", Shown(exception.pattern()),
            "': another profile for some tensors is not available in this version: use skip")),
        "OVERRIDE_UNIMPLEMENTED", {{"field", kField}});
  }
  if (exception.skip()) return exception.pattern();
  return InvalidField(kField, "pattern '" + Shown(exception.pattern()) + "' has no action");
}

v1::Profile ProfileToProto(const codec::Profile& profile) {
  for (const auto& [wire, plain] : kProfilePairs) {
    if (plain.name == profile.name) return wire;
  }
  return v1::PROFILE_UNSPECIFIED;
}

v1::ScaleRule ScaleToProto(codec::ScaleRule scale) {
  switch (scale) {
    case codec::ScaleRule::kPaper:
      return v1::SCALE_PAPER;
    case codec::ScaleRule::kPow2:
      return v1::SCALE_POW2;
    case codec::ScaleRule::kFitted:
      break;
  }
  return v1::SCALE_FITTED;
}

}  // namespace

absl::StatusOr<JobSpec> FromProto(const v1::CompressionSpec& proto) {
  const auto profile = ProfileFromProto(proto.profile());
  if (!profile.ok()) return profile.status();
  const auto fit = FitFromProto(proto.fit());
  if (!fit.ok()) return fit.status();
  const auto scale = ScaleFromProto(proto.scale(), *fit);
  if (!scale.ok()) return scale.status();

  JobSpec spec;
  spec.profile = *profile;
  spec.fit = *fit;
  spec.scale = *scale;
  const v1::TensorSelection& selection = proto.selection();
  spec.include.assign(selection.include().begin(), selection.include().end());
  spec.exclude.assign(selection.exclude().begin(), selection.exclude().end());
  for (const v1::Override& exception : proto.overrides()) {
    auto skip = SkipFromProto(exception);
    if (!skip.ok()) return skip.status();
    spec.skip.push_back(*std::move(skip));
  }
  if (!proto.backend().empty()) spec.backend = proto.backend();
  return spec;
}

v1::CompressionSpec ToProto(const JobSpec& spec) {
  v1::CompressionSpec proto;
  proto.set_profile(ProfileToProto(spec.profile));
  proto.set_fit(spec.fit == codec::Fit::kOptimal ? v1::FIT_OPTIMAL : v1::FIT_NEAREST);
  proto.set_scale(ScaleToProto(spec.scale));
  for (const std::string& pattern : spec.include) {
    proto.mutable_selection()->add_include(pattern);
  }
  for (const std::string& pattern : spec.exclude) {
    proto.mutable_selection()->add_exclude(pattern);
  }
  for (const std::string& pattern : spec.skip) {
    v1::Override* exception = proto.add_overrides();
    exception->set_pattern(pattern);
    exception->set_skip(true);
  }
  proto.set_backend(spec.backend);
  return proto;
}

std::vector<v1::Profile> AllProfiles() {
  std::vector<v1::Profile> profiles;
  for (const auto& [wire, plain] : kProfilePairs) profiles.push_back(wire);
  return profiles;
}

}  // namespace seedlm::server
