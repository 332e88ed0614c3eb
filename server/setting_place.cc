#include "server/setting_place.h"

#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace seedlm::server {
namespace {

// Every path that a setting gave, with the setting's name.
std::vector<std::pair<std::string, std::string>> PathsOf(const ServerOptions& options) {
  std::vector<std::pair<std::string, std::string>> paths = {
      {"tls-cert", options.tls.certificate},           {"tls-key", options.tls.key},
      {"tls-client-ca", options.tls.client_ca},        {"tokens", options.tokens},
      {"s3-credentials", options.s3.credentials_file},
  };
  for (const std::string& root : options.storage_roots) paths.emplace_back("storage-root", root);
  paths.emplace_back("data-dir", options.data_dir);
  return paths;
}

// Of a path, or of what lies in it.
bool IsAbout(std::string_view message, const std::string& path) {
  if (path.empty() || !message.starts_with(path) || message.size() == path.size()) return false;
  return message[path.size()] == ':' || message[path.size()] == '/';
}

}  // namespace

std::string WithSetting(const ServerOptions& options, std::string_view message) {
  // The longest path that fits: others may lie in a directory that is a setting's, too.
  std::pair<std::string, std::string> setting;
  for (const auto& [name, path] : PathsOf(options)) {
    std::error_code error;
    std::string absolute = std::filesystem::absolute(path, error).lexically_normal().string();
    while (absolute.size() > 1 && absolute.back() == '/') absolute.pop_back();
    if (path.empty() || (!IsAbout(message, path) && !IsAbout(message, absolute))) continue;
    if (absolute.size() > setting.second.size()) setting = {name, absolute};
  }
  const auto& name = setting.first;
  if (name.empty()) return std::string(message);
  const auto place = options.places.find(name);
  return place == options.places.end()
             ? absl::StrCat("--", name, ": ", std::string(message))
             : absl::StrCat(place->second, ": ", name, ": ", std::string(message));
}

}  // namespace seedlm::server
