// ArtifactStore: what there is, and how it goes away.
#include <catch2/catch.hpp>
#include <filesystem>
#include <span>

#include "kernels/checksum/crc32c.h"
#include "server/storage/artifact_store.h"
#include "tests/server/status_matcher.h"
#include "tests/server/temporary_directory.h"

namespace seedlm::server {
namespace {

using Code = absl::StatusCode;

struct ListFixture {
  TemporaryDirectory scratch;
  DataDir data_dir = DataDir::Open(scratch / "data").value();
  ArtifactStore store{data_dir.FoldersOf("")};

  // Bytes of a file, which is finished or goes on arriving.
  void Put(const ArtifactFile& file, const std::string& content, bool finish = true) {
    Upload upload = store.OpenUpload(file).value();
    REQUIRE(upload.Append(0, content, checksum::Crc32c(content)).ok());
    checksum::Sha256 sum;
    sum.Update(std::as_bytes(std::span(content)));
    if (finish) REQUIRE(upload.Finish(sum.HexDigest()).ok());
  }
  std::vector<std::string> Ids(const std::string& after = "", size_t limit = 100) const {
    return store.ListIds(after, limit).value();
  }
};

TEST_CASE_METHOD(ListFixture, "artifacts: finished and arriving ones, in order, page by page") {
  CHECK(Ids().empty());
  Put({"b", "x"}, "12345");
  Put({"a", "d/y"}, "123");
  Put({"a", "c"}, "1");
  Put({"a", "z"}, "1234567", false);
  Put({"c", "z"}, "12", false);
  std::filesystem::create_directory(data_dir.FoldersOf("").artifacts() + "/.deleted-x");
  CHECK(Ids() == std::vector<std::string>{"a", "b", "c"});
  CHECK(Ids("", 2) == std::vector<std::string>{"a", "b"});
  CHECK(Ids("b") == std::vector<std::string>{"c"});
  const ArtifactContent a = store.Content("a").value();
  REQUIRE(a.files.size() == 2);
  CHECK(a.files[0].path == "c");
  CHECK(a.files[1].path == "d/y");
  CHECK(a.files[1].size == 3);
  CHECK(a.arriving_files == 1);
  CHECK(a.arriving_bytes == 7);
  CHECK_FALSE(a.is_result);
  CHECK(store.Content("c").value().files.empty());
  CHECK_THAT(store.Content("d").status(), IsStatus(Code::kNotFound, {"artifacts/d"}));
}

TEST_CASE_METHOD(ListFixture, "artifacts: a deleted one is gone, and its name is free") {
  Put({"a", "d/y"}, "123");
  Put({"a", "z"}, "1234567", false);
  Put({"b", "x"}, "12345");
  CHECK(store.Delete("a") == absl::OkStatus());
  CHECK(Ids() == std::vector<std::string>{"b"});
  CHECK_THAT(store.Delete("a"), IsStatus(Code::kNotFound, {"artifacts/a"}));
  CHECK_THAT(store.QueryWriteStatus({"a", "z"}).status(), IsStatus(Code::kNotFound, {}));
  for (const std::string& parent :
       {data_dir.FoldersOf("").artifacts(), data_dir.FoldersOf("").uploads()}) {
    for (const std::string& name : ListTree(parent)) CHECK(name[0] == 'b');
  }
  Put({"a", "d/y"}, "new");
  CHECK(store.Content("a").value().files.size() == 1);
}

TEST_CASE_METHOD(ListFixture, "artifacts: what is being written is not deleted") {
  {
    const Upload open = store.OpenUpload({"a", "x"}).value();
    const absl::Status busy = store.Delete("a");
    CHECK_THAT(busy, IsStatus(Code::kAborted, {"artifacts/a", "retry later"}));
    CHECK(ReasonOf(busy) == "UPLOAD_BUSY");
    Put({"a-b", "x"}, "1");  // begins with the same letters, and is another one
    CHECK(store.Delete("a-b") == absl::OkStatus());
  }
  const ResultReservation reservation = store.ReserveResult("r", 0);
  const absl::Status reserved = store.Delete("r");
  CHECK_THAT(reserved, IsStatus(Code::kFailedPrecondition, {"artifacts/r", "cancel"}));
  CHECK(ReasonOf(reserved) == "ARTIFACT_IN_USE");
}

TEST_CASE_METHOD(ListFixture, "artifacts: what jobs will make has its room from the beginning") {
  const std::string folder = data_dir.FoldersOf("").artifacts();
  ArtifactStore limited(
      data_dir.FoldersOf(""), [](const std::string&) {}, format::SyncDirectory, 1000);
  Put({"a", "x"}, std::string(100, 'x'));
  {
    const ResultReservation first = limited.ReserveResult("r1", 500);
    CHECK(limited.CheckRoom(400).ok());
    CHECK_THAT(limited.CheckRoom(401), IsStatus(Code::kResourceExhausted, {"600 bytes", "1000"}));
    // Not twice: what is staged or published of it is part of what it was promised.
    WriteText(folder + "/.r1.r1.seedlm-partial/sub/model", std::string(300, 'x'));
    WriteText(folder + "/r1/model", std::string(100, 'x'));
    CHECK(limited.CheckRoom(400, "r2").ok());
    CHECK_FALSE(limited.CheckRoom(401, "r2").ok());
  }
  CHECK_FALSE(limited.CheckRoom(501).ok());  // 500 are there
  CHECK(limited.CheckRoom(500).ok());
  CHECK(limited.CheckRoom(900, "r1").ok());  // in the place of what is there
  CHECK_FALSE(limited.CheckRoom(901, "r1").ok());
}

TEST_CASE_METHOD(ListFixture, "artifacts: a download that runs comes to its end") {
  Put({"a", "x"}, "12345");
  ArtifactReader reader = store.OpenRead({"a", "x"}, 0).value();
  REQUIRE(store.Delete("a") == absl::OkStatus());
  std::string content(5, '\0');
  CHECK(reader.Read(content).value() == 5);
  CHECK(content == "12345");
}

TEST_CASE_METHOD(ListFixture,
                 "artifacts: what a killed server was deleting goes at the next start") {
  WriteText(data_dir.FoldersOf("").artifacts() + "/.deleted-a/x", "1");
  WriteText(data_dir.FoldersOf("").uploads() + "/.deleted-a/y", "1");
  Put({"b", "x"}, "1");
  store.SweepDeleted();
  CHECK(ListTree(data_dir.FoldersOf("").artifacts()) == std::set<std::string>{"b", "b/x"});
  CHECK(ListTree(data_dir.FoldersOf("").uploads()).empty());
}

}  // namespace
}  // namespace seedlm::server
