#include "server/jobs/sqlite.h"

#include <sqlite3.h>
#include <sys/statvfs.h>

#include <cerrno>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/errors/reason.h"

namespace seedlm::server {
namespace {

constexpr std::chrono::milliseconds kRetryBusy{1000};

// Of SQLITE_IOERR: whether it is for want of room. When the index of the log (-shm) cannot grow
// SQLite keeps no errno.
bool IsFullDisk(int code, sqlite3* database, const std::string& path) {
  constexpr uint64_t kShmGrowth = 32 << 10;  // bytes
  struct statvfs disk {};
  if (code == SQLITE_IOERR_SHMSIZE && statvfs(path.c_str(), &disk) == 0) {
    return disk.f_bavail * disk.f_frsize < kShmGrowth;
  }
  const int error = database != nullptr ? sqlite3_system_errno(database) : 0;
  return error == ENOSPC || error == EDQUOT;
}

absl::Status FullDisk(const std::string& message) {
  return absl::ResourceExhaustedError(absl::StrCat(message, kMakeRoom));
}

absl::Status ToStatus(int code, sqlite3* database, const std::string& path) {
  const std::string message =
      absl::StrCat(path, ": ", database != nullptr ? sqlite3_errmsg(database) : "out of memory");
  switch (code & 0xFF) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
      return absl::OkStatus();
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
      return Damaged(message);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return WithRetryAfter(
          WithReason(absl::UnavailableError(absl::StrCat(message, "; another program uses it")),
                     "STORE_BUSY"),
          kRetryBusy);
    case SQLITE_FULL:
      return FullDisk(message);
    case SQLITE_IOERR:
      if (IsFullDisk(code, database, path)) return FullDisk(message + ": its disk is full");
      return WithReason(absl::InternalError(message), "IO_FAILED");
    case SQLITE_CANTOPEN:
      return absl::NotFoundError(message);
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
      return absl::PermissionDeniedError(message);
    case SQLITE_CONSTRAINT:
      return absl::AlreadyExistsError(message);
    default:
      return absl::InternalError(message);
  }
}

}  // namespace

absl::Status Damaged(const std::string& what) {
  return WithReason(absl::FailedPreconditionError(absl::StrCat(
                        what,
                        "; the job database is damaged: restore it, or move it away to start "
                        "with an empty one")),
                    "STORE_DAMAGED");
}

Statement::Statement(Statement&& other) noexcept
    : statement_(std::exchange(other.statement_, nullptr)),
      database_(other.database_),
      path_(other.path_),
      next_(other.next_),
      bind_error_(other.bind_error_) {}

Statement::~Statement() {
  if (statement_ == nullptr) return;
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
}

Statement& Statement::Bind(int64_t value) {
  if (const int code = sqlite3_bind_int64(statement_, next_++, value); code != SQLITE_OK) {
    bind_error_ = code;
  }
  return *this;
}

Statement& Statement::Bind(std::string_view value) {
  const int code =
      sqlite3_bind_text64(statement_, next_++, value.data() != nullptr ? value.data() : "",
                          value.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
  if (code != SQLITE_OK) bind_error_ = code;
  return *this;
}

Statement& Statement::Bind(double value) {
  if (const int code = sqlite3_bind_double(statement_, next_++, value); code != SQLITE_OK) {
    bind_error_ = code;
  }
  return *this;
}

Statement& Statement::BindNull() {
  if (const int code = sqlite3_bind_null(statement_, next_++); code != SQLITE_OK) {
    bind_error_ = code;
  }
  return *this;
}

absl::StatusOr<bool> Statement::Step() {
  if (bind_error_ != 0) return ToStatus(bind_error_, database_, *path_);
  const int code = sqlite3_step(statement_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) return false;
  return ToStatus(code, database_, *path_);
}

absl::Status Statement::Run() { return Step().status(); }

int64_t Statement::Int(int column) const { return sqlite3_column_int64(statement_, column); }

double Statement::Real(int column) const { return sqlite3_column_double(statement_, column); }

std::string Statement::Text(int column) const {
  const unsigned char* text = sqlite3_column_text(statement_, column);
  if (text == nullptr) return "";
  return std::string(reinterpret_cast<const char*>(text),
                     static_cast<size_t>(sqlite3_column_bytes(statement_, column)));
}

void Database::Closer::operator()(sqlite3* database) const { sqlite3_close_v2(database); }

void Database::Finalizer::operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }

absl::StatusOr<Database> Database::Open(const std::string& path,
                                        std::chrono::milliseconds busy_wait) {
  Database database;
  database.path_ = std::make_unique<std::string>(path);
  sqlite3* handle = nullptr;
  const int code =
      sqlite3_open_v2(path.c_str(), &handle,
                      SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
  database.handle_.reset(handle);
  if (code != SQLITE_OK) return ToStatus(code, handle, path);
  sqlite3_extended_result_codes(handle, 1);
  sqlite3_busy_timeout(handle, static_cast<int>(busy_wait.count()));
  return database;
}

absl::Status Database::Execute(const std::string& sql) {
  return ToStatus(sqlite3_exec(handle_.get(), sql.c_str(), nullptr, nullptr, nullptr),
                  handle_.get(), *path_);
}

absl::StatusOr<Statement> Database::Prepare(std::string_view sql) {
  auto it = statements_.find(sql);
  if (it == statements_.end()) {
    sqlite3_stmt* statement = nullptr;
    const int code = sqlite3_prepare_v3(handle_.get(), sql.data(), static_cast<int>(sql.size()),
                                        SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
    if (code != SQLITE_OK) return ToStatus(code, handle_.get(), *path_);
    it = statements_.emplace(std::string(sql), statement).first;
  }
  return Statement(it->second.get(), handle_.get(), path_.get());
}

int64_t Database::LastInsertId() const { return sqlite3_last_insert_rowid(handle_.get()); }

absl::StatusOr<Transaction> Transaction::Begin(Database& database) {
  if (absl::Status status = database.Execute("BEGIN IMMEDIATE"); !status.ok()) return status;
  return Transaction(&database);
}

Transaction::~Transaction() {
  // A failed rollback means that SQLite has rolled back by itself.
  if (database_ != nullptr) (void)database_->Execute("ROLLBACK");
}

absl::Status Transaction::Commit() {
  absl::Status status = database_->Execute("COMMIT");
  if (status.ok()) database_ = nullptr;
  return status;
}

}  // namespace seedlm::server
