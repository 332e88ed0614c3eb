#include "server/storage/data_dir.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/errors/reason.h"
#include "tests/server/file_size_limit.h"
#include "tests/server/status_matcher.h"
#include "tests/server/temporary_directory.h"

namespace seedlm::server {
namespace {

TEST_CASE("a data directory is made with what belongs in it") {
  const TemporaryDirectory directory;
  const auto data_dir = DataDir::Open(directory / "data/");
  REQUIRE(data_dir.ok());
  CHECK(data_dir->path() == directory / "data");
  CHECK(std::filesystem::is_directory(data_dir->FoldersOf("").artifacts()));
  CHECK(std::filesystem::is_directory(data_dir->FoldersOf("").uploads()));
  CHECK(data_dir->is_new());
  const auto mode = std::filesystem::status(data_dir->path()).permissions();
  CHECK((mode & std::filesystem::perms::all) == std::filesystem::perms::owner_all);
}

TEST_CASE("two servers cannot have one data directory; the second learns who has it") {
  const TemporaryDirectory directory;
  std::optional<DataDir> first(DataDir::Open(directory / "data").value());
  const absl::Status second = DataDir::Open(directory / "data").status();
  CHECK_THAT(second, IsStatus(absl::StatusCode::kFailedPrecondition,
                              {directory / "data", "process " + std::to_string(getpid())}));
  CHECK(ReasonOf(second) == "DATA_DIR_IN_USE");

  const DataDir moved = *std::move(first);
  first.reset();
  CHECK_FALSE(DataDir::Open(directory / "data").ok());  // the lock moved along
}

TEST_CASE("a lock ends with its server") {
  const TemporaryDirectory directory;
  std::filesystem::create_directory(directory / "data");  // as a volume, or a unit's
  {
    const DataDir first = DataDir::Open(directory / "data").value();
    CHECK(first.is_new());
  }
  CHECK_FALSE(DataDir::Open(directory / "data").value().is_new());
}

std::string ModeOf(const std::string& path) {
  const auto mode = std::filesystem::status(path).permissions() & std::filesystem::perms::all;
  return absl::StrCat(absl::Hex(static_cast<unsigned>(mode)));
}

TEST_CASE("the job database is its server's alone, whatever the umask") {
  const TemporaryDirectory directory;
  const DataDir data_dir = DataDir::Open(directory / "data").value();
  const mode_t before = umask(0);
  CHECK(data_dir.PrepareDatabase().value() == "");
  umask(before);
  CHECK(ModeOf(data_dir.database()) == "180");  // 0600
  WriteText(data_dir.database(), "not empty");
  WriteText(data_dir.database() + "-wal", "log");
  for (const char* suffix : {"", "-wal"}) {
    REQUIRE(chmod((data_dir.database() + suffix).c_str(), 0644) == 0);
  }
  CHECK(data_dir.PrepareDatabase().value() == "");  // one of an earlier version
  for (const char* suffix : {"", "-wal"}) CHECK(ModeOf(data_dir.database() + suffix) == "180");
  CHECK(ReadText(data_dir.database()) == "not empty");
}

TEST_CASE("a job database that is gone beside artifacts is told") {
  const TemporaryDirectory directory;
  const DataDir data_dir = DataDir::Open(directory / "data").value();
  const bool empty = GENERATE(false, true);
  const std::string owner = GENERATE("", "alice");
  CHECK(data_dir.PrepareDatabase().value() == "");  // there is nothing to miss
  std::filesystem::create_directories(data_dir.FoldersOf(owner).uploads() + "/model");
  if (!empty) std::filesystem::remove(data_dir.database());
  const absl::StatusOr<std::string> warning = data_dir.PrepareDatabase();
  REQUIRE(warning.ok());
  CHECK_THAT(*warning, Catch::StartsWith(data_dir.database()) && Catch::Contains("backup") &&
                           Catch::Contains(empty ? "empty" : "missing"));
}

TEST_CASE("a job database that is gone but for its log is not begun anew: the log would be lost") {
  const TemporaryDirectory directory;
  const DataDir data_dir = DataDir::Open(directory / "data").value();
  WriteText(data_dir.database() + "-wal", "jobs");
  CHECK_THAT(data_dir.PrepareDatabase().status(),
             IsStatus(absl::StatusCode::kFailedPrecondition, {data_dir.database() + "-wal"}));
  CHECK(ReadText(data_dir.database() + "-wal") == "jobs");
  CHECK_FALSE(std::filesystem::exists(data_dir.database()));
}

TEST_CASE("whether a data directory can still be worked in") {
  const TemporaryDirectory directory;
  const DataDir data_dir = DataDir::Open(directory / "data").value();
  CHECK(data_dir.CheckUsable().ok());
  {
    const FileSizeLimit full(1000);
    CHECK_THAT(data_dir.CheckUsable(),
               IsStatus(absl::StatusCode::kResourceExhausted, {directory / "data"}));
  }
  std::filesystem::rename(directory / "data", directory / "aside");
  CHECK_THAT(data_dir.CheckUsable(),
             IsStatus(absl::StatusCode::kFailedPrecondition, {directory / "data", "any more"}));
  { const DataDir another = DataDir::Open(directory / "data").value(); }
  CHECK_THAT(data_dir.CheckUsable(),
             IsStatus(absl::StatusCode::kFailedPrecondition, {directory / "data", "any more"}));
  std::filesystem::remove_all(directory / "data");
  std::filesystem::rename(directory / "aside", directory / "data");
  CHECK(data_dir.CheckUsable().ok());
  for (const auto& entry : std::filesystem::directory_iterator(directory / "data")) {
    CHECK(entry.path().filename().string().find("check") == std::string::npos);
  }
}

TEST_CASE("what cannot be a data directory is named") {
  const TemporaryDirectory directory;
  WriteText(directory / "file", "x");
  CHECK_THAT(DataDir::Open(directory / "file").status(),
             IsStatus(absl::StatusCode::kInvalidArgument, {directory / "file"}));
  CHECK_THAT(DataDir::Open(directory / "none/data").status(),
             IsStatus(absl::StatusCode::kNotFound, {directory / "none/data"}));
  CHECK(absl::IsInvalidArgument(DataDir::Open("").status()));
}

}  // namespace
}  // namespace seedlm::server
