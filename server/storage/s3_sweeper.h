// Aborts uploads that nobody will complete, and removes objects that nobody should see, in the
// background.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <set>
#include <stop_token>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/errors/fault_point.h"
#include "server/storage/s3/client.h"

namespace seedlm::server {

// Of each request of a sweep: it comes again soon, and another ledger may wait for its turn.
inline constexpr int kSweepAttempts = 4;

// Removes an object, if it is `owner`'s: what somebody has written over it meanwhile stays.
// `attempts`: as of s3::Client.
absl::Status RemoveOwned(s3::Client& client, const s3::ObjectName& object, const std::string& owner,
                         const std::stop_token& stop, int attempts = 0);

// Removes the objects that the ledger at `path` wants undone, as long as they are their owner's.
// A ledger that is not there is OK. REQUIRES: nobody appends to it.
absl::Status UndoLedger(s3::Client& client, const std::string& path, const std::stop_token& stop,
                        const FaultPoint& fault_point = {});

// Aborts whatever the ledger at `path` says may be open, removes what it wants undone, and then the
// ledger. Of an upload whose id is not known, every one of the same key is aborted that was begun
// no more than a quarter of an hour (as far as clocks may differ) before it was asked for, but
// those that a ledger of the same directory knows by their ids; unless `claimed` says, when they
// have been listed, that somebody may have begun it since: then ABORTED, once all else is done. So
// with an object that is claimed; `removing` is told true before that question and
// false after the removal. A ledger that is not there is OK.
absl::Status SweepLedger(
    s3::Client& client, const std::string& path, const std::stop_token& stop,
    const std::function<bool(const s3::ObjectName&)>& claimed =
        [](const s3::ObjectName&) { return false; },
    const std::function<void(bool)>& removing = [](bool) {}, const FaultPoint& fault_point = {});

inline constexpr std::chrono::seconds kSweepAgain{30};

// Thread-safe. What cannot be aborted now is tried again `pause` later, and by the next server; it
// holds up no other ledger.
class S3Sweeper {
 public:
  using Warn = std::function<void(const std::string& message)>;

  // Objects and uploads below a prefix belong to who has this, but for uploads that a ledger knows
  // by their id.
  // Movable; must not outlive its sweeper.
  class Claim {
   public:
    Claim() = default;  // of nothing
    Claim(Claim&& other) noexcept;
    Claim& operator=(Claim&& other) noexcept;
    ~Claim();

   private:
    friend class S3Sweeper;
    Claim(S3Sweeper* sweeper, std::multiset<std::string>::iterator prefix)
        : sweeper_(sweeper), prefix_(prefix) {}
    S3Sweeper* sweeper_ = nullptr;
    std::multiset<std::string>::iterator prefix_;
  };

  // REQUIRES: `client` outlives it.
  S3Sweeper(s3::Client& client, Warn warn, std::chrono::milliseconds pause = kSweepAgain,
            FaultPoint fault_point = {});
  // Stops soon.
  ~S3Sweeper();
  S3Sweeper(const S3Sweeper&) = delete;
  S3Sweeper& operator=(const S3Sweeper&) = delete;

  // From here on the ledger is the sweeper's, whether it was before or not.
  void Take(std::string ledger_path);
  // From here on the ledger is the caller's, whether it was the sweeper's or not; but false, and
  // nothing changes, if it is being swept.
  [[nodiscard]] bool GiveBack(const std::string& ledger_path);
  // Waits for a removal that is under way; CANCELLED if `stop` comes meanwhile. REQUIRES: called
  // before the first upload below the prefix is asked for.
  absl::StatusOr<Claim> ClaimPrefix(const s3::Location& location, const std::stop_token& stop);
  bool idle() const;  // nothing is left to do; for tests

 private:
  void Run(const std::stop_token& stop);
  // Waits for a ledger whose turn it is. REQUIRES: `lock` holds mutex_.
  void AwaitTurn(std::unique_lock<std::mutex>& lock, const std::stop_token& stop);
  bool IsClaimed(const s3::ObjectName& object) const;

  s3::Client& client_;
  const Warn warn_;
  const std::chrono::milliseconds pause_;
  const FaultPoint fault_point_;
  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<std::string> ledgers_;  // guarded by mutex_
  std::deque<std::string> later_;    // guarded by mutex_; tried in vain
  std::string in_work_;              // guarded by mutex_; of ledgers_, the one that is being swept
  std::chrono::steady_clock::time_point again_{};  // when those have their turn; guarded by mutex_
  std::multiset<std::string> claimed_;             // "BUCKET/PREFIX/"; guarded by mutex_
  bool removing_ = false;                          // see SweepLedger; guarded by mutex_
  bool released_ = false;  // a claim ended since the last sweep; guarded by mutex_
  std::jthread thread_;    // last: everything above is there when it begins
};

}  // namespace seedlm::server
