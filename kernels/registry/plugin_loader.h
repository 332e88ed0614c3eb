// Opens backends that live in shared objects (kernels/backend/plugin.h).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/backend/backend.h"
#include "kernels/search/index_store.h"

namespace seedlm::backend {

// Where the plug-in of the CUDA backend is looked for: the file that SEEDLM_CUDA_PLUGIN names, or
// seedlm_cuda.so beside this program, in ../lib/seedlm of that, or where a build leaves it.
std::vector<std::string> CudaPluginPaths();

// The backend of the first of `paths` that exists; `index` is for its open(). The shared object
// stays loaded for good. Thread-safe. FAILED_PRECONDITION, naming the file: there is none; it
// cannot be loaded, is no plug-in, has another version, comes from another build; and what its
// open() says.
absl::StatusOr<std::shared_ptr<const Backend>> OpenPlugin(
    const std::vector<std::string>& paths, const std::shared_ptr<search::IndexStore>& index = {});

}  // namespace seedlm::backend
