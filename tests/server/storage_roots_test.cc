#include "server/storage/storage_roots.h"

#include <fcntl.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <string>

#include "server/errors/reason.h"
#include "server/storage/unique_fd.h"
#include "tests/server/status_matcher.h"
#include "tests/server/temporary_directory.h"

namespace seedlm::server {
namespace {

namespace fs = std::filesystem;

struct RootsFixture {
  RootsFixture() {
    WriteText(outside / "secret", "s");
    WriteText(inside / "models/a.safetensors", "a");
    WriteText(inside / "50% off", "b");
    roots.emplace(StorageRoots::Create({inside.path()}).value());
  }
  absl::Status StatusOf(const std::string& path) const { return roots->Resolve(path).status(); }

  TemporaryDirectory inside;
  TemporaryDirectory outside;
  std::optional<StorageRoots> roots;
};

const auto kDenied = absl::StatusCode::kPermissionDenied;
const auto kInvalid = absl::StatusCode::kInvalidArgument;

TEST_CASE_METHOD(RootsFixture, "paths below a root, there or not yet, are resolved") {
  CHECK(roots->Resolve(inside / "models/a.safetensors").value() == inside / "models/a.safetensors");
  CHECK(roots->Resolve(inside / "new/dir/out").value() == inside / "new/dir/out");
  CHECK(roots->Resolve(inside.path() + "//models/./a.safetensors/").value() ==
        inside / "models/a.safetensors");
  CHECK(roots->Resolve(inside.path()).value() == inside.path());
  CHECK(roots->Resolve(inside / "..hidden..").value() == inside / "..hidden..");
}

TEST_CASE_METHOD(RootsFixture, "paths outside of the roots are refused by name") {
  for (const std::string& path : {outside / "secret", outside / "none", std::string("/"),
                                  std::string("/etc/passwd"), inside.path() + "-sibling"}) {
    INFO(path);
    CHECK_THAT(StatusOf(path), IsStatus(kDenied, {path, "outside"}));
    CHECK(ReasonOf(StatusOf(path)) == "OUTSIDE_STORAGE_ROOT");
  }
}

TEST_CASE_METHOD(RootsFixture, "paths that climb, that are relative or malformed are refused") {
  CHECK_THAT(StatusOf(inside / "../x"), IsStatus(kInvalid, {inside / "../x", "'..'"}));
  CHECK_THAT(StatusOf(inside / "models/.."), IsStatus(kInvalid, {"'..'"}));
  CHECK_THAT(StatusOf("models/a"), IsStatus(kInvalid, {"models/a", "absolute"}));
  CHECK_THAT(StatusOf(""), IsStatus(kInvalid, {"absolute"}));
  CHECK_THAT(StatusOf(inside.path() + std::string("/a\0b", 4)), IsStatus(kInvalid, {"NUL"}));
  CHECK_THAT(StatusOf("/" + std::string(5000, 'x')), IsStatus(kInvalid, {"too long"}));
}

TEST_CASE_METHOD(RootsFixture, "a symbolic link leads nowhere outside") {
  fs::create_symlink(outside / "secret", inside / "file-link");
  fs::create_directory_symlink(outside.path(), inside / "dir-link");
  fs::create_symlink(outside / "none", inside / "broken");
  fs::create_symlink(inside / "loop", inside / "loop");
  for (const char* name : {"file-link", "dir-link", "dir-link/secret", "dir-link/new"}) {
    CHECK_THAT(StatusOf(inside / name), IsStatus(kDenied, {inside / name, "outside"}));
  }
  for (const char* name : {"broken", "broken/new"}) {
    CHECK_THAT(StatusOf(inside / name), IsStatus(kDenied, {inside / name, "broken symbolic link"}));
  }
  CHECK_FALSE(StatusOf(inside / "loop").ok());
}

TEST_CASE_METHOD(RootsFixture, "a symbolic link that stays inside is followed") {
  fs::create_directory_symlink(inside / "models", inside / "latest");
  CHECK(roots->Resolve(inside / "latest/a.safetensors").value() == inside / "models/a.safetensors");
  // So a root may itself be named through a link.
  fs::create_directory_symlink(inside.path(), outside / "alias");
  const StorageRoots alias = StorageRoots::Create({outside / "alias"}).value();
  CHECK(alias.Resolve(outside / "alias/models").value() == inside / "models");
}

TEST_CASE_METHOD(RootsFixture, "file URIs") {
  CHECK(roots->ResolveUri("file://" + inside.path() + "/models").value() == inside / "models");
  CHECK(roots->ResolveUri("file://" + inside.path() + "/50%25%20off").value() ==
        inside / "50% off");
  const auto refused = [&](const std::string& uri, absl::StatusCode code, const char* word) {
    INFO(uri);
    CHECK_THAT(roots->ResolveUri(uri).status(), IsStatus(code, {word}));
  };
  refused(inside / "models", kInvalid, "file://");
  refused("http://host/x", kInvalid, "file://");
  refused("file://host/x", kInvalid, "no host");
  refused("file://" + inside.path() + "/50%", kInvalid, "%25");
  refused("file://" + inside.path() + "/%4", kInvalid, "%25");
  refused("file://" + inside.path() + "/%zz", kInvalid, "%25");
  refused("file://" + inside.path() + "/%2e%2e/x", kInvalid, "'..'");
  refused("file://" + inside.path() + "/a%00b", kInvalid, "NUL");
  refused("s3://bucket/key", absl::StatusCode::kUnimplemented, "s3://bucket/key");
}

TEST_CASE_METHOD(RootsFixture, "what is written lies strictly below a root, and around none") {
  const auto uri = [](const std::string& path) { return "file://" + path; };
  fs::create_directories(inside / "outer/inner");
  const StorageRoots nested = StorageRoots::Create({inside.path(), inside / "outer/inner"}).value();
  for (const std::string& path : {inside.path(), inside / "outer", inside / "outer/inner",
                                  inside / "outer/inner/../inner/."}) {
    INFO(path);
    CHECK_FALSE(nested.ResolveOutputUri(uri(path)).ok());
  }
  CHECK_THAT(nested.ResolveOutputUri(uri(inside / "outer")).status(),
             IsStatus(kDenied, {"outer", "storage root"}));
  CHECK(nested.ResolveOutputUri(uri(inside / "new")).value() == inside / "new");
  CHECK(nested.ResolveOutputUri(uri(inside / "outer/new")).value() == inside / "outer/new");
  const StorageRoots all = StorageRoots::Create({"/"}).value();
  CHECK_THAT(all.ResolveOutputUri("file:///").status(), IsStatus(kDenied, {"storage root"}));
  CHECK(all.ResolveOutputUri("file:///tmp").ok());
}

TEST_CASE_METHOD(RootsFixture, "the server's own directory is out of bounds, below a root or not") {
  const std::string data = inside / "data";
  fs::create_directories(data + "/artifacts");
  fs::create_directory_symlink(data, inside / "link");
  const StorageRoots confined = StorageRoots::Create({inside.path()}, data).value();
  for (const std::string& path :
       {data, data + "/artifacts", data + "/new", inside.path(), inside / "link/artifacts"}) {
    CHECK_THAT(confined.Resolve(path).status(), IsStatus(kDenied, {path, "data directory"}));
  }
  CHECK(confined.Resolve(inside / "data-of-mine").ok());
  CHECK(confined.Resolve(inside / "models").ok());
  for (const std::string& root : {data, data + "/artifacts", inside / "link"}) {
    CHECK_THAT(StorageRoots::Create({root}, data).status(),
               IsStatus(kInvalid, {root, "data directory"}));
  }
}

TEST_CASE_METHOD(RootsFixture,
                 "a file that is open is where its name has led, not where it leads now") {
  const std::string data = inside / "data";
  WriteText(data + "/jobs", "x");
  const StorageRoots confined = StorageRoots::Create({inside.path()}, data).value();
  const std::string link = inside / "link";
  const auto check = [&](const std::string& target) {
    fs::create_symlink(target, link);
    const UniqueFd fd(open(link.c_str(), O_RDONLY | O_CLOEXEC));
    REQUIRE(static_cast<bool>(fd));
    fs::remove(link);
    const absl::Status status = confined.CheckOpened(fd.get(), link);
    if (!status.ok()) CHECK(ReasonOf(status) == "OUTSIDE_STORAGE_ROOT");
    return status;
  };
  CHECK(check(inside / "models/a.safetensors").ok());
  CHECK_THAT(check(outside / "secret"), IsStatus(kDenied, {link, "outside"}));
  CHECK_THAT(check("/etc/passwd"), IsStatus(kDenied, {link, "outside"}));
  CHECK_THAT(check(data + "/jobs"), IsStatus(kDenied, {link, "data directory"}));
  CHECK_THAT(confined.CheckOpened(-1, link), IsStatus(absl::StatusCode::kNotFound, {link}));
}

TEST_CASE("without a root every path is refused; the root / allows all") {
  CHECK_THAT(StorageRoots::Create({}).value().Resolve("/tmp").status(),
             IsStatus(kDenied, {"/tmp", "no storage root"}));
  const StorageRoots all = StorageRoots::Create({"/"}).value();
  CHECK(all.Resolve("/").value() == "/");
  CHECK(all.Resolve("/no-such-directory/x").value() == "/no-such-directory/x");
}

TEST_CASE_METHOD(RootsFixture, "a root has to be a directory") {
  CHECK_THAT(StorageRoots::Create({inside / "none"}).status(),
             IsStatus(absl::StatusCode::kNotFound, {inside / "none"}));
  CHECK_THAT(StorageRoots::Create({outside / "secret"}).status(),
             IsStatus(kInvalid, {outside / "secret", "not a directory"}));
}

}  // namespace
}  // namespace seedlm::server
