#include "server/storage/artifact_store.h"

#include <catch2/catch.hpp>
#include <cctype>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "kernels/checksum/crc32c.h"
#include "server/errors/reason.h"
#include "tests/server/file_size_limit.h"
#include "tests/server/sha256_of.h"
#include "tests/server/status_matcher.h"
#include "tests/server/temporary_directory.h"

namespace seedlm::server {
namespace {

using Code = absl::StatusCode;

struct StoreFixture {
  Upload Open(const ArtifactFile& which) { return store.OpenUpload(which).value(); }
  static absl::Status Append(Upload& upload, int64_t offset, const std::string& data) {
    return upload.Append(offset, data, checksum::Crc32c(data));
  }
  void Put(const ArtifactFile& which, const std::string& content) {
    Upload upload = Open(which);
    REQUIRE(Append(upload, 0, content).ok());
    REQUIRE(upload.Finish(Sha256Of(content)).ok());
  }
  std::string Get(const ArtifactFile& which, int64_t offset = 0) {
    ArtifactReader reader = store.OpenRead(which, offset).value();
    std::string content(static_cast<size_t>(reader.size() - offset), '\0');
    REQUIRE(reader.Read(content).value() == content.size());
    char more = 0;
    CHECK(reader.Read({&more, 1}).value() == 0);
    return content;
  }

