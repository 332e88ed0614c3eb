// The door between a program and a backend in a shared object that it opens at run time.
//
// The shared object exports `extern "C" const Plugin* seedlm_backend_plugin()`. Both sides are C++
// of one build: the version says whether the struct can be read at all, the build id whether both
// were compiled from the same headers in the same way.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "kernels/backend/backend.h"

namespace seedlm::search {
class IndexStore;
}

namespace seedlm::backend {

inline constexpr uint32_t kPluginVersion = 4;
inline constexpr char kPluginEntry[] = "seedlm_backend_plugin";

struct Plugin {
  uint32_t version;      // kPluginVersion; read before anything that follows
  const char* build_id;  // BuildId() of the shared object
  // The backend, the same one at every call, with the index of the first; null: there is none.
  // FAILED_PRECONDITION: why it cannot run on this machine. Thread-safe.
  absl::StatusOr<std::shared_ptr<const Backend>> (*open)(
      const std::shared_ptr<search::IndexStore>& index);
};

using PluginEntry = const Plugin* (*)();

// A digest of the headers that both sides share, and of the compiler and its flags.
std::string_view BuildId();

}  // namespace seedlm::backend
