// SqliteJobStore: what jobs have finished, and their deletion.
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/errors/reason.h"
#include "server/jobs/job_json.h"
#include "server/jobs/sqlite_job_store.h"

namespace seedlm::server {
namespace {

// Of a job, in an order that the references between them allow.
constexpr const char* kPieceTables[] = {"work_finished", "work_pieces", "work_levels"};
constexpr const char* kOtherTables[] = {"events", "labels"};

}  // namespace

absl::StatusOr<JobWork> SqliteJobStore::ReadWork(std::string_view name) {
  const std::lock_guard lock(mutex_);
  const absl::StatusOr<Cursor> cursor = FindCursor(name);
  if (!cursor.ok()) return cursor.status();
  JobWork work;
  absl::StatusOr<Statement> select =
      database_.Prepare("SELECT source, layout, publication FROM work WHERE job = ?");
  if (!select.ok()) return select.status();
  const absl::StatusOr<bool> found = select->Bind(cursor->id).Step();
  if (!found.ok()) return found.status();
  if (!*found) return work;
  work.identity = WorkIdentity{select->Text(0), select->Text(1)};
  if (const std::string text = select->Text(2); !text.empty()) {
    absl::StatusOr<Publication> publication = PublicationFromJson(text);
    if (!publication.ok()) return Unreadable(publication.status(), cursor->id);
    work.publication = *std::move(publication);
  }
  absl::Status status = ReadLevels(cursor->id, work);
  if (status.ok()) status = ReadPieces(cursor->id, work);
  if (status.ok()) status = ReadFinished(cursor->id, work);
  if (!status.ok()) return status;
  return work;
}

absl::Status SqliteJobStore::ReadLevels(int64_t job, JobWork& work) {
  absl::StatusOr<Statement> select =
      database_.Prepare("SELECT tensor, levels FROM work_levels WHERE job = ?");
  if (!select.ok()) return select.status();
  select->Bind(job);
  while (true) {
    const absl::StatusOr<bool> found = select->Step();
    if (!found.ok() || !*found) return found.status();
    const absl::StatusOr<codec::LevelTable> levels = LevelsFromJson(select->Text(1));
    if (!levels.ok()) return Unreadable(levels.status(), job);
    work.levels.emplace(select->Int(0), *levels);
  }
}

absl::Status SqliteJobStore::ReadPieces(int64_t job, JobWork& work) {
  absl::StatusOr<Statement> select = database_.Prepare(
      "SELECT tensor, piece, crc32c, squared_error, squared_weights, max_error, seconds, "
      "backend FROM work_pieces WHERE job = ?");
  if (!select.ok()) return select.status();
  select->Bind(job);
  while (true) {
    const absl::StatusOr<bool> found = select->Step();
    if (!found.ok() || !*found) return found.status();
    const PieceRecord piece{select->Int(0),  select->Int(1),  static_cast<uint32_t>(select->Int(2)),
                            select->Real(3), select->Real(4), select->Real(5),
                            select->Real(6), select->Text(7)};
    work.pieces.emplace(std::pair(piece.tensor, piece.piece), piece);
  }
}

absl::Status SqliteJobStore::ReadFinished(int64_t job, JobWork& work) {
  absl::StatusOr<Statement> select =
      database_.Prepare("SELECT tensor, sequence FROM work_finished WHERE job = ?");
  if (!select.ok()) return select.status();
  select->Bind(job);
  while (true) {
    const absl::StatusOr<bool> found = select->Step();
    if (!found.ok() || !*found) return found.status();
    work.finished.emplace(select->Int(0), select->Int(1));
  }
}

absl::Status SqliteJobStore::ForgetWork(int64_t job) {
  absl::Status status = ForgetPieces(job);
  return status.ok() ? Run("DELETE FROM work WHERE job = ?", {job}) : status;
}

absl::Status SqliteJobStore::ForgetPieces(int64_t job) {
  for (const char* table : kPieceTables) {
    absl::Status status = Run(absl::StrCat("DELETE FROM ", table, " WHERE job = ?"), {job});
    if (!status.ok()) return status;
  }
  return Run("UPDATE work SET publication = NULL WHERE job = ?", {job});
}

absl::Status SqliteJobStore::BeginWork(std::string_view name, const WorkIdentity& identity) {
  const std::lock_guard lock(mutex_);
  absl::StatusOr<Transaction> transaction = Transaction::Begin(database_);
  if (!transaction.ok()) return transaction.status();
  const absl::StatusOr<Cursor> cursor = FindCursor(name);
  if (!cursor.ok()) return cursor.status();
  if (absl::Status status = ForgetWork(cursor->id); !status.ok()) return status;
  absl::StatusOr<Statement> insert =
      database_.Prepare("INSERT INTO work (job, source, layout) VALUES (?, ?, ?)");
  if (!insert.ok()) return insert.status();
  absl::Status status = insert->Bind(cursor->id).Bind(identity.source).Bind(identity.layout).Run();
  return status.ok() ? transaction->Commit() : status;
}

absl::Status SqliteJobStore::AddPieces(int64_t job, const std::vector<PieceRecord>& pieces) {
  for (const PieceRecord& piece : pieces) {
    absl::StatusOr<Statement> insert = database_.Prepare(
        "INSERT OR REPLACE INTO work_pieces (job, tensor, piece, crc32c, squared_error, "
        "squared_weights, max_error, seconds, backend) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
    if (!insert.ok()) return insert.status();
    insert->Bind(job).Bind(piece.tensor).Bind(piece.piece).Bind(int64_t{piece.crc32c});
    insert->Bind(piece.squared_error).Bind(piece.squared_weights);
    insert->Bind(piece.max_error).Bind(piece.seconds);
    absl::Status status = insert->Bind(piece.backend).Run();
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status SqliteJobStore::AddLevels(int64_t job, const std::vector<LevelsRecord>& levels) {
  for (const LevelsRecord& record : levels) {
    absl::StatusOr<Statement> insert = database_.Prepare(
        "INSERT OR REPLACE INTO work_levels (job, tensor, levels) VALUES (?, ?, ?)");
    if (!insert.ok()) return insert.status();
    absl::Status status =
        insert->Bind(job).Bind(record.tensor).Bind(LevelsToJson(record.levels)).Run();
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

// Nothing if the tensor was finished before: what watchers have seen, they do not see again.
absl::Status SqliteJobStore::AddFinished(Cursor& cursor, const FinishedTensor& finished) {
  {
    absl::StatusOr<Statement> select =
        database_.Prepare("SELECT 1 FROM work_finished WHERE job = ? AND tensor = ?");
    if (!select.ok()) return select.status();
    const absl::StatusOr<bool> found = select->Bind(cursor.id).Bind(finished.tensor).Step();
    if (!found.ok() || *found) return found.status();
  }
  absl::Status status = AddNextEvent(cursor, finished.result);
  if (!status.ok()) return status;
  return Run("INSERT INTO work_finished (job, tensor, sequence) VALUES (?, ?, ?)",
             {cursor.id, finished.tensor, cursor.sequence});
}

absl::Status SqliteJobStore::RecordWork(std::string_view name, const WorkBatch& batch) {
  const std::lock_guard lock(mutex_);
  absl::StatusOr<Transaction> transaction = Transaction::Begin(database_);
  if (!transaction.ok()) return transaction.status();
  absl::StatusOr<Cursor> cursor = FindCursor(name);
  if (!cursor.ok()) return cursor.status();
  absl::Status status = AddLevels(cursor->id, batch.levels);
  if (status.ok()) status = AddPieces(cursor->id, batch.pieces);
  for (const FinishedTensor& finished : batch.finished) {
    if (status.ok()) status = AddFinished(*cursor, finished);
  }
  if (status.ok() && !batch.finished.empty()) status = StoreSequence(*cursor);
  return status.ok() ? transaction->Commit() : status;
}

absl::Status SqliteJobStore::RecordPublication(std::string_view name,
                                               const Publication& publication) {
  const std::lock_guard lock(mutex_);
  const absl::StatusOr<Cursor> cursor = FindCursor(name);
  if (!cursor.ok()) return cursor.status();
  absl::StatusOr<Statement> update =
      database_.Prepare("UPDATE work SET publication = ? WHERE job = ?");
  if (!update.ok()) return update.status();
  return update->Bind(PublicationToJson(publication)).Bind(cursor->id).Run();
}

absl::StatusOr<std::optional<JobRecord>> SqliteJobStore::NeededBy(std::string_view owner,
                                                                  std::string_view artifact) {
  const std::lock_guard lock(mutex_);
  absl::StatusOr<Statement> select = database_.Prepare(
      "SELECT name FROM jobs WHERE owner = ? AND (state IN (?, ?) OR (state IN (?, ?) AND "
      "EXISTS (SELECT 1 FROM work_pieces WHERE job = jobs.id))) AND "
      "iif(json_valid(record), ? IN (json_extract(record, '$.request.source.artifact'), "
      "json_extract(record, '$.output_artifact')), 0) ORDER BY id LIMIT 1");
  if (!select.ok()) return select.status();
  select->Bind(owner);
  select->Bind(static_cast<int64_t>(JobState::kQueued));
  select->Bind(static_cast<int64_t>(JobState::kRunning));
  select->Bind(static_cast<int64_t>(JobState::kFailed));
  select->Bind(static_cast<int64_t>(JobState::kCancelled));
  const absl::StatusOr<bool> found = select->Bind(artifact).Step();
  if (!found.ok()) return found.status();
  if (!*found) return std::optional<JobRecord>();
  absl::StatusOr<Row> row = Find(select->Text(0));
  if (!row.ok()) return row.status();
  return std::optional(std::move(row->job));
}

absl::StatusOr<JobRecord> SqliteJobStore::BeginDelete(std::string_view name,
                                                      std::string_view etag) {
  const std::lock_guard lock(mutex_);
  absl::StatusOr<Transaction> transaction = Transaction::Begin(database_);
  if (!transaction.ok()) return transaction.status();
  absl::StatusOr<Row> row = Find(name);
  if (!row.ok()) return row.status();
  if (absl::Status status = CheckEtag(row->job, etag); !status.ok()) return status;
  if (!HasEnded(row->job.state)) {
    return WithReason(
        absl::FailedPreconditionError(absl::StrCat(
            row->job.name, " is ", std::string(Name(row->job.state)), "; cancel it first")),
        "JOB_NOT_ENDED");
  }
  absl::StatusOr<Statement> insert =
      database_.Prepare("INSERT INTO deletions (name, record) VALUES (?, ?)");
  if (!insert.ok()) return insert.status();
  absl::Status status = insert->Bind(row->job.name).Bind(JobToJson(row->job)).Run();
  if (status.ok()) status = ForgetWork(row->id);
  for (const char* table : kOtherTables) {
    if (status.ok()) {
      status = Run(absl::StrCat("DELETE FROM ", table, " WHERE job = ?"), {row->id});
    }
  }
  if (status.ok()) status = Run("DELETE FROM jobs WHERE id = ?", {row->id});
  if (status.ok()) status = transaction->Commit();
  if (!status.ok()) return status;
  return std::move(row->job);
}

absl::Status SqliteJobStore::EndDelete(std::string_view name) {
  const std::lock_guard lock(mutex_);
  absl::StatusOr<Statement> remove = database_.Prepare("DELETE FROM deletions WHERE name = ?");
  return remove.ok() ? remove->Bind(name).Run() : remove.status();
}

absl::StatusOr<std::vector<JobRecord>> SqliteJobStore::Deletions() {
  const std::lock_guard lock(mutex_);
  absl::StatusOr<Statement> select = database_.Prepare("SELECT record, name FROM deletions");
  if (!select.ok()) return select.status();
  std::vector<JobRecord> jobs;
  while (true) {
    const absl::StatusOr<bool> found = select->Step();
    if (!found.ok()) return found.status();
    if (!*found) return jobs;
    absl::StatusOr<JobRecord> job = JobFromJson(select->Text(0));
    if (!job.ok()) return Unreadable(job.status(), select->Text(1));
    jobs.push_back(*std::move(job));
  }
}

absl::StatusOr<std::vector<std::string>> SqliteJobStore::EndedBefore(int64_t time_ns, int limit) {
  const std::lock_guard lock(mutex_);
  absl::StatusOr<Statement> select = database_.Prepare(
      "SELECT name FROM jobs WHERE state IN (?, ?, ?) AND end_time_ns <= ? "
      "ORDER BY end_time_ns, id LIMIT ?");
  if (!select.ok()) return select.status();
  for (const JobState state : {JobState::kSucceeded, JobState::kFailed, JobState::kCancelled}) {
    select->Bind(static_cast<int64_t>(state));
  }
  select->Bind(time_ns).Bind(int64_t{limit});
  std::vector<std::string> names;
  while (true) {
    const absl::StatusOr<bool> found = select->Step();
    if (!found.ok()) return found.status();
    if (!*found) return names;
    names.push_back(select->Text(0));
  }
}

}  // namespace seedlm::server
