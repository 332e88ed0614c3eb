// ArtifactService over a real channel.
#include <catch2/catch.hpp>

#include "kernels/checksum/crc32c.h"
#include "tests/server/rpc_fixture.h"

namespace seedlm::server {
namespace {

constexpr char kResource[] = "artifacts/a-1/files/model.safetensors";

// Bytes that repeat in no short period.
std::string Data(size_t size) {
  std::string data(size, '\0');
  uint32_t state = 1;
  for (char& byte : data) {
    state = state * 1664525 + 1013904223;
    byte = static_cast<char>(state >> 24);
  }
  return data;
}

// One stream of hand-made messages.
grpc::Status Send(RpcFixture& fixture, const std::vector<v1::WriteArtifactRequest>& messages) {
  grpc::ClientContext context;
  v1::WriteArtifactResponse response;
  const auto writer = fixture.artifacts().WriteArtifact(&context, &response);
  for (const v1::WriteArtifactRequest& message : messages) {
    if (!writer->Write(message)) break;
  }
  writer->WritesDone();
  return writer->Finish();
}

v1::WriteArtifactRequest Chunk(const std::string& resource, int64_t offset,
                               const std::string& data) {
  v1::WriteArtifactRequest request;
  request.set_resource_name(resource);
  request.set_offset(offset);
  request.set_data(data);
  request.set_crc32c(checksum::Crc32c(data));
  return request;
}

int64_t Committed(RpcFixture& fixture, const std::string& resource = kResource) {
  v1::QueryWriteStatusResponse response;
  REQUIRE(fixture.Query(resource, &response).ok());
  CHECK_FALSE(response.complete());
  return response.committed_size();
}

TEST_CASE("upload, job, watch, read back: the bytes of a job on files") {
  RpcFixture fixture;
  WriteCheckpoint(fixture.root() / "in.safetensors", SmallTensors());
  const v1::Job on_files =
      fixture.Await(fixture.MustCreate(fixture.FileJob("in.safetensors", "out.safetensors")));
  REQUIRE(on_files.state() == v1::JOB_STATE_SUCCEEDED);

  v1::WriteArtifactResponse written;
  const std::string source = ReadWholeFile(fixture.root() / "in.safetensors");
  REQUIRE(fixture.Upload({kResource, source, 10'000}, &written).ok());
  CHECK(written.committed_size() == static_cast<int64_t>(source.size()));
  v1::CreateJobRequest request;
  request.mutable_job()->mutable_source()->set_artifact("artifacts/a-1");
  request.mutable_job()->mutable_destination()->set_managed(true);
  const v1::Job managed = fixture.Await(fixture.MustCreate(request));
  REQUIRE(managed.state() == v1::JOB_STATE_SUCCEEDED);
  REQUIRE(managed.output_files_size() == 1);

  const std::string result = managed.output_artifact() + "/files/" + managed.output_files(0).path();
  std::string read;
  REQUIRE(fixture.Download(result, 0, &read).ok());
  CHECK(read == ReadWholeFile(fixture.root() / "out.safetensors"));
  CHECK(managed.output_files(0).sha256() == on_files.output_files(0).sha256());

  // A result takes no uploads.
  CHECK(fixture.Upload({managed.output_artifact() + "/files/more", "x"}, &written).error_code() ==
        grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_CASE("files of any size come back as they went") {
  RpcFixture fixture;
  for (const size_t size : {size_t{0}, size_t{1}, (size_t{1} << 20) - 1, size_t{1} << 20,
                            (size_t{1} << 20) + 1, size_t{5} << 20}) {
    const std::string resource = "artifacts/sizes/files/d/" + std::to_string(size);
    const std::string data = Data(size);
    v1::WriteArtifactResponse written;
    REQUIRE(fixture.Upload({resource, data, size_t{2} << 20}, &written).ok());
    CHECK(written.committed_size() == static_cast<int64_t>(size));
    v1::QueryWriteStatusResponse status;
    REQUIRE(fixture.Query(resource, &status).ok());
    CHECK(status.complete());
    CHECK(status.committed_size() == static_cast<int64_t>(size));
    for (const size_t offset : {size_t{0}, size / 2, size}) {
      std::string read;
      REQUIRE(fixture.Download(resource, static_cast<int64_t>(offset), &read).ok());
      CHECK(read == data.substr(offset));
    }
  }
}

TEST_CASE("an upload that has no room is refused before it fills the disk") {
  RpcFixture fixture([](ServerOptions& options) { options.max_owner_bytes = 1'000'000; });
  v1::WriteArtifactRequest first = Chunk(kResource, 0, Data(100));
  const auto refused = [&](int64_t to_come) {
    first.set_bytes_to_come(to_come);
    return Send(fixture, {first});
  };
  CHECK(refused(-1).error_code() == grpc::StatusCode::INVALID_ARGUMENT);
  CHECK(Explain(refused(std::numeric_limits<int64_t>::max())).info.reason() == "OWNER_BYTES");
  const grpc::Status owner = refused(1'000'001);
  CHECK(owner.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  CHECK(Explain(owner).info.reason() == "OWNER_BYTES");
  v1::QueryWriteStatusResponse status;
  CHECK(fixture.Query(kResource, &status).error_code() == grpc::StatusCode::NOT_FOUND);
  CHECK(refused(1'000'000).error_code() == grpc::StatusCode::INVALID_ARGUMENT);  // no finish
  CHECK(Committed(fixture) == 100);

  RpcFixture unlimited;
  first.set_bytes_to_come(int64_t{1} << 60);
  const grpc::Status disk = Send(unlimited, {first});
  CHECK(disk.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED);
  CHECK(disk.error_message().find("needs 1152921504606846976 bytes, the disk has ") !=
        std::string::npos);
  CHECK(unlimited.Query(kResource, &status).error_code() == grpc::StatusCode::NOT_FOUND);
}

TEST_CASE("an upload goes on where a broken stream left it") {
  RpcFixture fixture;
  const std::string data = Data(300'000);
  {
    grpc::ClientContext context;
    v1::WriteArtifactResponse response;
    const auto writer = fixture.artifacts().WriteArtifact(&context, &response);
    REQUIRE(writer->Write(Chunk(kResource, 0, data.substr(0, 100'000))));
    v1::QueryWriteStatusResponse status;
    while (!fixture.Query(kResource, &status).ok() || status.committed_size() < 100'000) {
    }
    context.TryCancel();
    CHECK(writer->Finish().error_code() == grpc::StatusCode::CANCELLED);
  }
  fixture.Restart();  // not even that loses it
  CHECK(Committed(fixture) == 100'000);

  v1::WriteArtifactResponse written;
  const grpc::Status again = fixture.Upload({kResource, data, 50'000, 0}, &written);
  CheckError(again, grpc::StatusCode::OUT_OF_RANGE, "OFFSET_MISMATCH");
  CHECK(Explain(again).info.metadata().at("committed_size") == "100000");
  REQUIRE(fixture.Upload({kResource, data, 50'000, 100'000}, &written).ok());
  std::string read;
  REQUIRE(fixture.Download(kResource, 0, &read).ok());
  CHECK(read == data);
}

TEST_CASE("a stream that ends without finish keeps what came, and says how much") {
  RpcFixture fixture;
  const std::string data = Data(1000);
  v1::WriteArtifactResponse written;
  const grpc::Status status = fixture.Upload({kResource, data, 400, 0, false}, &written);
  CheckError(status, grpc::StatusCode::INVALID_ARGUMENT, "FIELD_INVALID");
  CHECK(Contains(status.error_message(), "1000 bytes without finish"));
  CHECK(Committed(fixture) == 1000);
  // It is no source and no download before it is finished.
  std::string read;
  CHECK(fixture.Download(kResource, 0, &read).error_code() == grpc::StatusCode::NOT_FOUND);
  v1::CreateJobRequest request;
  request.mutable_job()->mutable_source()->set_artifact("artifacts/a-1");
  request.mutable_job()->mutable_destination()->set_managed(true);
  v1::Job job;
  const grpc::Status created = fixture.Create(request, &job);
  CheckError(created, grpc::StatusCode::FAILED_PRECONDITION, "UPLOAD_UNFINISHED");
  CHECK(Contains(created.error_message(), "model.safetensors"));
  // A closing message without data finishes it.
  REQUIRE(fixture.Upload({kResource, data, 400, 1000}, &written).ok());
}

TEST_CASE("a flipped bit is caught, and what was good stays") {
  RpcFixture fixture;
  const std::string data = Data(2000);
  v1::WriteArtifactRequest flipped = Chunk("", 1000, data.substr(1000));
  (*flipped.mutable_data())[500] ^= 1;
  const grpc::Status status = Send(fixture, {Chunk(kResource, 0, data.substr(0, 1000)), flipped});
  CheckError(status, grpc::StatusCode::DATA_LOSS, "CHECKSUM_MISMATCH");
  CHECK(Explain(status).info.metadata().at("committed_size") == "1000");
  CHECK(Committed(fixture) == 1000);
  v1::WriteArtifactResponse written;
  CHECK(fixture.Upload({kResource, data, 1000, 1000}, &written).ok());
}

TEST_CASE("a wrong SHA-256 throws the file away") {
  RpcFixture fixture;
  v1::WriteArtifactRequest message = Chunk(kResource, 0, "abc");
  message.set_finish(true);
  message.set_sha256(std::string(64, '0'));
  const grpc::Status wrong = Send(fixture, {message});
  CheckError(wrong, grpc::StatusCode::DATA_LOSS, "CHECKSUM_MISMATCH");
  CHECK(Explain(wrong).info.metadata().count("committed_size") == 0);  // nothing is
  v1::QueryWriteStatusResponse status;
  CHECK(fixture.Query(kResource, &status).error_code() == grpc::StatusCode::NOT_FOUND);
  v1::WriteArtifactResponse written;
  CHECK(fixture.Upload({kResource, "abc"}, &written).ok());
}

TEST_CASE("finish needs a SHA-256") {
  RpcFixture fixture;
  v1::WriteArtifactRequest message = Chunk(kResource, 0, "abc");
  message.set_finish(true);
  message.set_sha256("abc");
  const grpc::Status status = Send(fixture, {message});
  CHECK(status.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_CASE("malformed streams are refused, and nothing is made") {
  RpcFixture fixture;
  v1::QueryWriteStatusResponse query;
  SECTION("an empty stream") {
    const grpc::Status status = Send(fixture, {});
    CheckError(status, grpc::StatusCode::INVALID_ARGUMENT, "FIELD_INVALID");
    CHECK(Contains(status.error_message(), "empty"));
  }
  SECTION("names that are none") {
    for (const std::string name :
         {"", "artifacts/a", "artifacts/a/files/", "artifacts//files/x", "artifacts/a/files/../x",
          "artifacts/a/files/x/../../y", "artifacts/../files/x", "artifacts/a/files//x",
          "artifacts/a/files/./x", "jobs/a/files/x", "/etc/passwd", "artifacts/a/files/a\nb"}) {
      INFO(name);
      CHECK(Send(fixture, {Chunk(name, 0, "x")}).error_code() ==
            grpc::StatusCode::INVALID_ARGUMENT);
      CHECK(fixture.Query(name, &query).error_code() == grpc::StatusCode::INVALID_ARGUMENT);
      std::string read;
      CHECK(fixture.Download(name, 0, &read).error_code() == grpc::StatusCode::INVALID_ARGUMENT);
    }
  }
  SECTION("a chunk of one byte too many") {
    const grpc::Status status = Send(fixture, {Chunk(kResource, 0, Data((2 << 20) + 1))});
    CHECK(status.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
    CHECK(Explain(status).info.metadata().at("committed_size") == "0");
  }
  SECTION("a message over the limit of the transport") {
    CHECK(Send(fixture, {Chunk(kResource, 0, Data(5 << 20))}).error_code() ==
          grpc::StatusCode::RESOURCE_EXHAUSTED);
  }
  SECTION("two files in one stream") {
    const grpc::Status status =
        Send(fixture, {Chunk(kResource, 0, "x"), Chunk("artifacts/a-1/files/other", 1, "x")});
    CheckError(status, grpc::StatusCode::INVALID_ARGUMENT, "FIELD_INVALID");
    CHECK(Contains(status.error_message(), "artifacts/a-1/files/other"));
  }
  SECTION("a gap") {
    CheckError(Send(fixture, {Chunk(kResource, 0, "x"), Chunk("", 2, "x")}),
               grpc::StatusCode::OUT_OF_RANGE, "OFFSET_MISMATCH");
    CHECK(Committed(fixture) == 1);
  }
  SECTION("negative offsets") {
    CHECK(Send(fixture, {Chunk(kResource, -1, "x")}).error_code() ==
          grpc::StatusCode::OUT_OF_RANGE);
  }
}

TEST_CASE("a finished file does not change") {
  RpcFixture fixture;
  v1::WriteArtifactResponse written;
  REQUIRE(fixture.Upload({kResource, "abc"}, &written).ok());
  const grpc::Status status = fixture.Upload({kResource, "abd"}, &written);
  CheckError(status, grpc::StatusCode::FAILED_PRECONDITION, "ARTIFACT_FINISHED");
  std::string read;
  REQUIRE(fixture.Download(kResource, 0, &read).ok());
  CHECK(read == "abc");
}

TEST_CASE("one stream writes a file at a time; the next may at once when it has ended") {
  RpcFixture fixture;
  grpc::ClientContext context;
  v1::WriteArtifactResponse response;
  const auto writer = fixture.artifacts().WriteArtifact(&context, &response);
  REQUIRE(writer->Write(Chunk(kResource, 0, "abc")));
  v1::QueryWriteStatusResponse query;
  while (!fixture.Query(kResource, &query).ok() || query.committed_size() < 3) {
  }
  const grpc::Status busy = Send(fixture, {Chunk(kResource, 3, "d")});
  CheckError(busy, grpc::StatusCode::ABORTED, "UPLOAD_BUSY");
  CHECK(Explain(busy).has_retry);
  writer->WritesDone();
  CHECK(writer->Finish().error_code() == grpc::StatusCode::INVALID_ARGUMENT);  // no finish
  v1::WriteArtifactResponse written;
  CHECK(fixture.Upload({kResource, "abcd", 10, 3}, &written).ok());
}

TEST_CASE("reading what is not there, or past its end") {
  RpcFixture fixture;
  std::string read;
  const grpc::Status missing = fixture.Download(kResource, 0, &read);
  CHECK(missing.error_code() == grpc::StatusCode::NOT_FOUND);
  CHECK(Contains(missing.error_message(), kResource));
  v1::QueryWriteStatusResponse query;
  CHECK(fixture.Query(kResource, &query).error_code() == grpc::StatusCode::NOT_FOUND);
  v1::WriteArtifactResponse written;
  REQUIRE(fixture.Upload({kResource, "abc"}, &written).ok());
  for (const int64_t offset : {int64_t{4}, int64_t{-1}, INT64_MAX, INT64_MIN}) {
    CHECK(fixture.Download(kResource, offset, &read).error_code() ==
          grpc::StatusCode::OUT_OF_RANGE);
  }
  CHECK(read.empty());
}

TEST_CASE("a reader that goes away leaves a server that works") {
  RpcFixture fixture;
  v1::WriteArtifactResponse written;
  REQUIRE(fixture.Upload({kResource, Data(20 << 20)}, &written).ok());
  for (int i = 0; i < 10; ++i) {
    grpc::ClientContext context;
    v1::ReadArtifactRequest request;
    request.set_resource_name(kResource);
    const auto reader = fixture.artifacts().ReadArtifact(&context, request);
    v1::ReadArtifactResponse chunk;
    REQUIRE(reader->Read(&chunk));
    context.TryCancel();
    CHECK(reader->Finish().error_code() == grpc::StatusCode::CANCELLED);
  }
  std::string read;
  REQUIRE(fixture.Download(kResource, 0, &read).ok());
  CHECK(read.size() == size_t{20} << 20);
}

}  // namespace
}  // namespace seedlm::server
