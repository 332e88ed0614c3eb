// The job store of a single server: one SQLite file (WAL, synchronous=FULL).
#pragma once

#include <chrono>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "server/errors/fault_point.h"
#include "server/jobs/job.h"
#include "server/jobs/job_store.h"
#include "server/jobs/sqlite.h"

namespace seedlm::server {

class SqliteJobStore final : public JobStore {
 public:
  // Creates the file, or brings an older schema up to date.
  // Errors: FAILED_PRECONDITION for a file that is damaged, that is not a job store, or that a
  // newer version wrote: it is left as it is. PERMISSION_DENIED, NOT_FOUND.
  // `busy_wait`: Database::Open.
  static absl::StatusOr<std::unique_ptr<SqliteJobStore>> Open(
      const std::string& path, Clock clock, std::chrono::milliseconds busy_wait = kBusyWait,
      const FaultPoint& fault_point = {});

  absl::StatusOr<InsertResult> Insert(const JobRecord& job, const RequestKey& key) override;
  absl::StatusOr<std::optional<JobRecord>> FindRequest(const RequestKey& key) override;
  absl::StatusOr<JobRecord> Get(std::string_view name) override;
  absl::StatusOr<JobPage> List(const JobQuery& query) override;
  absl::StatusOr<JobRecord> Update(std::string_view name, const JobUpdate& update) override;
  absl::StatusOr<int64_t> AppendEvent(std::string_view name,
                                      const std::variant<TensorResult, Warning>& body) override;
  absl::StatusOr<EventPage> ReadEvents(std::string_view name, const EventQuery& query) override;
  absl::StatusOr<std::vector<JobRecord>> Unfinished() override;
  absl::StatusOr<std::optional<JobRecord>> NeededBy(std::string_view owner,
                                                    std::string_view artifact) override;

  absl::StatusOr<JobWork> ReadWork(std::string_view name) override;
  absl::Status BeginWork(std::string_view name, const WorkIdentity& identity) override;
  absl::Status RecordWork(std::string_view name, const WorkBatch& batch) override;
  absl::Status RecordPublication(std::string_view name, const Publication& publication) override;

  absl::StatusOr<JobRecord> BeginDelete(std::string_view name, std::string_view etag) override;
  absl::Status EndDelete(std::string_view name) override;
  absl::StatusOr<std::vector<JobRecord>> Deletions() override;
  absl::StatusOr<std::vector<std::string>> EndedBefore(int64_t time_ns, int limit) override;

 private:
  struct Row {
    int64_t id = 0;
    JobRecord job;
  };
  struct Cursor {  // of a job: what its events need, without its record
    int64_t id = 0;
    int64_t sequence = 0;  // of the last event
  };
  SqliteJobStore(Database database, Clock clock)
      : clock_(std::move(clock)), database_(std::move(database)) {}

  // REQUIRES of all: mutex_ is held.
  // What is stored of the job, by row or name, cannot be read.
  absl::Status Unreadable(const absl::Status& why, const absl::AlphaNum& job) const;
  absl::StatusOr<Row> ReadRow(const Statement& statement) const;
  absl::StatusOr<Row> Find(std::string_view name);
  absl::StatusOr<std::optional<JobRecord>> FindByRequest(const RequestKey& key);
  absl::StatusOr<Row> AddJob(JobRecord job, const RequestKey& key);
  absl::StatusOr<Cursor> FindCursor(std::string_view name);
  // At `next.sequence`. Does not touch the job.
  absl::Status AddEvent(const Cursor& next, const JobEvent& event);
  // The event of the row's new state, and the row.
  absl::Status AddStateChange(Row& row, int64_t time_ns);
  absl::Status Store(const Row& row);
  // At the next sequence of `cursor`, which moves there. Stored with StoreSequence.
  template <typename Body>
  absl::Status AddNextEvent(Cursor& cursor, const Body& body);
  absl::Status StoreSequence(const Cursor& cursor);
  absl::Status AddPieces(int64_t job, const std::vector<PieceRecord>& pieces);
  absl::Status AddLevels(int64_t job, const std::vector<LevelsRecord>& levels);
  absl::Status AddFinished(Cursor& cursor, const FinishedTensor& finished);
  absl::Status ReadLevels(int64_t job, JobWork& work);
  absl::Status ReadPieces(int64_t job, JobWork& work);
  absl::Status ReadFinished(int64_t job, JobWork& work);
  absl::Status ForgetWork(int64_t job);
  absl::Status ForgetPieces(int64_t job);  // all of it but the identity
  // A statement without rows, whose values are integers.
  absl::Status Run(std::string_view sql, std::initializer_list<int64_t> values);

  const Clock clock_;
  std::mutex mutex_;
  Database database_;  // guarded by mutex_
};

}  // namespace seedlm::server
