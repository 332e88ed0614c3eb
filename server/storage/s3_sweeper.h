// Aborts uploads that nobody will complete, in the background.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "server/storage/s3/client.h"

namespace seedlm::server {

// Aborts whatever the ledger at `path` says may be open, and removes it when nothing is. Of an
// upload whose id is not known, every one of the same key is aborted that was begun no more than a
// quarter of an hour (as far as clocks may differ) before it was asked for. A ledger that is not
// there is OK.
absl::Status SweepLedger(s3::Client& client, const std::string& path, const std::stop_token& stop);

// Thread-safe. What cannot be aborted now is tried again every `pause`, and by the next server.
class S3Sweeper {
 public:
  using Warn = std::function<void(const std::string& message)>;

  // REQUIRES: `client` outlives it.
  S3Sweeper(s3::Client& client, Warn warn,
            std::chrono::milliseconds pause = std::chrono::seconds(30));
  // Stops soon.
  ~S3Sweeper();
  S3Sweeper(const S3Sweeper&) = delete;
  S3Sweeper& operator=(const S3Sweeper&) = delete;

  void Take(std::string ledger_path);
  bool idle() const;  // nothing is left to do; for tests

 private:
  void Run(const std::stop_token& stop);

  s3::Client& client_;
  const Warn warn_;
  const std::chrono::milliseconds pause_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<std::string> ledgers_;  // guarded by mutex_; the one in work stays in front
  std::jthread thread_;              // last: everything above is there when it begins
};

}  // namespace seedlm::server
