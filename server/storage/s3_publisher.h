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
#include <set>
#include <stop_token>
#include <string>
#include <string_view>
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
#include "server/storage/s3_upload.h"
#include "server/storage/sink_target.h"

namespace seedlm::server {

// Objects PREFIX/PATH, one for each file of the output. Files of at most a part are put at the end.
// Everything is completed at the end, the index and config.json last, so who finds those finds all.
// What an earlier attempt has sent or made, and the staged files prove, is not sent or made again
// (S3Upload). A ledger that no publisher has, and no job will go on with, is the sweeper's.
class S3Publisher final : public Publisher {
 public:
  struct Parts {           // all outlive the publisher
    absl::Status why_not;  // not OK: there is no S3 server, and only Abandon and Discard work
    s3::Client* client = nullptr;  // set if why_not is OK, as sweeper
    S3Sweeper* sweeper = nullptr;
    std::string ledgers;  // directory of ledgers, which exists
    S3Transfer transfer;
    std::function<int64_t()> unix_seconds;
    FaultPoint fault_point = {};
    std::function<void(const std::string& message)> warn = [](const std::string&) {};
    std::function<void(const std::string& message)> inform = [](const std::string&) {};
  };
  // s3::ObjectInfo::owner of what a job makes.
  static std::string OwnerOf(std::string_view id);

  // REQUIRES: target.s3 is set. The WaitScope of who calls Begin hears of the parts, too, until
  // this is destroyed.
  S3Publisher(SinkTarget target, Parts parts);
  // Lets go of parts that are on their way. What is open is aborted soon after, and what was made
  // and not published is removed; unless KeepOpen was called, and no error has ended Publish while
  // it made objects. Warns where the disk does not take that something is to be removed: the ledger
  // stays then, for whoever asks for it again.
  ~S3Publisher() override;

  // What can be known before any work is done: whether the bucket can be reached and used, and
  // whether something is at the prefix. Errors: those of s3::Client, ALREADY_EXISTS.
  static absl::Status Check(s3::Client& client, const SinkTarget& target,
                            const S3Patience& patience = {});

  // Every file is there, with its size, and this job's, and none of them is to be removed.
  absl::StatusOr<bool> WasPublished(const std::string& intent, const std::vector<StoredFile>& files,
                                    std::stop_token stop) override;
  // Takes the job's ledger back, from the sweeper too, if that is not at it. One that is none does
  // not keep the job from beginning anew: the sweeper warns of it. Errors: as Check; of the disk.
  absl::Status Begin(const Staging& staging) override;
  absl::Status RangeIsFinal(const FinalRange& range) override;
  absl::StatusOr<std::string> Intent() override;
  // Waits for the parts that are on their way, sends the other files, completes all. After an error
  // what was completed is removed again, unless it may have replaced something: by the sweeper
  // where the server is away. A stop that comes while objects are completed leaves them three
  // seconds; what there is then is removed, by the sweeper, unless KeepOpen is called.
  absl::Status Publish(const std::vector<StoredFile>& files, std::stop_token stop) override;
  absl::Status warning() const override { return absl::OkStatus(); }
  void KeepOpen() override { keep_open_ = true; }
  // Without an S3 server it is written down for the next start that has one.
  absl::Status Abandon() override;
  absl::Status Discard() override;

 private:
  // A file of the output.
  struct Object {
    std::unique_ptr<S3Upload> upload;
    PartPlan plan;      // which parts can be sent; guarded by mutex_
    bool made = false;  // by an earlier attempt; of Publish's thread
  };
  struct Task {
    S3Upload* upload = nullptr;
    FilePart part;
  };

  s3::ObjectName NameOf(const std::string& relative_path) const;
  std::string Owner() const;
  s3::Existing existing() const;
  absl::Status TakeBack(const std::string& ledger_path);
  // An earlier attempt may have made its object: only its sum, which comes at the end, can tell.
  bool MayBeMade(const s3::ObjectName& name) const { return earlier_.objects.contains(name.key); }
  absl::StatusOr<bool> WasMade(const StoredFile& file, const std::stop_token& stop) const;
  absl::StatusOr<Object*> AddObject(const std::string& relative_path);
  void Enqueue(Object& object, const std::vector<FilePart>& parts);
  void Run(const std::stop_token& stop);
  absl::Status SendRest(const StoredFile& file, const std::stop_token& stop);
  absl::Status Drain(const std::stop_token& stop);
  absl::Status CompleteAll(const std::vector<StoredFile>& files, const std::stop_token& stop);
  absl::Status Complete(const StoredFile& file, const std::stop_token& stop);
  // S3Ledger::UndoAll, unless what the objects replaced would not come back.
  absl::Status WantUndone(S3Ledger& ledger, std::vector<std::string>* keys = nullptr) const;
  void Undo(const std::stop_token& stop);

  const SinkTarget target_;
  const Parts parts_;
  // From Begin; constant from there on.
  Staging staging_;
  std::unique_ptr<S3Ledger> ledger_;
  LedgerContent earlier_;  // of ledger_, when it was taken back
  S3Upload::Door door_;
  S3Sweeper::Claim claim_;
  s3::WaitScope::Listener waits_;  // of who called Begin

  bool keep_open_ = false;
  bool published_ = false;
  bool undoing_ = false;  // the ledger wants something removed, for which the sweeper is
  std::set<std::string> not_undone_;  // ledgers that do not say yet what Abandon wants removed

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::map<std::string, std::unique_ptr<Object>> objects_;  // by relative path; guarded
  std::deque<Task> tasks_;                                  // guarded
  int sending_ = 0;                                         // guarded
  absl::Status failure_;                                    // guarded; the first one
  std::vector<std::jthread> threads_;  // begun with the first part; guarded until they are joined
};

}  // namespace seedlm::server
