// What a file may be called in an artifact.
#pragma once

#include <string>
#include <string_view>

namespace seedlm::client {

// Why the server would refuse a file of this relative path, or "" (proto/README.md, "Names").
// Asked before an upload: gigabytes later would be late.
std::string ArtifactPathProblem(std::string_view path);

}  // namespace seedlm::client
