// SHA-256 beside other work on the same bytes.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <span>
#include <stop_token>
#include <string>
#include <thread>

#include "kernels/checksum/sha256.h"

namespace seedlm::checksum {

// A running sum on a thread of its own, which begins with the first bytes: SHA-256 takes as long as
// all else that a transfer does with a chunk. To be called by one thread at a time.
class BackgroundSha256 {
 public:
  // Returns at once, unless there is no thread to be had. REQUIRES: the bytes stay as they are
  // until the next call, whichever it is, or the destructor has returned.
  void Update(std::span<const std::byte> bytes);
  void Wait();  // until all is summed
  // 64 lower-case hex digits. The sum is over.
  std::string HexDigest();

 private:
  bool HasThread();
  void Run(const std::stop_token& stop);

  Sha256 sum_;  // the thread's own while there are bytes_
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::span<const std::byte> bytes_;  // to be summed; guarded by mutex_
  std::jthread thread_;               // last: everything above is there when it begins
};

}  // namespace seedlm::checksum
