#include "server/storage/tree.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <string>

#include "tests/server/status_matcher.h"
#include "tests/server/temporary_directory.h"

namespace seedlm::server {
namespace {

namespace fs = std::filesystem;
using Names = std::set<std::string>;

TEST_CASE("parents") {
  CHECK(ParentOf("/a/b/c") == "/a/b");
  CHECK(ParentOf("/a") == "/");
}

TEST_CASE("directories are made below a root, and a file in the way is named") {
  const TemporaryDirectory directory;
  REQUIRE(MakeDirectories(directory.path(), directory / "a/b/c", kUserDirectory).ok());
  REQUIRE(MakeDirectories(directory.path(), directory / "a/b/d", kUserDirectory).ok());
  REQUIRE(MakeDirectories(directory.path(), directory.path(), kUserDirectory).ok());
  CHECK(ListTree(directory.path()) == Names{"a", "a/b", "a/b/c", "a/b/d"});
  WriteText(directory / "file", "x");
  for (const char* path : {"file", "file/below"}) {
    CHECK_THAT(MakeDirectories(directory.path(), directory / path, kUserDirectory),
               IsStatus(absl::StatusCode::kInvalidArgument, {directory / path, "a file"}));
  }
}

TEST_CASE("removing follows no symbolic link, and nothing to remove is fine") {
  const TemporaryDirectory directory;
  WriteText(directory / "kept/file", "x");
  fs::create_directories(directory / "gone/inner");
  fs::create_directory_symlink(directory / "kept", directory / "gone/inner/link");
  REQUIRE(RemoveTree(directory / "gone").ok());
  REQUIRE(RemoveTree(directory / "gone").ok());
  CHECK(ListTree(directory.path()) == Names{"kept", "kept/file"});
}

TEST_CASE("renaming does not replace unless it is meant to") {
  const TemporaryDirectory directory;
  WriteText(directory / "new", "new");
  WriteText(directory / "old", "old");
  CHECK_THAT(RenameNoReplace(directory / "new", directory / "old"),
             IsStatus(absl::StatusCode::kAlreadyExists, {directory / "old"}));
  CHECK(ReadText(directory / "old") == "old");
  REQUIRE(RenameReplacing(directory / "new", directory / "old").ok());
  CHECK(ReadText(directory / "old") == "new");
  REQUIRE(RenameReplacing(directory / "old", directory / "third").ok());  // nothing to replace
  CHECK(ListTree(directory.path()) == Names{"third"});
}

TEST_CASE("a directory that is replaced is what `from` becomes") {
  const TemporaryDirectory directory;
  WriteText(directory / "new/a", "new");
  WriteText(directory / "old/b", "old");
  CHECK_THAT(RenameNoReplace(directory / "new", directory / "old"),
             IsStatus(absl::StatusCode::kAlreadyExists, {directory / "old"}));
  REQUIRE(RenameReplacing(directory / "new", directory / "old").ok());
  CHECK(ReadText(directory / "old/a") == "new");
  REQUIRE(RemoveTree(directory / "new").ok());
  CHECK(ListTree(directory.path()) == Names{"old", "old/a"});
}

TEST_CASE("an empty directory in the way is not replaced silently") {
  const TemporaryDirectory directory;
  WriteText(directory / "new/a", "new");
  fs::create_directory(directory / "empty");
  CHECK(absl::IsAlreadyExists(RenameNoReplace(directory / "new", directory / "empty")));
}

TEST_CASE("a tree that is there can be synced, one that is not is named") {
  const TemporaryDirectory directory;
  WriteText(directory / "a/b/file", "x");
  CHECK(SyncTree(directory.path()).ok());
  CHECK_THAT(format::SyncDirectory(directory / "none"),
             IsStatus(absl::StatusCode::kNotFound, {directory / "none"}));
}

}  // namespace
}  // namespace seedlm::server
