#include "kernels/format/file_watch.h"

#include <sys/stat.h>

namespace seedlm::format {
namespace {

constexpr std::chrono::seconds kLookAgain{1};
constexpr int64_t kNanosecondsPerSecond = 1'000'000'000;

}  // namespace

FileWatch::Stamp FileWatch::Look() {
  looked_ = std::chrono::steady_clock::now();
  struct stat info {};
  if (stat(path_.c_str(), &info) != 0) return {};
  return {static_cast<int64_t>(info.st_ino), info.st_size,
          info.st_ctim.tv_sec * kNanosecondsPerSecond + info.st_ctim.tv_nsec};
}

void FileWatch::Begin() { stamp_ = Look(); }

bool FileWatch::Changed() {
  if (std::chrono::steady_clock::now() < looked_ + kLookAgain) return false;
  return !(Look() == stamp_);
}

}  // namespace seedlm::format
