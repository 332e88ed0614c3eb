// Outputs at an S3 server: they leave in parts while the job runs, and appear at its end.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/errors/fault_point.h"
#include "server/storage/part_plan.h"
#include "server/storage/publisher.h"
#include "server/storage/s3/client.h"
#include "server/storage/s3/wait_scope.h"
#include "server/storage/s3_ledger.h"
#include "server/storage/s3_sweeper.h"
#include "server/storage/s3_transfer.h"
#include "server/storage/sink_target.h"
#include "server/storage/unique_fd.h"

namespace seedlm::server {

// Objects PREFIX/PATH, one for each file of the output. Files of at most a part are put at the end.
// Everything is completed at the end, the index and config.json last, so who finds those finds all.
// Uploads that a publisher leaves open are the sweeper's.
class S3Publisher final : public Publisher {
 public:
  struct Parts {                   // all outlive the publisher
    absl::Status why_not;          // not OK: there is no S3 server, and only Discard works
    s3::Client* client = nullptr;  // set if why_not is OK, as sweeper
    S3Sweeper* sweeper = nullptr;
    std::string ledgers;  // directory of ledgers, which exists
    S3Transfer transfer;
    std::function<int64_t()> unix_seconds;
    FaultPoint fault_point = {};
  };
  // REQUIRES: target.s3 is set. The WaitScope of who calls Begin hears of the parts, too, until
  // this is destroyed.
  S3Publisher(SinkTarget target, Parts parts);
  // Lets go of parts that are on their way; what is open is aborted soon after.
  ~S3Publisher() override;

  // What can be known before any work is done: whether the bucket can be reached and used, and
  // whether something is at the prefix. Errors: those of s3::Client, ALREADY_EXISTS.
  static absl::Status Check(s3::Client& client, const SinkTarget& target,
                            const S3Patience& patience = {});

  // Every file is there, with its size, and this job's, and none of them is to be removed.
  absl::StatusOr<bool> WasPublished(const std::string& intent, const std::vector<StoredFile>& files,
                                    std::stop_token stop) override;
  absl::Status Begin(const Staging& staging) override;
  absl::Status RangeIsFinal(const FinalRange& range) override;
  absl::StatusOr<std::string> Intent() override;
  // Waits for the parts that are on their way, sends the other files, completes all. After an error
  // what was completed is removed again, unless it may have replaced something: by the sweeper
  // where the server is away, or where it was a stop that ended it. A stop that comes while objects
  // are completed leaves them three seconds.
  absl::Status Publish(const std::vector<StoredFile>& files, std::stop_token stop) override;
  absl::Status warning() const override { return absl::OkStatus(); }
  absl::Status Discard() override;

 private:
  // A file that goes in parts. Constant after Add but for what mutex_ guards.
  struct Object {
    s3::ObjectName name;
    std::string path;  // staged
    UniqueFd fd;
    PartPlan plan;
    // Guarded by mutex_.
    bool asked = false;  // somebody asks for the upload
    std::string upload_id{};
    std::vector<s3::PartTag> tags{};
  };
  struct Task {
    Object* object = nullptr;
    FilePart part;
  };

  s3::ObjectName NameOf(const std::string& relative_path) const;
  std::string Owner() const;
  s3::Existing existing() const;
  absl::StatusOr<Object*> AddObject(const std::string& relative_path);
  void Enqueue(Object& object, const std::vector<FilePart>& parts);
  void Run(const std::stop_token& stop);
  absl::Status Send(const Task& task, const std::stop_token& stop);
  absl::StatusOr<std::string> UploadId(Object& object, const std::stop_token& stop);
  absl::Status Drain(const std::stop_token& stop);
  absl::Status CompleteAll(const std::vector<StoredFile>& files, const std::stop_token& stop);
  absl::Status Complete(const StoredFile& file, const std::stop_token& stop);
  void Undo(const std::stop_token& stop);

  const SinkTarget target_;
  const Parts parts_;
  Staging staging_;                   // from Begin
  std::unique_ptr<S3Ledger> ledger_;  // from Begin
  S3Sweeper::Claim claim_;            // from Begin
  s3::WaitScope::Listener waits_;     // of who called Begin; constant from there on
  std::vector<s3::ObjectName> made_;  // by CompleteAll, in order; of the last one nobody may know

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::map<std::string, std::unique_ptr<Object>> objects_;  // by relative path; guarded
  std::deque<Task> tasks_;                                  // guarded
  int sending_ = 0;                                         // guarded
  absl::Status failure_;                                    // guarded; the first one
  std::vector<std::jthread> threads_;  // begun with the first part; guarded until they are joined
};

}  // namespace seedlm::server
