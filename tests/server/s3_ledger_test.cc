// What a ledger says after each of its lines, and what a crash or a hand may leave of it.
#include "server/storage/s3_ledger.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/server/status_matcher.h"
#include "tests/server/temporary_directory.h"

namespace seedlm::server {
namespace {

using Code = absl::StatusCode;

TEST_CASE("ledger: what is open, and a file that is none") {
  const TemporaryDirectory scratch;
  auto ledger = S3Ledger::Create(scratch.path(), "job", "bucket");
  REQUIRE(ledger.status() == absl::OkStatus());
  CHECK((*S3Ledger::Create(scratch.path(), "job", "bucket"))->path() != (*ledger)->path());
  CHECK(S3Ledger::NameOf((*ledger)->path()) == "job");
  REQUIRE((*ledger)->Begin("a\"\n/b", 7).ok());
  REQUIRE((*ledger)->Opened("a\"\n/b", "id+/=", 100, 30).ok());
  REQUIRE((*ledger)->Begin("c", 8).ok());
  auto content = S3Ledger::Read((*ledger)->path());
  REQUIRE(content.status() == absl::OkStatus());
  CHECK(content->bucket == "bucket");
  REQUIRE(content->open.size() == 2);
  CHECK(content->open[0].key == "a\"\n/b");
  CHECK(content->open[0].upload_id == "id+/=");
  CHECK(content->open[0].size == 100);
  CHECK(content->open[0].part_bytes == 30);
  CHECK(content->open[1].begun == 8);
  CHECK(content->Find("a\"\n/b") == &content->open[0]);
  CHECK(content->Find("c") == nullptr);  // its id is not known
  REQUIRE((*ledger)->Undo("d", "jobs/1").ok());
  content = S3Ledger::Read((*ledger)->path());
  REQUIRE(content->undo.size() == 1);
  CHECK(content->undo[0].key == "d");
  CHECK(content->undo[0].owner == "jobs/1");
  REQUIRE(S3Ledger::Undone((*ledger)->path()).ok());
  CHECK(S3Ledger::Read((*ledger)->path())->undo.empty());
  REQUIRE((*ledger)->Closed("a\"\n/b").ok());
  CHECK(S3Ledger::Read((*ledger)->path())->open.size() == 1);
  for (const char* text :
       {"garbage\n", "[]\n", "{}\n", "{\"open\": \"x\", \"id\": \"y\"}\n", "{\"begin\": \"x\"}\n",
        "{\"begin\": 1, \"time\": \"x\"}\n", "{\"bucket\": \"b\"}\n{\"bucket\": \"b\"}\n",
        "{\"bucket\": \"b\"}\n{\"part\": \"x\", \"number\": 1, \"etag\": \"e\", \"crc32c\": "
        "1}\n"}) {
    WriteText(scratch / "bad.ledger", text);
    CHECK_THAT(S3Ledger::Read(scratch / "bad.ledger").status(),
               IsStatus(Code::kInternal, {"bad.ledger"}));
  }
}

TEST_CASE("ledger: parts, and what became of an upload") {
  const TemporaryDirectory scratch;
  auto ledger = S3Ledger::Create(scratch.path(), "job", "bucket");
  REQUIRE((*ledger)->Begin("a", 7).ok());
  REQUIRE((*ledger)->Opened("a", "1", 100, 30).ok());
  REQUIRE((*ledger)->Sent("a", {2, "\"x\""}, 4'000'000'000).ok());
  REQUIRE((*ledger)->Sent("a", {2, "\"y\""}, 5).ok());  // again: the later one holds
  const auto read = [&] { return *S3Ledger::Read((*ledger)->path()); };
  LedgerContent content = read();
  REQUIRE(content.Find("a") != nullptr);
  REQUIRE(content.Find("a")->parts.size() == 1);
  CHECK(content.Find("a")->parts.at(2).etag == "\"y\"");
  CHECK(content.Find("a")->parts.at(2).crc32c == 5);

  REQUIRE((*ledger)->Completing("a", "sum", "\"expected\"").ok());
  content = read();
  CHECK(content.Find("a") != nullptr);
  CHECK(content.objects.at("a").sha256 == "sum");
  CHECK(content.objects.at("a").etag == "\"expected\"");
  SECTION("it was completed") {
    REQUIRE((*ledger)->Made("a", "\"given\"").ok());
    content = read();
    CHECK(content.open.empty());
    CHECK(content.objects.at("a").etag == "\"given\"");
    REQUIRE((*ledger)->Undo("a", "jobs/1").ok());
    CHECK(read().objects.empty());
  }
  SECTION("it was completed, by a server that gives no ETags") {
    REQUIRE((*ledger)->Made("a", "").ok());
    CHECK(read().objects.at("a").etag == "\"expected\"");
  }
  SECTION("it was lost, and begun anew") {
    REQUIRE((*ledger)->Closed("a").ok());
    REQUIRE((*ledger)->Begin("a", 9).ok());
    content = read();
    CHECK(content.objects.size() == 1);  // it may be there all the same
    CHECK(content.Find("a") == nullptr);
    CHECK(content.open.size() == 1);
  }
}

TEST_CASE("ledger: an upload whose id is not known stays one of its own") {
  const TemporaryDirectory scratch;
  auto ledger = S3Ledger::Create(scratch.path(), "job", "bucket");
  REQUIRE((*ledger)->Begin("a", 7).ok());  // killed before the answer
  REQUIRE((*ledger)->Begin("a", 5000).ok());
  REQUIRE((*ledger)->Opened("a", "2", 100, 30).ok());
  LedgerContent content = *S3Ledger::Read((*ledger)->path());
  REQUIRE(content.open.size() == 2);
  CHECK(content.open[0].upload_id.empty());
  CHECK(content.open[0].begun == 7);  // it is looked for from then on
  REQUIRE((*ledger)->Closed("a").ok());
  content = *S3Ledger::Read((*ledger)->path());
  REQUIRE(content.open.size() == 1);
  CHECK(content.open[0].begun == 7);
}

TEST_CASE("ledger: one of a version that did not go on with uploads") {
  const TemporaryDirectory scratch;
  WriteText(
      scratch / "1.0.ledger",
      "{\"bucket\": \"b\"}\n{\"begin\": \"a\", \"time\": 7}\n{\"open\": \"a\", \"id\": \"1\"}\n");
  const auto content = S3Ledger::Read(scratch / "1.0.ledger");
  REQUIRE(content.status() == absl::OkStatus());
  REQUIRE(content->Find("a") != nullptr);
  CHECK(content->Find("a")->size == 0);
}

TEST_CASE("ledger: what a crash tore off does not count, and what is appended begins a line") {
  const TemporaryDirectory scratch;
  const std::string path = [&] {
    auto ledger = S3Ledger::Create(scratch.path(), "job", "bucket");
    REQUIRE((*ledger)->Begin("a", 7).ok());
    return (*ledger)->path();
  }();
  const auto whole = std::filesystem::file_size(path);
  const std::string torn =
      GENERATE(as<std::string>(), "", "{\"closed\": \"", std::string(4096, '\0'),
               std::string(100, '\0') + "\n\x01garbage\n" + "{\"par");
  std::ofstream(path, std::ios::app | std::ios::binary) << torn;
  CHECK(S3Ledger::Read(path)->open.size() == 1);
  {
    const auto reopened = S3Ledger::Reopen(path);
    REQUIRE(reopened.status() == absl::OkStatus());
    CHECK(reopened->content.open.size() == 1);
    CHECK(std::filesystem::file_size(path) == whole);
    REQUIRE(reopened->ledger->Opened("a", "1", 100, 30).ok());
  }
  CHECK(S3Ledger::Read(path)->Find("a") != nullptr);
  std::ofstream(path, std::ios::app | std::ios::binary) << torn;
  REQUIRE(S3Ledger::Undone(path).ok());
  CHECK(S3Ledger::Read(path)->Find("a") != nullptr);
}

TEST_CASE("ledger: damage that is followed by sound lines is no crash's") {
  const TemporaryDirectory scratch;
  WriteText(scratch / "1.0.ledger",
            "{\"bucket\": \"b\"}\n{\"begin\": \"a\", \"ti\x01\n{\"undone\": true}\n");
  CHECK_THAT(S3Ledger::Read(scratch / "1.0.ledger").status(),
             IsStatus(Code::kInternal, {"1.0.ledger", "byte 16"}));
  CHECK_THAT(S3Ledger::Reopen(scratch / "1.0.ledger").status(), IsStatus(Code::kInternal, {}));
  CHECK(absl::IsNotFound(S3Ledger::Reopen(scratch / "2.0.ledger").status()));
}

TEST_CASE("ledger: of lines that a crash may take back, one that stayed is no damage") {
  const TemporaryDirectory scratch;
  const std::string path = scratch / "1.0.ledger";
  const std::string whole =
      "{\"bucket\": \"b\"}\n{\"begin\": \"a\", \"time\": 7}\n"
      "{\"open\": \"a\", \"id\": \"1\", \"size\": 100, \"part_bytes\": 30}\n"
      "{\"part\": \"a\", \"number\": 1, \"etag\": \"x\", \"crc32c\": 1}\n";
  const std::string lost = std::string(60, '\0') + "\n";
  const char* const stayed =
      GENERATE("{\"part\": \"a\", \"number\": 3, \"etag\": \"y\", \"crc32c\": 2}\n",
               "{\"made\": \"a\", \"etag\": \"y\"}\n", "{\"closed\": \"a\"}\n");
  WriteText(path, whole + lost + stayed + lost + stayed);
  const auto reopened = S3Ledger::Reopen(path);
  REQUIRE(reopened.status() == absl::OkStatus());
  REQUIRE(reopened->content.Find("a") != nullptr);
  CHECK(reopened->content.Find("a")->parts.size() == 1);
  CHECK(ReadText(path) == whole);
  WriteText(path, whole + lost + stayed + "{\"undone\": true}\n");
  CHECK_THAT(S3Ledger::Read(path).status(), IsStatus(Code::kInternal, {"1.0.ledger"}));
}

}  // namespace
}  // namespace seedlm::server
