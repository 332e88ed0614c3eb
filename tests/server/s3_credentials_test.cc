#include "server/storage/s3_credentials.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "tests/server/status_matcher.h"
#include "tests/server/temporary_directory.h"

namespace seedlm::server {
namespace {

using Code = absl::StatusCode;

constexpr char kFile[] =
    "# of the tools of AWS\n"
    "[default]\n"
    "aws_access_key_id = AKIDEFAULT\n"
    "aws_secret_access_key=abc/+=def\r\n"
    "region = eu-west-1\n"
    "\n"
    "[ short lived ]\n"
    "  aws_access_key_id=AKISHORT\n"
    "; aws_access_key_id=commented\n"
    "aws_secret_access_key = s\n"
    "aws_session_token = t==\n"
    "[half]\n"
    "aws_access_key_id = AKIHALF\n";

absl::Status Refusal(std::string_view text, std::string_view profile) {
  return ParseS3Credentials(text, profile, "keys").status();
}

TEST_CASE("a profile of the file gives its keys, and no other's") {
  const auto first = ParseS3Credentials(kFile, "default", "keys");
  REQUIRE(first.ok());
  CHECK(first->access_key_id == "AKIDEFAULT");
  CHECK(first->secret_access_key == "abc/+=def");
  CHECK(first->session_token.empty());
  const auto second = ParseS3Credentials(kFile, "short lived", "keys");
  REQUIRE(second.ok());
  CHECK(second->access_key_id == "AKISHORT");
  CHECK(second->secret_access_key == "s");
  CHECK(second->session_token == "t==");
}

TEST_CASE("what is wrong with the file is said without a word of it") {
  CHECK_THAT(Refusal(kFile, "half"),
             IsStatus(Code::kInvalidArgument, {"keys", "[half]", "aws_secret_access_key"}));
  CHECK_THAT(Refusal(kFile, "none"),
             IsStatus(Code::kInvalidArgument, {"keys", "[none]", "--s3-profile"}));
  CHECK_THAT(Refusal("", "default"), IsStatus(Code::kInvalidArgument, {"[default]"}));
  const absl::Status status = Refusal("[default]\naws_access_key_id AKISECRET\n", "default");
  CHECK_THAT(status, IsStatus(Code::kInvalidArgument, {"keys:2", "NAME = VALUE"}));
  CHECK(status.ToString().find("AKISECRET") == std::string::npos);
}

TEST_CASE("a file that others may read or change is refused") {
  const TemporaryDirectory directory;
  const std::string file = directory / "keys";
  CHECK_THAT(ReadS3Credentials(file, "default").status(), IsStatus(Code::kNotFound, {file}));
  std::ofstream(file) << kFile;
  for (const mode_t mode : {0600u, 0400u, 0640u}) {
    REQUIRE(chmod(file.c_str(), mode) == 0);
    CHECK(ReadS3Credentials(file, "default")->access_key_id == "AKIDEFAULT");
  }
  for (const mode_t mode : {0644u, 0604u, 0660u, 0601u, 0602u}) {
    REQUIRE(chmod(file.c_str(), mode) == 0);
    CHECK_THAT(ReadS3Credentials(file, "default").status(),
               IsStatus(Code::kFailedPrecondition, {file, "chmod 600"}));
  }
}

}  // namespace
}  // namespace seedlm::server
