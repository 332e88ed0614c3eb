#include "server/jobs/job_schema.h"

#include <array>
#include <string>
#include <string_view>

#include "absl/strings/str_cat.h"

namespace seedlm::server {
namespace {

constexpr int64_t kApplicationId = 0x5345454C;  // "SEEL", in the header of the file

// Entry i leads from schema i to i + 1. Entries are never changed, only added.
constexpr std::array<std::string_view, 3> kMigrations{
    // `id` is the order of creation. `record` is JobToJson; state and last_sequence, which are
    // searched and counted, are columns. `body_hash` belongs to `request_id`.
    R"(
CREATE TABLE jobs (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  request_id TEXT UNIQUE,
  body_hash TEXT,
  state INTEGER NOT NULL,
  last_sequence INTEGER NOT NULL,
  record TEXT NOT NULL
);
CREATE INDEX jobs_by_state ON jobs (state, id);
CREATE TABLE labels (
  job INTEGER NOT NULL REFERENCES jobs (id),
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY (job, key)
) WITHOUT ROWID;
CREATE INDEX labels_by_value ON labels (key, value, job);
CREATE TABLE events (
  job INTEGER NOT NULL REFERENCES jobs (id),
  sequence INTEGER NOT NULL,
  time_ns INTEGER NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (job, sequence)
) WITHOUT ROWID;
)",
    // Owners, each with request ids of its own (so the table is made anew: SQLite drops no UNIQUE);
    // when a job ended, for retention; recorded work (job_work.h); deletions under way.
    R"(
CREATE TABLE jobs_2 (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  owner TEXT NOT NULL,
  request_id TEXT,
  body_hash TEXT,
  state INTEGER NOT NULL,
  end_time_ns INTEGER NOT NULL,
  last_sequence INTEGER NOT NULL,
  record TEXT NOT NULL,
  UNIQUE (owner, request_id)
);
INSERT INTO jobs_2
  SELECT id, name, '', request_id, body_hash, state,
         coalesce(json_extract(record, '$.end_time_ns'), 0), last_sequence, record FROM jobs;
DROP TABLE jobs;
ALTER TABLE jobs_2 RENAME TO jobs;
CREATE INDEX jobs_by_state ON jobs (state, id);
CREATE INDEX jobs_by_owner ON jobs (owner, id);
CREATE TABLE work (
  job INTEGER PRIMARY KEY REFERENCES jobs (id),
  source TEXT NOT NULL,
  layout TEXT NOT NULL,
  publication TEXT
);
CREATE TABLE work_levels (
  job INTEGER NOT NULL REFERENCES jobs (id),
  tensor INTEGER NOT NULL,
  levels TEXT NOT NULL,
  PRIMARY KEY (job, tensor)
) WITHOUT ROWID;
CREATE TABLE work_pieces (
  job INTEGER NOT NULL REFERENCES jobs (id),
  tensor INTEGER NOT NULL,
  piece INTEGER NOT NULL,
  crc32c INTEGER NOT NULL,
  squared_error REAL NOT NULL,
  squared_weights REAL NOT NULL,
  max_error REAL NOT NULL,
  seconds REAL NOT NULL,
  PRIMARY KEY (job, tensor, piece)
) WITHOUT ROWID;
CREATE TABLE work_finished (
  job INTEGER NOT NULL REFERENCES jobs (id),
  tensor INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  PRIMARY KEY (job, tensor)
) WITHOUT ROWID;
CREATE TABLE deletions (
  name TEXT PRIMARY KEY,
  record TEXT NOT NULL
) WITHOUT ROWID;
)",
    // Which backend encoded a piece; empty: unknown.
    R"(
ALTER TABLE work_pieces ADD COLUMN backend TEXT NOT NULL DEFAULT '';
)",
};

absl::StatusOr<int64_t> QueryInt(Database& database, std::string_view sql) {
  absl::StatusOr<Statement> statement = database.Prepare(sql);
  if (!statement.ok()) return statement.status();
  absl::StatusOr<bool> row = statement->Step();
  if (!row.ok()) return row.status();
  return *row ? statement->Int(0) : 0;
}

absl::Status CheckSound(Database& database) {
  absl::StatusOr<Statement> check = database.Prepare("PRAGMA quick_check(1)");
  if (!check.ok()) return check.status();
  absl::StatusOr<bool> row = check->Step();
  if (!row.ok()) return row.status();
  const std::string answer = *row ? check->Text(0) : "no answer";
  if (answer == "ok") return absl::OkStatus();
  return Damaged(absl::StrCat(database.path(), ": ", answer));
}

// The schema version; 0 for an empty file.
absl::StatusOr<int64_t> ReadVersion(Database& database) {
  absl::StatusOr<int64_t> version = QueryInt(database, "PRAGMA user_version");
  absl::StatusOr<int64_t> application = QueryInt(database, "PRAGMA application_id");
  absl::StatusOr<int64_t> tables = QueryInt(database, "SELECT count(*) FROM sqlite_master");
  for (const auto* value : {&version, &application, &tables}) {
    if (!value->ok()) return value->status();
  }
  if (*application != kApplicationId && (*tables != 0 || *version != 0)) {
    return absl::FailedPreconditionError(
        absl::StrCat(database.path(),
                     ": is not a job database of this program; name another "
                     "data directory"));
  }
  if (*version > static_cast<int64_t>(kMigrations.size())) {
    return absl::FailedPreconditionError(
        absl::StrCat(database.path(), ": has schema version ", *version,
                     ", this program knows versions up to ", kMigrations.size(),
                     "; start the newer program that wrote it, or name another data directory"));
  }
  return version;
}

absl::Status Migrate(Database& database, int64_t version, const FaultPoint& fault_point) {
  absl::StatusOr<Transaction> transaction = Transaction::Begin(database);
  if (!transaction.ok()) return transaction.status();
  for (size_t i = static_cast<size_t>(version); i < kMigrations.size(); ++i) {
    if (absl::Status status = database.Execute(std::string(kMigrations[i])); !status.ok()) {
      return status;
    }
    Reach(fault_point, "schema.step");
  }
  absl::Status status = database.Execute(absl::StrCat(
      "PRAGMA application_id = ", kApplicationId, "; PRAGMA user_version = ", kMigrations.size()));
  Reach(fault_point, "schema.made");
  if (status.ok()) status = transaction->Commit();
  Reach(fault_point, "schema.committed");
  return status;
}

}  // namespace

absl::Status PrepareSchema(Database& database, const FaultPoint& fault_point) {
  const absl::StatusOr<int64_t> version = ReadVersion(database);
  if (!version.ok()) return version.status();
  if (absl::Status status = CheckSound(database); !status.ok()) return status;
  // Not before the checks: this is the first statement that writes.
  absl::Status status = database.Execute(
      "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; "
      "PRAGMA foreign_keys = OFF");
  if (status.ok() && *version < static_cast<int64_t>(kMigrations.size())) {
    status = Migrate(database, *version, fault_point);
  }
  // Not before the migrations, which make tables anew that others refer to.
  return status.ok() ? database.Execute("PRAGMA foreign_keys = ON") : status;
}

}  // namespace seedlm::server