  TemporaryDirectory directory;
  DataDir data_dir = DataDir::Open(directory / "data").value();
  ArtifactStore store{data_dir.FoldersOf("")};
  const ArtifactFile file{"id", "sub/model.safetensors"};
};

TEST_CASE_METHOD(StoreFixture,
                 "a file arrives in chunks, is finished, and is read from any offset") {
  const std::string name = "artifacts/id/files/sub/model.safetensors";
  CHECK_THAT(store.QueryWriteStatus(file).status(), IsStatus(Code::kNotFound, {name}));
  {
    Upload upload = Open(file);
    REQUIRE(Append(upload, 0, "hello ").ok());
    REQUIRE(Append(upload, 6, "").ok());
    CHECK(store.QueryWriteStatus(file)->committed_size == 6);
    CHECK_FALSE(store.QueryWriteStatus(file)->complete);
    CHECK_THAT(store.OpenRead(file, 0).status(), IsStatus(Code::kNotFound, {name, "not finished"}));
    REQUIRE(Append(upload, 6, "world").ok());
    REQUIRE(upload.Finish(Sha256Of("hello world")).ok());
  }
  CHECK(store.QueryWriteStatus(file)->committed_size == 11);
  CHECK(store.QueryWriteStatus(file)->complete);
  CHECK(Get(file) == "hello world");
  CHECK(Get(file, 6) == "world");
  CHECK(Get(file, 11).empty());
  for (const int64_t offset : {int64_t{-1}, int64_t{12}}) {
    CHECK_THAT(store.OpenRead(file, offset).status(),
               IsStatus(Code::kOutOfRange, {name, std::to_string(offset), "11"}));
  }
  CHECK(ListTree(data_dir.FoldersOf("").uploads()).empty());
}

TEST_CASE_METHOD(StoreFixture, "a directory that is gone is the server's loss, not its owner's") {
  CHECK(absl::IsNotFound(store.Content("id").status()));
  const std::string artifacts = data_dir.FoldersOf("").artifacts();
  std::filesystem::rename(artifacts, artifacts + ".aside");
  for (const absl::Status& status :
       {store.Content("id").status(), store.OpenRead(file, 0).status(),
        store.QueryWriteStatus(file).status(), store.CheckpointPath("artifacts/id").status(),
        store.ListIds("", 10).status(), store.Delete("id", {})}) {
    CHECK_THAT(status, IsStatus(Code::kUnavailable, {"mount"}));
    CHECK(ReasonOf(status) == "STORE_MISSING");
  }
  std::filesystem::create_directory(artifacts);  // as an empty place of a disk
  CHECK(ReasonOf(store.OpenRead(file, 0).status()) == "STORE_MISSING");
  std::filesystem::remove(artifacts);
  std::filesystem::rename(artifacts + ".aside", artifacts);
  CHECK(absl::IsNotFound(store.OpenRead(file, 0).status()));
}

TEST_CASE_METHOD(StoreFixture, "paths of the store are told as its names, others as they are") {
  const std::string folder = data_dir.FoldersOf("").path();
  CHECK(store.WithoutFolder(folder + "/artifacts/id/m: x") == "artifacts/id/m: x");
  CHECK(store.WithoutFolder("cannot move '" + folder + "/uploads/id/m' to " + folder +
                            "/artifacts/id/m") == "cannot move 'uploads/id/m' to artifacts/id/m");
  for (const std::string& other :
       {std::string(), folder, folder + "/artifacts", folder + "/artifactsid",
        "/mnt" + folder + "/artifacts/id", std::string("s3://b/artifacts/id")}) {
    CHECK(store.WithoutFolder(other) == other);
  }
}

TEST_CASE_METHOD(StoreFixture, "an upload that broke off goes on where it stopped") {
  {
    Upload upload = Open(file);
    REQUIRE(Append(upload, 0, "hello ").ok());
  }
  Upload upload = Open(file);
  CHECK(upload.committed_size() == 6);
  REQUIRE(Append(upload, 6, "world").ok());
  REQUIRE(upload.Finish(Sha256Of("hello world")).ok());
  CHECK(Get(file) == "hello world");
}

TEST_CASE_METHOD(StoreFixture, "a chunk at another offset is refused and changes nothing") {
  Upload upload = Open(file);
  REQUIRE(Append(upload, 0, "abc").ok());
  for (const int64_t offset : {int64_t{-1}, int64_t{0}, int64_t{2}, int64_t{4}}) {
    CHECK_THAT(Append(upload, offset, "x"),
               IsStatus(Code::kOutOfRange, {std::to_string(offset), "3", file.path}));
  }
  CHECK(upload.committed_size() == 3);
  REQUIRE(upload.Finish(Sha256Of("abc")).ok());
}

TEST_CASE_METHOD(StoreFixture, "chunks of up to 2 MiB") {
  Upload upload = Open(file);
  const std::string limit(static_cast<size_t>(kMaxChunkBytes), 'x');
  REQUIRE(Append(upload, 0, limit.substr(1)).ok());
  REQUIRE(Append(upload, kMaxChunkBytes - 1, limit).ok());
  CHECK_THAT(Append(upload, 2 * kMaxChunkBytes - 1, limit + "x"),
             IsStatus(Code::kInvalidArgument, {"2097153", "2097152", file.path}));
  CHECK(store.QueryWriteStatus(file)->committed_size == 2 * kMaxChunkBytes - 1);
}

TEST_CASE_METHOD(StoreFixture, "a damaged chunk is not appended") {
  Upload upload = Open(file);
  const absl::Status status = upload.Append(0, "abc", checksum::Crc32c("abd"));
  CHECK_THAT(status, IsStatus(Code::kDataLoss, {file.path, "offset 0", "CRC-32C"}));
  CHECK(ReasonOf(status) == "CHECKSUM_MISMATCH");
  CHECK(store.QueryWriteStatus(file)->committed_size == 0);
  REQUIRE(Append(upload, 0, "abc").ok());
  REQUIRE(upload.Finish(Sha256Of("abc")).ok());
}

TEST_CASE_METHOD(StoreFixture, "a file with another SHA-256 is thrown away") {
  const bool resumed = GENERATE(false, true);
  std::optional<Upload> upload(Open(file));
  REQUIRE(Append(*upload, 0, "abc").ok());
  if (resumed) {
    upload.reset();
    upload.emplace(Open(file));
  }
  CHECK_THAT(upload->Finish(Sha256Of("abd")),
             IsStatus(Code::kDataLoss, {file.path, Sha256Of("abc"), Sha256Of("abd")}));
  CHECK(absl::IsNotFound(store.QueryWriteStatus(file).status()));
  CHECK(ListTree(data_dir.path()).count("artifacts/id") == 0);
  CHECK(Open(file).committed_size() == 0);
}

TEST_CASE_METHOD(StoreFixture, "a sum that is none does not end the upload") {
  Upload upload = Open(file);
  REQUIRE(Append(upload, 0, "abc").ok());
  for (const std::string& bad :
       {std::string(), std::string("abc"), std::string(64, 'g'), Sha256Of("abc") + "0"}) {
    CHECK_THAT(upload.Finish(bad), IsStatus(Code::kInvalidArgument, {file.path, "64 hex"}));
  }
  std::string upper = Sha256Of("abc");
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  CHECK(upload.Finish(upper).ok());
}

TEST_CASE_METHOD(StoreFixture, "one writer at a time; a finished file has none") {
  std::optional<Upload> first(Open(file));
  CHECK_THAT(store.OpenUpload(file).status(), IsStatus(Code::kAborted, {file.path, "another"}));
  CHECK(store.OpenUpload({"id", "other"}).ok());
  CHECK(store.OpenUpload({"id2", file.path}).ok());
  first.reset();
  Put(file, "abc");
  CHECK_THAT(store.OpenUpload(file).status(),
             IsStatus(Code::kFailedPrecondition, {file.path, "finished"}));
}

TEST_CASE_METHOD(StoreFixture, "an empty file") {
  Upload upload = Open(file);
  REQUIRE(upload.Finish(Sha256Of("")).ok());
  CHECK(Get(file).empty());
}

TEST_CASE_METHOD(StoreFixture, "a path cannot be a file and a directory") {
  Put({"id", "a"}, "x");
  Upload below = Open({"id", "a/b"});
  REQUIRE(Append(below, 0, "y").ok());
  CHECK_THAT(below.Finish(Sha256Of("y")), IsStatus(Code::kInvalidArgument, {"id/a"}));
  Upload partial = Open({"id", "c"});
  CHECK_THAT(store.OpenUpload({"id", "c/d"}).status(), IsStatus(Code::kInvalidArgument, {"id/c"}));
}

TEST_CASE_METHOD(StoreFixture, "a job's result takes no uploads") {
  WriteText(store.ResultPath("id") + "/.seedlm-result", "");
  CHECK_THAT(store.OpenUpload(file).status(),
             IsStatus(Code::kFailedPrecondition, {file.path, "result of a job"}));
}

TEST_CASE_METHOD(StoreFixture, "nothing is uploaded under the id of a result to come") {
  const ArtifactFile intruder{"job", "model.safetensors"};
  const std::string result = store.ResultPath("job");
  const auto refused = IsStatus(Code::kFailedPrecondition, {"artifacts/job", "result of a job"});
  Upload early = Open(intruder);  // of somebody who guessed the id
  REQUIRE(Append(early, 0, "x").ok());
  {
    const ResultReservation reservation = store.ReserveResult("job", 0);
    CHECK_THAT(store.OpenUpload({"job", "other"}).status(), refused);
    SECTION("a file that was begun before is not finished into it") {
      CHECK_THAT(early.Finish(Sha256Of("x")), refused);
      CHECK_FALSE(std::filesystem::exists(result));
    }
    SECTION("nor after it was committed") {
      WriteText(result + "/" + std::string(kResultMarker), "");
    }
    CHECK(store.OpenUpload({"another", "other"}).ok());
  }
  if (std::filesystem::exists(result)) {
    CHECK_THAT(early.Finish(Sha256Of("x")), refused);
    CHECK(ListTree(result) == std::set<std::string>{std::string(kResultMarker)});
  } else {
    CHECK(store.OpenUpload({"job", "other"}).ok());  // the job failed: the id is free again
  }
}

TEST_CASE_METHOD(StoreFixture, "a name that cannot be synced is a warning: the file is finished") {
  std::vector<std::string> warnings;
  ArtifactStore shaky(
      data_dir.FoldersOf(""), [&](const std::string& message) { warnings.push_back(message); },
      [](const std::string&) { return absl::InternalError("the disk does not answer"); });
  Upload upload = shaky.OpenUpload(file).value();
  REQUIRE(Append(upload, 0, "abc").ok());
  CHECK(upload.Finish(Sha256Of("abc")).ok());
  REQUIRE(warnings.size() == 1);
  CHECK_THAT(warnings[0], Catch::Contains("sub/model.safetensors") &&
                              Catch::Contains("the disk does not answer"));
  CHECK(shaky.QueryWriteStatus(file)->complete);
}

TEST_CASE_METHOD(StoreFixture, "the checkpoint of an artifact is its one file, or its directory") {
  CHECK_THAT(store.CheckpointPath("artifacts/id").status(),
             IsStatus(Code::kNotFound, {"artifacts/id"}));
  CHECK_THAT(store.CheckpointPath("artifacts/../x").status(),
             IsStatus(Code::kInvalidArgument, {"artifacts/../x"}));
  Put({"id", "model.safetensors"}, "x");
  CHECK(store.CheckpointPath("artifacts/id").value() ==
        store.ResultPath("id") + "/model.safetensors");
  {
    Upload upload = Open({"id", "config.json"});
    CHECK_THAT(
        store.CheckpointPath("artifacts/id").status(),
        IsStatus(Code::kFailedPrecondition, {"artifacts/id", "config.json", "not finished"}));
    REQUIRE(Append(upload, 0, "{}").ok());
    REQUIRE(upload.Finish(Sha256Of("{}")).ok());
  }
  CHECK(store.CheckpointPath("artifacts/id").value() == store.ResultPath("id"));
}

TEST_CASE_METHOD(StoreFixture, "a chunk that the disk does not take is not appended at all") {
  Upload upload = Open(file);
  REQUIRE(Append(upload, 0, std::string(900, 'a')).ok());
  absl::Status status;
  {
    const FileSizeLimit limit(1000);  // the write stops in the middle of the chunk
    status = Append(upload, 900, std::string(200, 'b'));
  }
  CHECK_THAT(status, IsStatus(Code::kResourceExhausted, {file.path}));
  CHECK(store.QueryWriteStatus(file)->committed_size == 900);
  REQUIRE(Append(upload, 900, "c").ok());
  CHECK(upload.Finish(Sha256Of(std::string(900, 'a') + "c")).ok());
}

}  // namespace
}  // namespace seedlm::server
