// The S3 server that a seedlm server may write to.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/errors/fault_point.h"
#include "server/storage/data_dir.h"
#include "server/storage/publisher.h"
#include "server/storage/s3/client.h"
#include "server/storage/s3_key_file.h"
#include "server/storage/s3_sweeper.h"
#include "server/storage/s3_transfer.h"
#include "server/storage/sink_target.h"

namespace seedlm::server {

// What becomes of a ledger that an earlier server left.
enum class Leftover : uint8_t {
  kStays,        // somebody will take it up
  kStaysIfMade,  // what was made may be an output, or not; without any it is as kFinished
  kUndone,       // what was made is removed, what is open is aborted
  kFinished,     // what was made stays, what is open is aborted
};

// Thread-safe.
class S3Destination {
 public:
  // What it tells of itself.
  struct Reports {
    std::function<void(const std::string& message)> warn;
    std::function<void(const s3::Attempt& attempt)> request = [](const s3::Attempt&) {};
    std::function<void(const std::string& message)> inform = [](const std::string&) {};
  };

  // What a start makes of the options: with the keys of their file. Warns of files that are of no
  // use and keep nobody from starting. Errors: INVALID_ARGUMENT for an endpoint that is none; those
  // of ReadS3Credentials.
  using Warn = std::function<void(const std::string& message)>;
  static absl::StatusOr<s3::Options> Settle(const s3::Options& wanted, const Warn& warn);

  // Of what an earlier server left, `leftover_of` says what becomes of it, by the job's id
  // (SinkTarget::id); but a ledger that wants something removed is the sweeper's in any case.
  // Without credentials it refuses every target, and all stays. Errors: those of Settle; of the
  // disk.
  // REQUIRES: `data_dir` outlives it; no job has begun yet.
  using LeftoverOf = std::function<Leftover(std::string_view id)>;
  static absl::StatusOr<std::unique_ptr<S3Destination>> Open(
      const DataDir& data_dir, const s3::Options& options, const S3Transfer& transfer,
      Reports reports, const LeftoverOf& leftover_of, FaultPoint fault_point = {});

  // FAILED_PRECONDITION (S3_NOT_CONFIGURED); else as S3Publisher::Check.
  absl::Status Check(const SinkTarget& target, const S3Patience& patience) const;

  // Reads the file of keys now, if there is one (S3KeyFile::Reload).
  absl::Status ReloadKeys();

  // Which server: "https://HOST[:PORT]"; empty where nothing is configured.
  std::string endpoint() const;

  // Where nothing is configured, one that can only discard. REQUIRES: target.s3 is set; this
  // outlives the answer.
  std::unique_ptr<Publisher> MakePublisher(const SinkTarget& target) const;

  // No upload is left to be aborted; for tests.
  bool idle() const { return sweeper_ == nullptr || sweeper_->idle(); }

 private:
  S3Destination(std::string directory, const S3Transfer& transfer, FaultPoint fault_point)
      : directory_(std::move(directory)),
        transfer_(transfer),
        fault_point_(std::move(fault_point)) {}

  absl::Status OpenKeyFile(const s3::Options& options);

  const std::string directory_;  // DATA_DIR/s3: ledgers
  const S3Transfer transfer_;
  const FaultPoint fault_point_;
  Warn warn_;
  Warn inform_;
  std::unique_ptr<S3KeyFile> keys_;     // null: they do not change
  absl::Status why_not_;                // OK: it is configured
  std::unique_ptr<s3::Client> client_;  // null unless configured
  std::unique_ptr<S3Sweeper> sweeper_;
};

}  // namespace seedlm::server
