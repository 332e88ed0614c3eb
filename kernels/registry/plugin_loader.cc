#include "kernels/registry/plugin_loader.h"

#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernels/backend/plugin.h"

namespace seedlm::backend {

std::vector<std::string> CudaPluginPaths() {
  constexpr char kFile[] = "seedlm_cuda.so";
  if (const char* named = std::getenv("SEEDLM_CUDA_PLUGIN"); named != nullptr && *named != '\0') {
    return {named};
  }
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return {};
  const auto directory = program.parent_path();
  std::vector<std::string> paths;
  for (const char* relative : {".", "../lib/seedlm", "../kernels/cuda"}) {
    paths.push_back((directory / relative / kFile).lexically_normal().string());
  }
  return paths;
}

absl::StatusOr<std::shared_ptr<const Backend>> OpenPlugin(
    const std::vector<std::string>& paths, const std::shared_ptr<search::IndexStore>& index) {
  const std::string* path = nullptr;
  for (const std::string& candidate : paths) {
    if (path == nullptr && access(candidate.c_str(), F_OK) == 0) path = &candidate;
  }
  if (path == nullptr) {
    return absl::FailedPreconditionError(
        absl::StrCat("no plug-in: there is no ", absl::StrJoin(paths, ", no ")));
  }
  void* handle = dlopen(path->c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat("the plug-in cannot be loaded: ", dlerror()));
  }
  const auto entry = reinterpret_cast<PluginEntry>(dlsym(handle, kPluginEntry));
  if (entry == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat(*path, " is no plug-in of seedlm"));
  }
  const Plugin* plugin = entry();
  if (plugin->version != kPluginVersion) {
    return absl::FailedPreconditionError(absl::StrCat(*path, " is a plug-in of version ",
                                                      plugin->version, "; this program takes ",
                                                      kPluginVersion));
  }
  if (plugin->build_id != BuildId()) {
    return absl::FailedPreconditionError(
        absl::StrCat(*path, " belongs to another build of seedlm (", plugin->build_id, "; this is ",
                     std::string(BuildId()), ")"));
  }
  return plugin->open(index);
}

}  // namespace seedlm::backend
