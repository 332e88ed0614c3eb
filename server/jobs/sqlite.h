// SQLite with owners and statuses: nothing else of the project calls its C interface.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

struct sqlite3;
struct sqlite3_stmt;

namespace seedlm::server {

// Ends the message of an error for want of room (RESOURCE_EXHAUSTED): what to do while a server
// runs.
inline constexpr char kMakeRoom[] =
    "; make room on its disk: seedlm artifacts delete needs none itself";

// FAILED_PRECONDITION, reason STORE_DAMAGED: "WHAT; the job database is damaged: ..", with the way
// out for whoever keeps it.
absl::Status Damaged(const std::string& what);

// A prepared statement in use. Values are bound in order; columns count from 0. Returned to its
// Database (reset) when it goes out of scope, which must be before the next Prepare of the same
// SQL.
class Statement {
 public:
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&&) = delete;
  ~Statement();

  Statement& Bind(int64_t value);
  Statement& Bind(std::string_view value);
  Statement& Bind(double value);  // kept exactly
  Statement& BindNull();

  // True: a row is there. False: done.
  absl::StatusOr<bool> Step();
  // For statements without rows.
  absl::Status Run();

  int64_t Int(int column) const;
  double Real(int column) const;
  std::string Text(int column) const;

 private:
  friend class Database;
  Statement(sqlite3_stmt* statement, sqlite3* database, const std::string* path)
      : statement_(statement), database_(database), path_(path) {}
  sqlite3_stmt* statement_;
  sqlite3* database_;
  const std::string* path_;
  int next_ = 1;
  int bind_error_ = 0;
};

// How long a statement waits for another program that has locked the file: to look at it, or for a
// backup.
inline constexpr std::chrono::milliseconds kBusyWait{5000};

// A connection with its cache of prepared statements. Not thread-safe; movable.
class Database {
 public:
  // NOT_FOUND or PERMISSION_DENIED when it cannot be opened; its content is not looked at. Whatever
  // is done with it later may be UNAVAILABLE, reason STORE_BUSY, after `busy_wait`.
  static absl::StatusOr<Database> Open(const std::string& path,
                                       std::chrono::milliseconds busy_wait = kBusyWait);

  const std::string& path() const { return *path_; }

  // Several statements without values or rows (schema).
  absl::Status Execute(const std::string& sql);
  absl::StatusOr<Statement> Prepare(std::string_view sql);
  int64_t LastInsertId() const;

 private:
  struct Closer {
    void operator()(sqlite3* database) const;
  };
  struct Finalizer {
    void operator()(sqlite3_stmt* statement) const;
  };
  Database() = default;
  std::unique_ptr<std::string> path_;  // statements point to it
  std::unique_ptr<sqlite3, Closer> handle_;
  std::map<std::string, std::unique_ptr<sqlite3_stmt, Finalizer>, std::less<>> statements_;
};

// Rolled back when destroyed without Commit.
class Transaction {
 public:
  static absl::StatusOr<Transaction> Begin(Database& database);
  Transaction(Transaction&& other) noexcept : database_(other.database_) {
    other.database_ = nullptr;
  }
  Transaction& operator=(Transaction&&) = delete;
  ~Transaction();
  absl::Status Commit();

 private:
  explicit Transaction(Database* database) : database_(database) {}
  Database* database_;
};

}  // namespace seedlm::server
