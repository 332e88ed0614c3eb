#include "server/storage/s3_credentials.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "server/storage/s3_key_file.h"
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

TEST_CASE("a file of keys that has changed is read again, one that is wrong changes nothing") {
  const TemporaryDirectory directory;
  const std::string path = directory / "keys";
  const auto write = [&path](const std::string& id) {
    std::ofstream(path) << "[default]\naws_access_key_id=" << id << "\naws_secret_access_key=s\n";
    REQUIRE(chmod(path.c_str(), 0600) == 0);
  };
  std::vector<std::string> warnings, news;
  const S3KeyFile::Reports reports{
      [&warnings](const std::string& message) { warnings.push_back(message); },
      [&news](const std::string& message) { news.push_back(message); }};
  CHECK_THAT(S3KeyFile::Open(path, "default", reports).status(), IsStatus(Code::kNotFound, {path}));
  write("AKIFIRST");
  const auto file = S3KeyFile::Open(path, "default", reports).value();
  CHECK(file->Keys().access_key_id == "AKIFIRST");
  CHECK(news.empty());

  write("AKISECOND");
  std::this_thread::sleep_for(std::chrono::milliseconds(1050));  // it is looked at once a second
  CHECK(file->Keys().access_key_id == "AKISECOND");
  CHECK(news == std::vector<std::string>{path + ": the keys of S3 were read again"});

  write("AKITHIRD");
  CHECK(file->Reload() == absl::OkStatus());  // SIGHUP
  CHECK(file->Keys().access_key_id == "AKITHIRD");

  REQUIRE(chmod(path.c_str(), 0644) == 0);
  CHECK_THAT(file->Reload(), IsStatus(Code::kFailedPrecondition, {path, "chmod 600"}));
  std::ofstream(path) << "aws_access_key_id AKIWRONG\n";
  std::this_thread::sleep_for(std::chrono::milliseconds(1050));
  CHECK(file->Keys().access_key_id == "AKITHIRD");
  CHECK(file->Keys().access_key_id == "AKITHIRD");
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0].find("the keys of S3 stay as they were: " + path) == 0);
  CHECK(warnings[0].find("AKI") == std::string::npos);
}

}  // namespace
}  // namespace seedlm::server
