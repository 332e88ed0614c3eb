// Names of artifacts and of the files in them.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace seedlm::server {

struct ArtifactFile {
  std::string id;    // 1-64 of [A-Za-z0-9_-]
  std::string path;  // relative; components neither empty, "." nor ".."; at most 1,024 bytes
};

// A result of a job carries an empty file of this name: nothing can be uploaded into it.
inline constexpr std::string_view kResultMarker = ".seedlm-result";

// "artifacts/ID" -> ID. INVALID_ARGUMENT (FIELD_INVALID) otherwise; `field`: where a request has
// it.
absl::StatusOr<std::string> ParseArtifactName(std::string_view name, std::string_view field);

// "artifacts/ID/files/PATH", the field resource_name. INVALID_ARGUMENT (FIELD_INVALID) otherwise,
// saying what is wrong.
absl::StatusOr<ArtifactFile> ParseArtifactFileName(std::string_view resource_name);

// What keeps `path` from being a file's in an artifact, for people; empty: nothing.
std::string ArtifactPathProblem(std::string_view path);

// ABORTED, reason UPLOAD_BUSY, to be tried again: "NAME: WHY; retry later".
absl::Status UploadBusy(std::string_view name, std::string_view why);

}  // namespace seedlm::server
