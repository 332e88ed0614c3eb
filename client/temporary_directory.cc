#include "client/temporary_directory.h"

#include <stdlib.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/leftovers.h"
#include "kernels/format/atomic_file.h"

namespace seedlm::client {

absl::StatusOr<TemporaryDirectory> TemporaryDirectory::Create(const std::string& parent,
                                                              const std::string& name) {
  std::string path = absl::StrCat(parent, "/.", name, ".XXXXXX");
  if (mkdtemp(path.data()) == nullptr) {
    return format::ErrnoToStatus(errno, parent, "create a temporary directory in it");
  }
  RegisterLeftover(path);
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

void TemporaryDirectory::Remove() {
  if (path_.empty()) return;
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
  ForgetLeftover(path_);
  path_.clear();
}

}  // namespace seedlm::client
