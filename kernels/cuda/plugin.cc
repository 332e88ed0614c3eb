// What the registry finds in the shared object.
#include "kernels/backend/plugin.h"

#include <mutex>

#include "kernels/cuda/cuda_backend.h"

namespace seedlm::cuda {
namespace {

// One pool a process. A failure is not kept: a driver may appear.
absl::StatusOr<std::shared_ptr<const backend::Backend>> Open(
    const std::shared_ptr<search::IndexStore>& index) {
  static std::mutex mutex;
  // Guarded by mutex. Never destroyed: at the end of a process the driver may be gone before it.
  static auto& opened = *new std::shared_ptr<const backend::Backend>;
  const std::lock_guard lock(mutex);
  if (opened == nullptr) {
    auto made = MakeCudaBackend({.index = index});
    if (!made.ok()) return made.status();
    opened = *std::move(made);
  }
  return opened;
}

}  // namespace
}  // namespace seedlm::cuda

extern "C" __attribute__((visibility("default"))) const seedlm::backend::Plugin*
seedlm_backend_plugin() {
  static const seedlm::backend::Plugin plugin{
      seedlm::backend::kPluginVersion, seedlm::backend::BuildId().data(), &seedlm::cuda::Open};
  return &plugin;
}
