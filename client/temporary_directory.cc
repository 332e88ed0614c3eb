#include "client/temporary_directory.h"

#include <stdlib.h>

#include <cerrno>
#include <filesystem>
#include <mutex>
#include <set>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "kernels/format/atomic_file.h"

namespace seedlm::client {
namespace {

struct Registry {
  std::mutex mutex;
  std::set<std::string> paths;  // guarded by mutex
};

Registry& TheRegistry() {
  static auto* registry = new Registry;  // never destroyed: used while the process ends
  return *registry;
}

}  // namespace

absl::StatusOr<TemporaryDirectory> TemporaryDirectory::Create(const std::string& parent,
                                                              const std::string& name) {
  std::string path = absl::StrCat(parent, "/.", name, ".XXXXXX");
  Registry& registry = TheRegistry();
  const std::lock_guard lock(registry.mutex);
  if (mkdtemp(path.data()) == nullptr) {
    return format::ErrnoToStatus(errno, parent, "create a temporary directory in it");
  }
  registry.paths.insert(path);
  return TemporaryDirectory(std::move(path));
}

std::string TemporaryDirectory::SystemParent() {
  const char* chosen = std::getenv("TMPDIR");
  return chosen != nullptr && *chosen != '\0' ? chosen : "/tmp";
}

TemporaryDirectory::TemporaryDirectory(TemporaryDirectory&& other) noexcept
    : path_(std::exchange(other.path_, {})) {}

TemporaryDirectory& TemporaryDirectory::operator=(TemporaryDirectory&& other) noexcept {
  if (this != &other) {
    Remove();
    path_ = std::exchange(other.path_, {});
  }
  return *this;
}

TemporaryDirectory::~TemporaryDirectory() { Remove(); }

void TemporaryDirectory::Release() {
  Registry& registry = TheRegistry();
  const std::lock_guard lock(registry.mutex);
  registry.paths.erase(path_);
  path_.clear();
}

void TemporaryDirectory::Remove() {
  if (path_.empty()) return;
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
  Release();
}

void TemporaryDirectory::RemoveAll() {
  Registry& registry = TheRegistry();
  const std::lock_guard lock(registry.mutex);
  for (const std::string& path : registry.paths) {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
}

}  // namespace seedlm::client
