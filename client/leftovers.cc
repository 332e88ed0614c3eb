#include "client/leftovers.h"

#include <fcntl.h>

#include <filesystem>
#include <mutex>
#include <set>
#include <system_error>

#include "absl/strings/numbers.h"
#include "kernels/format/hidden_name.h"

namespace seedlm::client {
namespace {

namespace fs = std::filesystem;

struct Registry {
  std::mutex mutex;
  std::set<std::string> paths;  // guarded by mutex
  bool kept = false;            // guarded by mutex
};

Registry& TheRegistry() {
  static auto* registry = new Registry;  // never destroyed: used while the process ends
  return *registry;
}

bool IsOpenForWriting(const std::string& descriptor) {
  int number = -1;
  if (!absl::SimpleAtoi(descriptor, &number)) return false;
  const int flags = fcntl(number, F_GETFL);
  return flags >= 0 && (flags & O_ACCMODE) != O_RDONLY;
}

}  // namespace

void RegisterLeftover(const std::string& path) {
  Registry& registry = TheRegistry();
  const std::lock_guard lock(registry.mutex);
  registry.paths.insert(path);
}

void ForgetLeftover(const std::string& path) {
  Registry& registry = TheRegistry();
  const std::lock_guard lock(registry.mutex);
  registry.paths.erase(path);
}

std::string HiddenOutput(const std::string& path) {
  fs::path prefix;
  for (const fs::path& part : fs::path(path)) {
    prefix /= part;
    const std::string name = part.string();
    if (format::IsTemporaryName(name) || format::IsPartialName(name)) return prefix.string();
  }
  return "";
}

void RegisterOpenOutputs() {
  std::error_code error;
  for (fs::directory_iterator entry("/proc/self/fd", error), end; !error && entry != end;
       entry.increment(error)) {
    std::error_code unreadable;
    const fs::path target = fs::read_symlink(entry->path(), unreadable);
    if (unreadable || !IsOpenForWriting(entry->path().filename().string())) continue;
    if (const std::string hidden = HiddenOutput(target.string()); !hidden.empty()) {
      RegisterLeftover(hidden);
    }
  }
}

void KeepLeftovers() {
  Registry& registry = TheRegistry();
  const std::lock_guard lock(registry.mutex);
  registry.kept = true;
}

bool LeftoversAreKept() {
  Registry& registry = TheRegistry();
  const std::lock_guard lock(registry.mutex);
  return registry.kept;
}

std::vector<std::string> RemoveLeftovers() {
  Registry& registry = TheRegistry();
  const std::lock_guard lock(registry.mutex);
  std::vector<std::string> left;
  if (registry.kept) return left;
  for (const std::string& path : registry.paths) {
    // A thread that still works may add a file while the directory is emptied.
    std::error_code error = std::make_error_code(std::errc::directory_not_empty);
    for (int attempt = 0; error && attempt < 3; ++attempt) fs::remove_all(path, error);
    if (error) left.push_back(path);
  }
  return left;
}

}  // namespace seedlm::client
