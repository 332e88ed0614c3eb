#include "server/storage/artifact_name.h"

#include <catch2/catch.hpp>
#include <string>

#include "tests/server/status_matcher.h"

namespace seedlm::server {
namespace {

TEST_CASE("artifact names") {
  CHECK(ParseArtifactName("artifacts/a-B_9", "f").value() == "a-B_9");
  CHECK(ParseArtifactName("artifacts/" + std::string(64, 'x'), "f").ok());
  for (const std::string& bad :
       {std::string(""), std::string("artifacts/"), std::string("jobs/a"),
        std::string("artifacts/a/"), std::string("artifacts/.."), std::string("artifacts/.x"),
        std::string("artifacts/a b"), "artifacts/" + std::string(65, 'x')}) {
    INFO(bad);
    const absl::Status status = ParseArtifactName(bad, "job.source.artifact").status();
    CHECK_THAT(status, IsStatus(absl::StatusCode::kInvalidArgument, {bad, "artifacts/ID"}));
    CHECK_THAT(status, IsInvalidField("job.source.artifact"));
  }
}

TEST_CASE("names of files in an artifact") {
  const auto file = ParseArtifactFileName("artifacts/a/files/sub/model v1.0+x=y@z,_-.safetensors");
  REQUIRE(file.ok());
  CHECK(file->id == "a");
  CHECK(file->path == "sub/model v1.0+x=y@z,_-.safetensors");
  CHECK(ParseArtifactFileName("artifacts/a/files/files/files").value().path == "files/files");
  CHECK(ParseArtifactFileName("artifacts/a/files/.gitattributes").ok());
  CHECK(ParseArtifactFileName("artifacts/a/files/...").ok());
}

TEST_CASE("malformed names of files are refused, and the reason is said") {
  const auto refused = [](const std::string& path, const char* why) {
    INFO(path);
    const absl::Status status = ParseArtifactFileName("artifacts/a/files/" + path).status();
    CHECK_THAT(status, IsStatus(absl::StatusCode::kInvalidArgument, {why}));
    CHECK_THAT(status, IsInvalidField("resource_name"));
  };
  for (const char* path :
       {"", "/", "/etc/passwd", "a//b", "a/", "..", "../x", "a/../../b", ".", "a/./b"}) {
    refused(path, "empty component, '.' or '..'");
  }
  for (const char* path : {"a\\b", "a\nb", "a%2f", "a:b", "\xc3\xa9"}) refused(path, "letters");
  refused(std::string("a\0b", 3), "letters");
  refused(".seedlm-result", "reserved");
  refused("sub/.seedlm-result", "reserved");
  refused(std::string(256, 'x'), "too long");
  refused(std::string(200, 'x') + "/" + std::string(200, 'x') + "/" + std::string(200, 'x') + "/" +
              std::string(200, 'x') + "/" + std::string(221, 'x'),
          "over 1024 bytes");
  CHECK_FALSE(ParseArtifactFileName("artifacts/a").ok());
  CHECK_FALSE(ParseArtifactFileName("artifacts/../files/x").ok());
}

}  // namespace
}  // namespace seedlm::server
