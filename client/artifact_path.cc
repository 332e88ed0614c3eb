#include "client/artifact_path.h"

#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace seedlm::client {
namespace {

constexpr size_t kMaxBytes = 1024;
constexpr std::string_view kPunctuation = "._-/ +=@,";
constexpr std::string_view kReserved = ".seedlm-result";  // the server's mark in a job's result

bool IsAllowed(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
         kPunctuation.find(c) != std::string_view::npos;
}

}  // namespace

std::string ArtifactPathProblem(std::string_view path) {
  if (path.empty() || path.size() > kMaxBytes) {
    return absl::StrCat("is not a path of 1 to ", kMaxBytes, " bytes");
  }
  for (const char c : path) {
    if (!IsAllowed(c)) return "a server takes letters, digits and \"._-/ +=@,\" only";
  }
  const std::vector<std::string> parts = absl::StrSplit(std::string(path), '/');
  for (const std::string& part : parts) {
    if (part == "." || part == ".." || part.empty()) return "has an empty part, '.' or '..'";
    if (part == kReserved) return "is a name of the server's own";
  }
  return "";
}

}  // namespace seedlm::client
