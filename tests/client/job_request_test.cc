#include "client/job_request.h"

#include <catch2/catch.hpp>
#include <filesystem>

#include "absl/strings/match.h"
#include "tests/client/scratch_directory.h"

namespace seedlm::client {
namespace {

TEST_CASE("paths become URIs") {
  CHECK(FileUri("/data/model-00001-of-00002.safetensors") ==
        "file:///data/model-00001-of-00002.safetensors");
  CHECK(FileUri("/a b/100%/x?y#z") == "file:///a%20b/100%25/x%3Fy%23z");
  CHECK(FileUri("/gr\xC3\xB6") == "file:///gr%C3%B6");
}

TEST_CASE("a URI gives its path back") {
  for (const char* path : {"/a/b", "/a b/100%/%41", "/\xC3\xA4?#"}) {
    CAPTURE(path);
    CHECK(PathOfUri(FileUri(path)) == path);
  }
  CHECK(PathOfUri("file:///a%2") == "/a%2");
  CHECK(PathOfUri("file:///a%zz") == "/a%zz");
}

TEST_CASE("a bare id names a job too") {
  CHECK(JobName("jobs/12ab") == "jobs/12ab");
  CHECK(JobName("12ab") == "jobs/12ab");
  CHECK(JobName("other/12ab") == "other/12ab");  // for the server to refuse
}

TEST_CASE("an input that is missing is named") {
  const auto path = InputPath("/no/such/model.safetensors");
  REQUIRE(absl::IsNotFound(path.status()));
  CHECK(absl::StartsWith(path.status().message(), "/no/such/model.safetensors: no such file"));
}

TEST_CASE("an input that cannot be looked up is not called missing") {
  const ScratchDirectory scratch;
  std::filesystem::create_symlink("loop", scratch / "loop");
  const absl::Status status = InputPath(scratch / "loop").status();
  CHECK(absl::IsInvalidArgument(status));
  CHECK(absl::StrContains(status.message(), "loop: cannot open"));
}

}  // namespace
}  // namespace seedlm::client
