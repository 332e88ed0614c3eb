#include "server/admission/limits.h"

#include "absl/strings/str_cat.h"
#include "server/errors/invalid_field.h"

namespace seedlm::server {
namespace {

absl::Status CheckEnds(const JobRequest& request) {
  const JobSource& source = request.source;
  const JobDestination& destination = request.destination;
  if (source.artifact.empty() == source.uri.empty()) {
    return InvalidField("job.source", "give an artifact or a uri");
  }
  if (destination.managed == !destination.uri.empty()) {
    return InvalidField("job.destination", "give managed = true or a uri");
  }
  absl::Status status = CheckLength(source.uri, kMaxUriBytes, "job.source.uri");
  status.Update(CheckLength(source.artifact, kMaxUriBytes, "job.source.artifact"));
  status.Update(CheckLength(destination.uri, kMaxUriBytes, "job.destination.uri"));
  return status;
}

}  // namespace

absl::Status CheckLength(std::string_view value, size_t limit, std::string_view field) {
  if (value.size() <= limit) return absl::OkStatus();
  return InvalidField(field, absl::StrCat(value.size(), " bytes; at most ", limit));
}

absl::Status CheckRequestId(std::string_view request_id) {
  return CheckLength(request_id, kMaxRequestIdBytes, "request_id");
}

absl::Status CheckLabels(const std::map<std::string, std::string>& labels, std::string_view field) {
  if (labels.size() > kMaxLabels) {
    return InvalidField(field, absl::StrCat(labels.size(), " labels; at most ", kMaxLabels));
  }
  for (const auto& [key, value] : labels) {
    if (key.empty()) return InvalidField(field, "a label with an empty key");
    if (key.size() > kMaxLabelBytes || value.size() > kMaxLabelBytes) {
      return InvalidField(field, absl::StrCat("label '", Shown(key), "': key and value may have ",
                                              kMaxLabelBytes, " bytes each"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckPriority(int priority) {
  if (priority >= kMinPriority && priority <= kMaxPriority) return absl::OkStatus();
  return InvalidField("job.priority",
                      absl::StrCat(priority, " is outside ", kMinPriority, " .. ", kMaxPriority));
}

absl::Status CheckPatterns(const std::vector<std::string>& patterns, std::string_view field) {
  if (patterns.size() > kMaxPatterns) {
    return InvalidField(field, absl::StrCat(patterns.size(), " patterns; at most ", kMaxPatterns));
  }
  for (const std::string& pattern : patterns) {
    if (pattern.empty()) return InvalidField(field, "an empty pattern");
    if (pattern.size() > kMaxPatternBytes) {
      return InvalidField(field, absl::StrCat("pattern '", Shown(pattern), "' has ", pattern.size(),
                                              " bytes; at most ", kMaxPatternBytes));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckJobRequest(const JobRequest& request) {
  absl::Status status = CheckEnds(request);
  status.Update(CheckPatterns(request.spec.include, "job.spec.selection.include"));
  status.Update(CheckPatterns(request.spec.exclude, "job.spec.selection.exclude"));
  status.Update(CheckPatterns(request.spec.skip, "job.spec.overrides"));
  status.Update(CheckLength(request.spec.backend, kMaxBackendBytes, "job.spec.backend"));
  status.Update(CheckPriority(request.priority));
  status.Update(CheckLabels(request.labels, "job.labels"));
  return status;
}

}  // namespace seedlm::server
