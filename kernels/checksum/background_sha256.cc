#include "kernels/checksum/background_sha256.h"

#include <system_error>

namespace seedlm::checksum {

bool BackgroundSha256::HasThread() {
  if (thread_.joinable()) return true;
  try {
    thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
  } catch (const std::system_error&) {
    return false;
  }
  return true;
}

void BackgroundSha256::Update(std::span<const std::byte> bytes) {
  Wait();
  if (!HasThread()) return sum_.Update(bytes);
  const std::lock_guard lock(mutex_);
  bytes_ = bytes;
  changed_.notify_all();
}

void BackgroundSha256::Wait() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return bytes_.empty(); });
}

std::string BackgroundSha256::HexDigest() {
  Wait();
  return sum_.HexDigest();
}

void BackgroundSha256::Run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (changed_.wait(lock, stop, [this] { return !bytes_.empty(); })) {
    const std::span<const std::byte> bytes = bytes_;
    lock.unlock();
    sum_.Update(bytes);
    lock.lock();
    bytes_ = {};
    changed_.notify_all();
  }
}

}  // namespace seedlm::checksum
