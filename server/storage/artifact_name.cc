#include "server/storage/artifact_name.h"

#include <algorithm>
#include <chrono>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "kernels/format/text.h"
#include "server/errors/reason.h"

namespace seedlm::server {
namespace {

constexpr std::string_view kPrefix = "artifacts/";
constexpr std::string_view kFiles = "/files/";
constexpr std::string_view kField = "resource_name";
constexpr size_t kMaxIdBytes = 64;
constexpr size_t kMaxPathBytes = 1024;
constexpr size_t kMaxComponentBytes = 255;  // NAME_MAX
constexpr std::string_view kPathCharacters = "._-/ +=@,";

bool IsAlphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool IsId(std::string_view id) {
  return !id.empty() && id.size() <= kMaxIdBytes && std::all_of(id.begin(), id.end(), [](char c) {
    return IsAlphanumeric(c) || c == '-' || c == '_';
  });
}

absl::Status Malformed(std::string_view name, std::string_view field, std::string_view why) {
  return WithReason(absl::InvalidArgumentError(
                        absl::StrCat("'", format::Printable(name), "': ", std::string(why))),
                    "FIELD_INVALID", {{"field", field}});
}

}  // namespace

std::string ArtifactPathProblem(std::string_view path) {
  if (path.size() > kMaxPathBytes)
    return absl::StrCat("the path is over ", kMaxPathBytes, " bytes");
  const bool characters_ok = std::all_of(path.begin(), path.end(), [](char c) {
    return IsAlphanumeric(c) || kPathCharacters.find(c) != std::string_view::npos;
  });
  if (!characters_ok) return "the path may hold letters, digits and \"._-/ +=@,\" only";
  const std::vector<std::string> components = absl::StrSplit(std::string(path), '/');
  for (const std::string& component : components) {
    if (component.empty() || component == "." || component == "..") {
      return "the path has an empty component, '.' or '..'";
    }
    if (component.size() > kMaxComponentBytes) return "a component of the path is too long";
    if (component == kResultMarker) return "that file's name is reserved";
  }
  return "";
}

absl::StatusOr<std::string> ParseArtifactName(std::string_view name, std::string_view field) {
  if (name.starts_with(kPrefix) && IsId(name.substr(kPrefix.size()))) {
    return std::string(name.substr(kPrefix.size()));
  }
  return Malformed(name, field,
                   "is no artifact name; they look like artifacts/ID, ID of up to 64 letters, "
                   "digits, '-' and '_'");
}

absl::StatusOr<ArtifactFile> ParseArtifactFileName(std::string_view resource_name) {
  const size_t files = resource_name.find(kFiles);
  if (files == std::string_view::npos) {
    return Malformed(resource_name, kField,
                     "is no file of an artifact; they look like artifacts/ID/files/PATH");
  }
  absl::StatusOr<std::string> id = ParseArtifactName(resource_name.substr(0, files), kField);
  if (!id.ok()) return id.status();
  const std::string_view path = resource_name.substr(files + kFiles.size());
  if (const std::string problem = ArtifactPathProblem(path); !problem.empty()) {
    return Malformed(resource_name, kField, problem);
  }
  return ArtifactFile{*std::move(id), std::string(path)};
}

absl::Status UploadBusy(std::string_view name, std::string_view why) {
  return WithRetryAfter(WithReason(absl::AbortedError(absl::StrCat(
                                       std::string(name), ": ", std::string(why), "; retry later")),
                                   "UPLOAD_BUSY"),
                        std::chrono::seconds(1));
}

}  // namespace seedlm::server
