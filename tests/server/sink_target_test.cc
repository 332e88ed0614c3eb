#include "server/storage/sink_target.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <climits>
#include <filesystem>
#include <string>
#include <vector>

#include "server/errors/reason.h"
#include "server/storage/tree.h"
#include "tests/server/checkpoints.h"
#include "tests/server/status_matcher.h"
#include "tests/server/temporary_directory.h"

namespace seedlm::server {
namespace {

namespace fs = std::filesystem;
using Code = absl::StatusCode;

struct TargetFixture {
  SinkTarget File(const std::string& name) const {
    return {directory / name, false, false, false, "j"};
  }
  SinkTarget Directory(const std::string& name) const {
    return {directory / name, true, false, false, "j"};
  }
  static SinkTarget Over(SinkTarget target) {
    target.overwrite = true;
    return target;
  }
  static absl::Status Check(const SinkTarget& target, const std::string& source) {
    return CheckTarget(target, source,
                       {"model.safetensors", "config.json", "sub/more.safetensors"});
  }
  TemporaryDirectory directory;
  const std::string source = directory / "source";
};

TEST_CASE("the staging name is hidden, beside the final one, and of this job") {
  CHECK(StagingPath({"/a/b/out", true, false, false, "j1"}) == "/a/b/.out.j1.seedlm-partial");
  CHECK(StagingPath({"/out", true, false, false, "j1"}) == "/.out.j1.seedlm-partial");
}

TEST_CASE_METHOD(TargetFixture, "a new name in a directory that is there will do") {
  CHECK(Check(File("out.safetensors"), source).ok());
  CHECK(Check(Directory("out"), source).ok());
}

TEST_CASE_METHOD(TargetFixture, "a name is refused that is too long once it is a staging name") {
  const size_t most = NAME_MAX - std::string("..j.seedlm-partial.replaced").size();
  CHECK(Check(Directory(std::string(most, 'n')), source).ok());
  const absl::Status status = Check(Directory(std::string(most + 1, 'n')), source);
  CHECK_THAT(status, IsStatus(Code::kInvalidArgument,
                              {"File name too long", std::to_string(most) + " are possible"}));
}

TEST_CASE_METHOD(TargetFixture, "an output that exists is replaced only if that is asked for") {
  WriteText(directory / "out.safetensors", "x");
  WriteCompressed(directory / "out/model.safetensors");
  for (const SinkTarget& target : {File("out.safetensors"), Directory("out")}) {
    const absl::Status status = Check(target, source);
    CHECK_THAT(status, IsStatus(Code::kAlreadyExists, {target.path, "overwritten"}));
    CHECK(ReasonOf(status) == "OUTPUT_EXISTS");
    CHECK(Check(Over(target), source).ok());
  }
}

TEST_CASE_METHOD(TargetFixture, "a file does not replace a directory, nor the other way round") {
  WriteText(directory / "file", "x");
  fs::create_directory(directory / "dir");
  fs::create_symlink(directory / "file", directory / "link");
  CHECK_THAT(Check(Over(File("dir")), source),
             IsStatus(Code::kInvalidArgument, {directory / "dir", "is a directory", "one file"}));
  CHECK_THAT(Check(Over(Directory("file")), source),
             IsStatus(Code::kInvalidArgument, {directory / "file", "not a directory"}));
  CHECK_THAT(Check(Over(File("link")), source),
             IsStatus(Code::kInvalidArgument, {directory / "link", "no regular file"}));
}

TEST_CASE_METHOD(TargetFixture, "a directory is replaced if it is empty, or an old output") {
  fs::create_directory(directory / "empty");
  CHECK(Check(Over(Directory("empty")), source).ok());
  WriteCompressed(directory / "same/model.safetensors");
  WriteText(directory / "same/config.json", "{}");
  WriteText(directory / "same/sub/more.safetensors", "x");  // of no compressed tensor
  CHECK(Check(Over(Directory("same")), source).ok());
  WriteCompressed(directory / "renamed/old-name.safetensors");
  CHECK(Check(Over(Directory("renamed")), source).ok());
}

TEST_CASE_METHOD(TargetFixture,
                 "a directory that holds anything else is not replaced, and says what") {
  struct Case {
    std::string what;
    std::vector<std::string> compressed, other;
    std::string word;
  };
  const std::vector<Case> cases = {
      {"no checkpoint at all", {}, {"letters/love.txt"}, "letters"},
      {"a file without a checkpoint", {}, {"love.txt"}, "love.txt"},
      {"a file beside an old output", {"model.safetensors"}, {"notes.txt"}, "notes.txt"},
      {"a configuration and no weights", {}, {"config.json"}, "not an output of this program"},
      {"a checkpoint of somebody else", {}, {"model.safetensors"}, "not an output of this program"},
      {"another one, that goes by another name", {}, {"theirs.safetensors"}, "theirs"},
      {"two models below", {"a/model.safetensors", "b/model.safetensors"}, {}, "holds '"},
      {"two models beside each other", {"a.safetensors", "b.safetensors"}, {}, ".safetensors"},
      {"an old output and another model", {"model.safetensors", "b/model.safetensors"}, {}, "b"},
      {"an old output and an original", {"model.safetensors"}, {"raw.safetensors"}, "raw"},
      {"an original deeper down", {"model.safetensors"}, {"sub/raw.safetensors"}, "sub/raw"},
      {"a home with a model in it", {"model.safetensors"}, {".ssh/id"}, ".ssh"},
  };
  for (const Case& c : cases) {
    INFO(c.what);
    fs::remove_all(directory / "out");
    for (const std::string& path : c.compressed) WriteCompressed(directory / ("out/" + path));
    for (const std::string& path : c.other) WriteText(directory / ("out/" + path), "x");
    CHECK_THAT(Check(Over(Directory("out")), source),
               IsStatus(Code::kFailedPrecondition, {directory / "out", "not overwritten", c.word}));
    const absl::Status unasked = Check(Directory("out"), source);  // no advice that would not help
    CHECK_THAT(unasked, IsStatus(Code::kAlreadyExists, {directory / "out", "choose another"}));
    CHECK(unasked.message().find("overwritten") == std::string::npos);
    CHECK(ReasonOf(unasked) == "OUTPUT_EXISTS");
  }
}

TEST_CASE_METHOD(TargetFixture, "the output is neither the source, nor around it, nor in it") {
  WriteText(source + "/model.safetensors", "x");
  CHECK_THAT(Check(Over(Directory("source")), source),
             IsStatus(Code::kInvalidArgument, {source, "is the source"}));
  CHECK_THAT(Check(Over(Directory("source")), source + "/model.safetensors"),
             IsStatus(Code::kInvalidArgument, {source, "holds it"}));
  CHECK_THAT(Check(Directory("source/out"), source),
             IsStatus(Code::kInvalidArgument, {source + "/out", "inside of the source"}));
  CHECK(Check(Directory("source-out"), source).ok());
  CHECK(Check(File("source/out.safetensors"), source + "/model.safetensors").ok());
}

TEST_CASE_METHOD(TargetFixture,
                 "a parent that is not there, is a file, or cannot be written to is named") {
  WriteText(directory / "file", "x");
  fs::create_directory(directory / "locked");
  CHECK_THAT(Check(File("none/out"), source), IsStatus(Code::kNotFound, {directory / "none"}));
  CHECK_THAT(Check(File("file/out"), source), IsStatus(Code::kNotFound, {directory / "file"}));
  CHECK_THAT(Check({"/", true, true, false, "j"}, source), IsStatus(Code::kInvalidArgument, {"/"}));
  fs::permissions(directory / "locked", fs::perms::owner_read | fs::perms::owner_exec);
  const absl::Status status = Check(File("locked/out"), source);
  if (geteuid() == 0) {
    CHECK(status.ok());  // the superuser may write anywhere
  } else {
    CHECK_THAT(status, IsStatus(Code::kPermissionDenied, {directory / "locked"}));
  }
}

TEST_CASE_METHOD(TargetFixture, "what a killed server left is removed, and nothing else") {
  const SinkTarget target = Directory("out");
  WriteText(StagingPath(target) + "/sub/half.safetensors", "x");
  WriteText(directory / "out/model.safetensors", "old");
  WriteText(directory / ".out.other.seedlm-partial/x", "another job's");
  REQUIRE(RemoveLeftovers(target).ok());
  REQUIRE(RemoveLeftovers(target).ok());
  CHECK(ListTree(directory.path()) == std::set<std::string>{"out", "out/model.safetensors",
                                                            ".out.other.seedlm-partial",
                                                            ".out.other.seedlm-partial/x"});
}

TEST_CASE_METHOD(TargetFixture,
                 "what stands in the place of a staging directory is not looked into") {
  const SinkTarget target = Directory("out");
  const std::string staging = StagingPath(target);
  WriteText(directory / "other/precious", "x");
  CHECK(CheckStagingIsOurs(target).ok());  // nothing is there
  CHECK(PrepareResume(target, {}).ok());
  SECTION("a link to a directory") { fs::create_directory_symlink(directory / "other", staging); }
  SECTION("a link to nothing") { fs::create_symlink(directory / "none", staging); }
  SECTION("a file") { WriteText(staging, "x"); }
  SECTION("a directory of somebody else") {
    if (geteuid() != 0) return;  // only the superuser gives things away
    WriteText(staging + "/precious", "x");
    REQUIRE(chown(staging.c_str(), 4711, 4711) == 0);
  }
  const auto before = ListTree(directory.path());
  for (const absl::Status& status : {CheckStagingIsOurs(target), PrepareResume(target, {})}) {
    CHECK_THAT(status, IsStatus(Code::kFailedPrecondition, {staging, "not the directory"}));
  }
  CHECK(ListTree(directory.path()) == before);
}

TEST_CASE_METHOD(TargetFixture,
                 "a pinned target stays in its directory, and has its name for people") {
  fs::create_directories(directory / "parent");
  fs::create_directories(directory / "elsewhere");
  SinkTarget target = Directory("parent/out");
  REQUIRE(PinParent(target).ok());
  CHECK(NameOf(target) == directory / "parent/out");
  fs::rename(directory / "parent", directory / "moved");
  fs::create_directory_symlink(directory / "elsewhere", directory / "parent");
  WriteText(StagingPath(target) + "/x", "1");
  CHECK(ReadText(directory / "moved/.out.j.seedlm-partial/x") == "1");
  CHECK(Check(target, source).ok());
  CHECK_THAT(Check(target, directory / "parent/out/sub"), IsStatus(Code::kInvalidArgument, {}));
  WriteText(directory / "moved/out", "x");
  CHECK_THAT(Check(target, source),
             IsStatus(Code::kInvalidArgument, {directory / "parent/out", "not a directory"}));
  CHECK_THAT(
      ForPeople(target, absl::NotFoundError(target.path + ": no; " + ParentOf(target.path))),
      IsStatus(Code::kNotFound, {directory / "parent/out: no; ", "; " + (directory / "parent")}));

  SinkTarget late = Directory("parent/out");  // resolved before the link came
  const absl::Status status = PinParent(late);
  CHECK_THAT(status, IsStatus(Code::kPermissionDenied, {directory / "parent", "elsewhere"}));
  CHECK(ReasonOf(status) == "OUTSIDE_STORAGE_ROOT");
  SinkTarget none = Directory("none/out");
  CHECK_THAT(PinParent(none), IsStatus(Code::kNotFound, {directory / "none", "write into"}));
}

TEST_CASE_METHOD(TargetFixture, "an output that was moved away for its replacement comes back") {
  const SinkTarget target = Directory("out");
  const std::string replaced = ReplacedName(StagingPath(target));
  WriteText(replaced + "/model.safetensors", "old");
  SECTION("killed before the replacement") {
    REQUIRE(RemoveLeftovers(target).ok());
    CHECK(ReadText(directory / "out/model.safetensors") == "old");
  }
  SECTION("killed after it") {
    WriteText(directory / "out/model.safetensors", "new");
    REQUIRE(RemoveLeftovers(target).ok());
    CHECK(ReadText(directory / "out/model.safetensors") == "new");
  }
  CHECK_FALSE(fs::exists(replaced));
}

}  // namespace
}  // namespace seedlm::server
