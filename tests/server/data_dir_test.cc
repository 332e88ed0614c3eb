#include "server/storage/data_dir.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <optional>
#include <string>

#include "server/errors/reason.h"
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
  { const DataDir first = DataDir::Open(directory / "data").value(); }
  CHECK(DataDir::Open(directory / "data").ok());
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
