#include "server/jobs/sqlite_job_store.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/errors/invalid_field.h"
#include "server/errors/reason.h"
#include "server/jobs/job_json.h"
#include "server/jobs/job_schema.h"
#include "server/jobs/page_token.h"

namespace seedlm::server {
namespace {

constexpr char kColumns[] = "SELECT id, state, last_sequence, record FROM jobs ";

// What takes most room in a record is left out of a page. One EXISTS for each label.
std::string PageSql(const JobQuery& query) {
  std::string sql =
      "SELECT id, state, last_sequence, "
      "iif(json_valid(record), json_remove(record, '$.output_files', '$.estimate.skipped'), "
      "record) "
      "FROM jobs WHERE id < ?";
  if (query.state.has_value()) absl::StrAppend(&sql, " AND state = ?");
  if (query.owner.has_value()) absl::StrAppend(&sql, " AND owner = ?");
  for (size_t i = 0; i < query.labels.size(); ++i) {
    absl::StrAppend(&sql, " AND EXISTS (SELECT 1 FROM labels WHERE job = id AND key = ? ",
                    "AND value = ?)");
  }
  return absl::StrCat(sql, " ORDER BY id DESC LIMIT ?");
}

}  // namespace

absl::StatusOr<std::unique_ptr<SqliteJobStore>> SqliteJobStore::Open(
    const std::string& path, Clock clock, std::chrono::milliseconds busy_wait,
    const FaultPoint& fault_point) {
  absl::StatusOr<Database> database = Database::Open(path, busy_wait);
  if (!database.ok()) return database.status();
  if (absl::Status status = PrepareSchema(*database, fault_point); !status.ok()) return status;
  return std::unique_ptr<SqliteJobStore>(
      new SqliteJobStore(*std::move(database), std::move(clock)));
}

absl::Status SqliteJobStore::Unreadable(const absl::Status& why, const absl::AlphaNum& job) const {
  return Damaged(absl::StrCat(database_.path(), ": job ", job, ": ", why.message()));
}

absl::StatusOr<SqliteJobStore::Row> SqliteJobStore::ReadRow(const Statement& statement) const {
  absl::StatusOr<JobRecord> job = JobFromJson(statement.Text(3));
  if (!job.ok()) return Unreadable(job.status(), statement.Int(0));
  job->state = static_cast<JobState>(statement.Int(1));
  job->last_sequence = statement.Int(2);
  return Row{statement.Int(0), *std::move(job)};
}

absl::StatusOr<SqliteJobStore::Row> SqliteJobStore::Find(std::string_view name) {
  absl::StatusOr<Statement> select = database_.Prepare(absl::StrCat(kColumns, "WHERE name = ?"));
  if (!select.ok()) return select.status();
  absl::StatusOr<bool> found = select->Bind(name).Step();
  if (!found.ok()) return found.status();
  if (!*found) return NoSuchJob(name);
  return ReadRow(*select);
}

absl::StatusOr<SqliteJobStore::Cursor> SqliteJobStore::FindCursor(std::string_view name) {
  absl::StatusOr<Statement> select =
      database_.Prepare("SELECT id, last_sequence FROM jobs WHERE name = ?");
  if (!select.ok()) return select.status();
  absl::StatusOr<bool> found = select->Bind(name).Step();
  if (!found.ok()) return found.status();
  if (!*found) return NoSuchJob(name);
  return Cursor{select->Int(0), select->Int(1)};
}

absl::StatusOr<std::optional<JobRecord>> SqliteJobStore::FindByRequest(const RequestKey& key) {
  if (key.request_id.empty()) return std::nullopt;
  absl::StatusOr<Statement> select = database_.Prepare(
      "SELECT id, state, last_sequence, record, body_hash FROM jobs "
      "WHERE owner = ? AND request_id = ?");
  if (!select.ok()) return select.status();
  absl::StatusOr<bool> found = select->Bind(key.owner).Bind(key.request_id).Step();
  if (!found.ok()) return found.status();
  if (!*found) return std::nullopt;
  absl::StatusOr<Row> row = ReadRow(*select);
  if (!row.ok()) return row.status();
  if (select->Text(4) != key.body_hash) {
    return WithReason(
        absl::AlreadyExistsError(absl::StrCat("request_id '", key.request_id, "' was used for ",
                                              row->job.name, " with another body; choose another")),
        "REQUEST_ID_REUSED");
  }
  return std::move(row->job);
}

absl::Status SqliteJobStore::Store(const Row& row) {
  absl::StatusOr<Statement> update = database_.Prepare(
      "UPDATE jobs SET state = ?, end_time_ns = ?, last_sequence = ?, record = ? "
      "WHERE id = ?");
  if (!update.ok()) return update.status();
  return update->Bind(static_cast<int64_t>(row.job.state))
      .Bind(row.job.end_time_ns)
      .Bind(row.job.last_sequence)
      .Bind(JobToJson(row.job))
      .Bind(row.id)
      .Run();
}

absl::Status SqliteJobStore::AddEvent(const Cursor& next, const JobEvent& event) {
  absl::StatusOr<Statement> insert =
      database_.Prepare("INSERT INTO events (job, sequence, time_ns, body) VALUES (?, ?, ?, ?)");
  if (!insert.ok()) return insert.status();
  return insert->Bind(next.id)
      .Bind(next.sequence)
      .Bind(event.time_ns)
      .Bind(EventToJson(event))
      .Run();
}

template <typename Body>
absl::Status SqliteJobStore::AddNextEvent(Cursor& cursor, const Body& body) {
  cursor.sequence += 1;
  return AddEvent(cursor, {0, clock_(), body});
}
template absl::Status SqliteJobStore::AddNextEvent(Cursor&,
                                                   const TensorResult&);  // for AddFinished

absl::Status SqliteJobStore::StoreSequence(const Cursor& cursor) {
  return Run("UPDATE jobs SET last_sequence = ? WHERE id = ?", {cursor.sequence, cursor.id});
}

absl::Status SqliteJobStore::Run(std::string_view sql, std::initializer_list<int64_t> values) {
  absl::StatusOr<Statement> statement = database_.Prepare(sql);
  if (!statement.ok()) return statement.status();
  for (const int64_t value : values) statement->Bind(value);
  return statement->Run();
}

absl::Status SqliteJobStore::AddStateChange(Row& row, int64_t time_ns) {
  row.job.last_sequence += 1;
  absl::Status status =
      AddEvent({row.id, row.job.last_sequence}, {0, time_ns, StateChange{row.job.state}});
  return status.ok() ? Store(row) : status;
}

absl::StatusOr<SqliteJobStore::Row> SqliteJobStore::AddJob(JobRecord job, const RequestKey& key) {
  job.state = JobState::kQueued;
  job.attempt = 1;
  job.create_time_ns = clock_();
  job.last_sequence = 0;
  job.etag = "1";
  absl::StatusOr<Statement> insert = database_.Prepare(
      "INSERT INTO jobs (name, owner, request_id, body_hash, state, end_time_ns, last_sequence, "
      "record) VALUES (?, ?, ?, ?, ?, 0, 0, ?)");
  if (!insert.ok()) return insert.status();
  insert->Bind(job.name).Bind(job.request.owner);
  if (key.request_id.empty()) {
    insert->BindNull().BindNull();
  } else {
    insert->Bind(key.request_id).Bind(key.body_hash);
  }
  absl::Status status = insert->Bind(static_cast<int64_t>(job.state)).Bind(JobToJson(job)).Run();
  if (!status.ok()) return status;
  Row row{database_.LastInsertId(), std::move(job)};
  for (const auto& [label, value] : row.job.request.labels) {
    absl::StatusOr<Statement> add =
        database_.Prepare("INSERT INTO labels (job, key, value) VALUES (?, ?, ?)");
    if (!add.ok()) return add.status();
    status = add->Bind(row.id).Bind(label).Bind(value).Run();
    if (!status.ok()) return status;
  }
  status = AddStateChange(row, row.job.create_time_ns);
  if (!status.ok()) return status;
  return row;
}

absl::StatusOr<InsertResult> SqliteJobStore::Insert(const JobRecord& job, const RequestKey& key) {
  const std::lock_guard lock(mutex_);
  absl::StatusOr<Transaction> transaction = Transaction::Begin(database_);
  if (!transaction.ok()) return transaction.status();
  absl::StatusOr<std::optional<JobRecord>> earlier = FindByRequest(key);
  if (!earlier.ok()) return earlier.status();
  if (earlier->has_value()) return InsertResult{**std::move(earlier), false};
  absl::StatusOr<Row> row = AddJob(job, key);
  if (!row.ok()) return row.status();
  if (absl::Status status = transaction->Commit(); !status.ok()) return status;
  return InsertResult{std::move(row->job), true};
}

absl::StatusOr<std::optional<JobRecord>> SqliteJobStore::FindRequest(const RequestKey& key) {
  const std::lock_guard lock(mutex_);
  return FindByRequest(key);
}

absl::StatusOr<JobRecord> SqliteJobStore::Get(std::string_view name) {
  const std::lock_guard lock(mutex_);
  absl::StatusOr<Row> row = Find(name);
  if (!row.ok()) return row.status();
  return std::move(row->job);
}

absl::StatusOr<JobPage> SqliteJobStore::List(const JobQuery& query) {
  if (query.page_size < 0) {
    return InvalidField("page_size", absl::StrCat(query.page_size, " is negative"));
  }
  const absl::StatusOr<int64_t> before = ParsePageToken(query);
  if (!before.ok()) return before.status();
  const int size = query.page_size == 0 ? kDefaultPage : std::min(query.page_size, kMaxPage);

  const std::lock_guard lock(mutex_);
  absl::StatusOr<Statement> select = database_.Prepare(PageSql(query));
  if (!select.ok()) return select.status();
  select->Bind(*before);
  if (query.state.has_value()) select->Bind(static_cast<int64_t>(*query.state));
  if (query.owner.has_value()) select->Bind(*query.owner);
  for (const auto& [label, value] : query.labels) select->Bind(label).Bind(value);
  select->Bind(int64_t{size} + 1);  // one more than asked for: is there another page?

  JobPage page;
  int64_t last_id = 0;
  size_t bytes = 0;
  while (true) {
    absl::StatusOr<bool> found = select->Step();
    if (!found.ok()) return found.status();
    if (!*found) return page;
    bytes += select->Text(3).size();
    const bool full = query.max_bytes > 0 && bytes > query.max_bytes && !page.jobs.empty();
    if (full || page.jobs.size() == static_cast<size_t>(size)) {
      page.next_page_token = MakePageToken(query, last_id);
      return page;
    }
    absl::StatusOr<Row> row = ReadRow(*select);
    if (!row.ok()) return row.status();
    last_id = row->id;
    page.jobs.push_back(std::move(row->job));
  }
}

absl::StatusOr<JobRecord> SqliteJobStore::Update(std::string_view name, const JobUpdate& update) {
  const std::lock_guard lock(mutex_);
  absl::StatusOr<Transaction> transaction = Transaction::Begin(database_);
  if (!transaction.ok()) return transaction.status();
  absl::StatusOr<Row> row = Find(name);
  if (!row.ok()) return row.status();
  JobRecord& job = row->job;
  if (absl::Status status = CheckEtag(job, update.etag); !status.ok()) return status;
  if (!CanMove(job.state, update.to)) {
    return absl::FailedPreconditionError(
        absl::StrCat(job.name, " is ", std::string(Name(job.state)), " and cannot become ",
                     std::string(Name(update.to))));
  }
  const int64_t now = clock_();
  job.state = update.to;
  job.progress = update.progress;
  job.error = update.error;
  job.output_files = update.output_files;
  if (update.to == JobState::kQueued) {
    ++job.attempt;
    job.end_time_ns = 0;
  }
  if (update.to == JobState::kRunning) job.start_time_ns = now;
  if (HasEnded(update.to)) job.end_time_ns = now;
  job.etag = absl::StrCat(job.last_sequence + 1);  // of the event that follows
  absl::Status status = AddStateChange(*row, now);
  if (status.ok() && update.to == JobState::kSucceeded) status = ForgetPieces(row->id);
  if (status.ok()) status = transaction->Commit();
  if (!status.ok()) return status;
  return std::move(job);
}

absl::StatusOr<int64_t> SqliteJobStore::AppendEvent(
    std::string_view name, const std::variant<TensorResult, Warning>& body) {
  const std::lock_guard lock(mutex_);
  absl::StatusOr<Transaction> transaction = Transaction::Begin(database_);
  if (!transaction.ok()) return transaction.status();
  absl::StatusOr<Cursor> cursor = FindCursor(name);
  if (!cursor.ok()) return cursor.status();
  absl::Status status =
      std::visit([&](const auto& value) { return AddNextEvent(*cursor, value); }, body);
  if (status.ok()) status = StoreSequence(*cursor);
  if (status.ok()) status = transaction->Commit();
  if (!status.ok()) return status;
  return cursor->sequence;
}

absl::StatusOr<EventPage> SqliteJobStore::ReadEvents(std::string_view name,
                                                     const EventQuery& query) {
  const std::lock_guard lock(mutex_);
  const absl::StatusOr<Cursor> cursor = FindCursor(name);
  if (!cursor.ok()) return cursor.status();
  if (query.after < 0 || query.after > cursor->sequence) {
    return WithDetails(
        absl::OutOfRangeError(absl::StrCat("after_sequence is ", query.after,
                                           ", but the events of ", std::string(name), " end at ",
                                           cursor->sequence, "; start again from 0")),
        {{"field", "after_sequence"}, {"last_sequence", absl::StrCat(cursor->sequence)}});
  }
  absl::StatusOr<Statement> select = database_.Prepare(
      "SELECT sequence, time_ns, body FROM events WHERE job = ? AND sequence > ? "
      "ORDER BY sequence LIMIT ?");
  if (!select.ok()) return select.status();
  select->Bind(cursor->id).Bind(query.after).Bind(int64_t{query.limit} + 1);  // is there more?
  EventPage page;
  size_t bytes = 0;
  while (true) {
    absl::StatusOr<bool> found = select->Step();
    if (!found.ok()) return found.status();
    if (!*found) return page;
    const bool full = query.max_bytes > 0 && bytes > query.max_bytes;
    if (full || page.events.size() == static_cast<size_t>(query.limit)) {
      page.more = true;
      return page;
    }
    bytes += select->Text(2).size();
    absl::StatusOr<JobEvent> event = EventFromJson(select->Text(2));
    if (!event.ok()) return Unreadable(event.status(), cursor->id);
    event->sequence = select->Int(0);
    event->time_ns = select->Int(1);
    page.events.push_back(*std::move(event));
  }
}

absl::StatusOr<std::vector<JobRecord>> SqliteJobStore::Unfinished() {
  const std::lock_guard lock(mutex_);
  absl::StatusOr<Statement> select =
      database_.Prepare(absl::StrCat(kColumns, "WHERE state IN (?, ?) ORDER BY id"));
  if (!select.ok()) return select.status();
  select->Bind(static_cast<int64_t>(JobState::kQueued))
      .Bind(static_cast<int64_t>(JobState::kRunning));
  std::vector<JobRecord> jobs;
  while (true) {
    absl::StatusOr<bool> found = select->Step();
    if (!found.ok()) return found.status();
    if (!*found) return jobs;
    absl::StatusOr<Row> row = ReadRow(*select);
    if (!row.ok()) return row.status();
    jobs.push_back(std::move(row->job));
  }
}

}  // namespace seedlm::server
