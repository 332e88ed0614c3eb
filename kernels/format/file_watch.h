// Whether a file is still the one that was read.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>

namespace seedlm::format {

// Not thread-safe.
class FileWatch {
 public:
  explicit FileWatch(std::string path) : path_(std::move(path)) {}

  // The file is about to be read: what changes from now on is a change.
  void Begin();
  // Looks (stat) once a second at most, and says no in between. A file that is gone has changed.
  bool Changed();

 private:
  struct Stamp {
    int64_t inode = 0;
    int64_t size = 0;
    int64_t time_ns = 0;  // of the last change of content, owner or mode
    bool operator==(const Stamp&) const = default;
  };
  Stamp Look();

  std::string path_;
  Stamp stamp_;
  std::chrono::steady_clock::time_point looked_{};
};

}  // namespace seedlm::format
