#include "client/output_path.h"

#include <catch2/catch.hpp>
#include <filesystem>

#include "absl/strings/match.h"
#include "tests/client/scratch_directory.h"

namespace seedlm::client {
namespace {

namespace fs = std::filesystem;

TEST_CASE("absolute paths resolve parents, not the last part") {
  const ScratchDirectory scratch;
  const std::string real = fs::canonical(scratch.path());
  fs::create_directory(scratch / "d");
  fs::create_symlink("d", scratch / "link");
  scratch.Write("blob", "x");
  fs::create_symlink("blob", scratch / "model.safetensors");
  CHECK(*AbsolutePath(scratch / "model.safetensors") == real + "/model.safetensors");
  CHECK(*AbsolutePath(scratch / "link/new") == real + "/d/new");
  CHECK(*AbsolutePath(scratch / "d/") == real + "/d");
  CHECK(*AbsolutePath(scratch / "d/..") == real);
  CHECK(*AbsolutePath("new") == fs::current_path().string() + "/new");
  CHECK(absl::IsInvalidArgument(AbsolutePath("").status()));
  CHECK(absl::IsNotFound(AbsolutePath(scratch / "missing/new").status()));
}

TEST_CASE("stdout is no output") {
  const absl::Status refused = OutputPath("-", false, "in.safetensors").status();
  CHECK(absl::IsInvalidArgument(refused));
  CHECK(absl::StrContains(refused.message(), "./-"));
  CHECK(OutputPath("./-", false, "in.safetensors").ok());
}

TEST_CASE("what may be written") {
  const ScratchDirectory scratch;
  const std::string in = scratch.Write("in.safetensors", "x");
  const std::string file = scratch.Write("file", "x");
  const std::string other = scratch.Write("photos/a.jpg", "x");
  fs::create_directory(scratch / "empty");

  CHECK(CheckOutput(in, scratch / "new", false, false, {}).ok());
  CHECK(CheckOutput(in, file, false, true, {}).ok());
  CHECK(CheckOutput(in, scratch / "empty", true, true, {}).ok());

  const absl::Status exists = CheckOutput(in, file, false, false, {});
  CHECK(absl::IsAlreadyExists(exists));
  CHECK(exists.message() == file + ": exists already; use --force to replace it");

  for (const bool force : {false, true}) {  // what --force would not help is no question of it
    CHECK(absl::IsInvalidArgument(CheckOutput(in, in, false, force, {})));
    const absl::Status within = CheckOutput(scratch / "photos", other, true, force, {});
    CHECK_FALSE(absl::StrContains(within.message(), "--force"));
    const absl::Status foreign = CheckOutput(in, scratch / "photos", true, force, {});
    CHECK(absl::StrContains(foreign.message(), "photos: holds 'a.jpg'"));
    CHECK_FALSE(absl::StrContains(foreign.message(), "--force"));
    CHECK(absl::IsAlreadyExists(foreign) == !force);
  }
  CHECK(absl::StrContains(CheckOutput(in, scratch / "empty", true, false, {}).message(),
                          "use --force"));

  const absl::Status same = CheckOutput(in, in, false, true, {});
  CHECK(absl::IsInvalidArgument(same));
  CHECK(absl::StartsWith(same.message(), in + ": is the input itself"));

  CHECK(absl::IsInvalidArgument(CheckOutput(in, file, true, true, {})));
  CHECK(absl::IsInvalidArgument(CheckOutput(in, scratch / "empty", false, true, {})));
  CHECK(absl::IsInvalidArgument(CheckOutput(scratch.path(), scratch / "new", true, false, {})));

  const absl::Status precious = CheckOutput(in, scratch / "photos", true, true, {});
  CHECK(absl::IsFailedPrecondition(precious));
  CHECK(absl::StrContains(precious.message(), "photos: holds 'a.jpg'"));

  const absl::Status missing = CheckOutput(in, scratch / "no/new", false, false, {});
  CHECK(absl::IsNotFound(missing));
  CHECK(absl::StartsWith(missing.message(), scratch / "no: no such directory"));
}

TEST_CASE("a dangling link is an output that exists") {
  const ScratchDirectory scratch;
  fs::create_symlink("nowhere", scratch / "link");
  CHECK(absl::IsAlreadyExists(CheckOutput("", scratch / "link", false, false, {})));
}

TEST_CASE("a link is followed once, to what will be written") {
  const ScratchDirectory scratch;
  const std::string real = fs::canonical(scratch.path());
  fs::create_directory(scratch / "d");
  const std::string file = scratch.Write("file", "x");
  fs::create_symlink("d", scratch / "to_directory");
  fs::create_symlink("file", scratch / "to_file");
  fs::create_symlink("../file", scratch / "d/inner");
  fs::create_symlink("nowhere", scratch / "dangling");
  fs::create_symlink("loop", scratch / "loop");
  CHECK(*OutputPath(scratch / "to_directory", true, "") == real + "/d");
  CHECK(*OutputPath(scratch / "to_file", false, "") == real + "/file");
  CHECK(*OutputPath(scratch / "to_directory/", false, "inner") == real + "/file");
  CHECK(absl::IsInvalidArgument(OutputPath(scratch / "loop", true, "").status()));
  REQUIRE(*OutputPath(scratch / "dangling", true, "") == real + "/dangling");
  const absl::Status dangling = CheckOutput("", real + "/dangling", true, true, {});
  CHECK(absl::IsInvalidArgument(dangling));
  CHECK(absl::StrContains(dangling.message(), "leads nowhere"));
}

TEST_CASE("one path lies in another, by whole names") {
  CHECK(IsWithin("/a/b", "/a/b"));
  CHECK(IsWithin("/a/b/c", "/a/b"));
  CHECK(IsWithin("/a", "/"));
  CHECK_FALSE(IsWithin("/a/bc", "/a/b"));
  CHECK_FALSE(IsWithin("/a", "/a/b"));
}

TEST_CASE("a slash at the end puts a file into a directory") {
  const ScratchDirectory scratch;
  const std::string real = fs::canonical(scratch.path());
  fs::create_directory(scratch / "d");
  CHECK(*OutputPath(scratch / "d/", false, "in.safetensors") == real + "/d/in.safetensors");
  CHECK(*OutputPath(scratch / "d//", false, "in.safetensors") == real + "/d/in.safetensors");
  CHECK(*OutputPath(scratch / "d", false, "in.safetensors") == real + "/d");
  CHECK(*OutputPath(scratch / "new", false, "in.safetensors") == real + "/new");
  CHECK(*OutputPath(scratch / "new/", true, "") == real + "/new");  // a directory is one anyway
  const auto missing = OutputPath(scratch / "new/", false, "in.safetensors");
  REQUIRE(absl::IsNotFound(missing.status()));
  CHECK(absl::StrContains(missing.status().message(), "create it first"));
  CHECK(absl::IsInvalidArgument(OutputPath(scratch / "d/", false, "..").status()));
}

TEST_CASE("a directory where a file would go is named with the way in") {
  const ScratchDirectory scratch;
  fs::create_directory(scratch / "d");
  const absl::Status status = CheckOutput("", scratch / "d", false, false, {});
  CHECK(absl::IsAlreadyExists(status));
  CHECK(absl::StrContains(status.message(), "give " + (scratch / "d/") + " to put it in there"));
}

TEST_CASE("paths that leave their directory are refused") {
  for (const char* path : {"", "/etc/passwd", "../x", "a/../../x", "a/./b", ".", "a/"}) {
    CAPTURE(path);
    CHECK_FALSE(IsSafeRelativePath(path));
  }
  CHECK_FALSE(IsSafeRelativePath(std::string("a\0b", 3)));
  CHECK(IsSafeRelativePath("a/b.safetensors"));
  CHECK(IsSafeRelativePath("..a"));
}

}  // namespace
}  // namespace seedlm::client
