// A server that is killed at every step of the protocol that makes work durable, and the one that
// goes on: the same bytes as of an undisturbed run, no shard lost, none told of twice, and no more
// done again than was in flight.
#include <catch2/catch.hpp>
#include <map>
#include <string>
#include <vector>

#include "kernels/checksum/crc32c.h"
#include "server/jobs/sqlite.h"
#include "server/storage/s3/signature_v4.h"
#include "tests/server/kill_fixture.h"
#include "tests/server/schema_1.h"

namespace seedlm::server {
namespace {

const std::map<std::string, std::string>& UndisturbedTree() {
  static const std::map<std::string, std::string> tree = [] {
    KillFixture fixture;
    fixture.Run({});
    CHECK(fixture.Count("shard.encoded") == kShards);
    return Tree(fixture.root() / "out");
  }();
  return tree;
}

void CheckOutput(const KillFixture& fixture, int servers) {
  CHECK(Tree(fixture.root() / "out") == UndisturbedTree());
  CHECK(fixture.Count("shard.encoded") >= kShards);
  CHECK(fixture.Count("shard.encoded") <= kShards + (servers - 1) * kInFlight);
  for (const auto& entry : fs::directory_iterator(fixture.root())) {
    CHECK_FALSE(entry.path().filename().string().starts_with('.'));  // nothing staged is left
  }
}

TEST_CASE("killed at any step, the job comes to the same end") {
  const Kill deadly = GENERATE(
      Kill{"open.running"}, Kill{"open.begun"}, Kill{"open.staged"}, Kill{"shard.encoded", 1},
      Kill{"shard.encoded", 5}, Kill{"shard.encoded", kShards}, Kill{"work.written", 1},
      Kill{"work.written", 4}, Kill{"work.synced", 1}, Kill{"work.synced", 6},
      Kill{"work.recorded", 1}, Kill{"work.recorded", 3}, Kill{"work.recorded", 8},
      Kill{"commit.synced"}, Kill{"commit.copied"}, Kill{"commit.summed"}, Kill{"commit.intended"},
      Kill{"commit.published"}, Kill{"end.storing"}, Kill{"end.stored"});
  INFO(deadly.step << " " << deadly.count);
  KillFixture fixture;
  const v1::Job job = fixture.Run({deadly});
  CHECK(job.output_files_size() == 2);
  CheckOutput(fixture, 2);
}

TEST_CASE("killed again and again, it gets on") {
  KillFixture fixture;
  const std::vector<Kill> kills = {{"shard.encoded", 3}, {"work.synced", 2},   {"open.staged"},
                                   {"work.recorded", 2}, {"commit.summed"},    {"commit.intended"},
                                   {"open.running"},     {"commit.published"}, {"open.running"}};
  const v1::Job job = fixture.Run(kills);
  CHECK(job.attempt() == static_cast<int>(kills.size()) + 1);
  CheckOutput(fixture, static_cast<int>(kills.size()) + 1);
}

TEST_CASE("a managed result is published once, too") {
  const Kill deadly = GENERATE(Kill{"work.recorded", 5}, Kill{"commit.intended"},
                               Kill{"commit.published"}, Kill{"end.storing"});
  INFO(deadly.step);
  KillFixture fixture;
  const v1::Job job = fixture.Run({deadly}, {.managed = true});
  std::map<std::string, std::string> files =
      Tree(fixture.folder() / "data" / job.output_artifact());
  CHECK(files.erase(".seedlm-result") == 1);
  CHECK(files == UndisturbedTree());
}

TEST_CASE("a deletion that is killed is finished by the next server") {
  const Kill deadly = GENERATE(Kill{"delete.begun"}, Kill{"delete.removed"});
  INFO(deadly.step);
  KillFixture fixture;
  const v1::Job job = fixture.Run({}, {.managed = true});
  v1::DeleteJobRequest request;
  request.set_name(job.name());
  google::protobuf::Empty empty;
  grpc::Status status;
  {
    FaultServer server(fixture.folder(), deadly, fixture.commit);
    CHECK_FALSE(server.Call(&v1::CompressionService::Stub::DeleteJob, request, &empty, &status));
    CHECK(server.DiedOfKill());
  }
  FaultServer server(fixture.folder(), {}, fixture.commit);
  REQUIRE(server.Call(&v1::CompressionService::Stub::DeleteJob, request, &empty, &status));
  CHECK(status.error_code() == grpc::StatusCode::NOT_FOUND);
  CHECK_FALSE(fs::exists(fixture.folder() / "data" / job.output_artifact()));
}

// Sends what is missing of a file, and finishes it; false: the server died meanwhile.
bool Upload(FaultServer& server, const std::string& name, const std::string& data) {
  constexpr size_t kChunk = 50'000;
  v1::QueryWriteStatusRequest query;
  query.set_resource_name(name);
  v1::QueryWriteStatusResponse written;
  grpc::Status status;
  REQUIRE(server.Call(&v1::ArtifactService::Stub::QueryWriteStatus, query, &written, &status));
  REQUIRE((status.ok() || status.error_code() == grpc::StatusCode::NOT_FOUND));
  if (written.complete()) return true;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kPatience);
  v1::WriteArtifactResponse response;
  const auto stream = server.artifacts().WriteArtifact(&context, &response);
  auto offset = static_cast<size_t>(written.committed_size());
  v1::WriteArtifactRequest chunk;
  chunk.set_resource_name(name);
  for (bool open = true; open && !chunk.finish();) {
    chunk.set_offset(static_cast<int64_t>(offset));
    chunk.set_data(data.substr(offset, kChunk));
    chunk.set_crc32c(checksum::Crc32c(chunk.data()));
    offset += chunk.data().size();
    if (offset == data.size()) {
      chunk.set_finish(true);
      chunk.set_sha256(s3::Sha256Hex(data));
    }
    open = stream->Write(chunk);
  }
  stream->WritesDone();
  status = stream->Finish();
  if (status.ok()) return true;
  INFO(status.error_message());
  REQUIRE(status.error_code() == grpc::StatusCode::UNAVAILABLE);
  for (int i = 0; i < 1000 && !server.Died(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return false;
}

TEST_CASE("killed at any step of an upload, it goes on where it was and is finished once") {
  const Kill deadly =
      GENERATE(Kill{"upload.written", 1}, Kill{"upload.written", 3}, Kill{"upload.written", 5},
               Kill{"upload.synced"}, Kill{"upload.renamed"}, Kill{"upload.finished"});
  INFO(deadly.step << " " << deadly.count);
  constexpr int kChunks = 5;
  KillFixture fixture;
  const std::string name = "artifacts/a/files/sub/model.bin";
  std::string data;
  for (int i = 0; data.size() < 201'000; ++i) data += std::to_string(i);
  {
    FaultServer server(fixture.folder(), deadly, fixture.commit);
    CHECK_FALSE(Upload(server, name, data));
    REQUIRE(server.DiedOfKill());
  }
  FaultServer server(fixture.folder(), {}, fixture.commit);
  REQUIRE(Upload(server, name, data));
  CHECK(fixture.Count("upload.written") <= kChunks + 1);  // none twice; one without data may close
  CHECK(ReadWholeFile(fixture.folder() / "data/artifacts/a/sub/model.bin") == data);
  // Nothing of it is arriving any more: a job may read it.
  v1::ListArtifactsResponse list;
  grpc::Status status;
  REQUIRE(server.Call(&v1::ArtifactService::Stub::ListArtifacts, v1::ListArtifactsRequest(), &list,
                      &status));
  REQUIRE(list.artifacts_size() == 1);
  CHECK(list.artifacts(0).file_count() == 1);
  CHECK(list.artifacts(0).arriving_files() == 0);
}

TEST_CASE("killed while CreateJob stores it, a job is made once") {
  const Kill deadly = GENERATE(Kill{"create.checked"}, Kill{"create.inserted"});
  INFO(deadly.step);
  KillFixture fixture;
  const v1::Job job = fixture.Run({deadly});
  CHECK(job.attempt() == 1);
  CheckOutput(fixture, 1);
}

TEST_CASE("killed as in production, where small pieces are recorded together") {
  const Kill deadly = GENERATE(Kill{"shard.encoded", 5}, Kill{"work.recorded", 1});
  INFO(deadly.step);
  KillFixture fixture;
  fixture.commit = std::chrono::milliseconds(100);
  fixture.Run({deadly});
  CHECK(Tree(fixture.root() / "out") == UndisturbedTree());
  CHECK(fixture.Count("shard.encoded") <= 2 * kShards);  // these all take less than 0.1 s
}

TEST_CASE("killed as in production, shards of 0.1 s and more run again only if they ran",
          "[.][slow]") {
  KillFixture fixture;
  fixture.commit = std::chrono::milliseconds(100);
  fixture.Run({{"shard.encoded", 6}}, {.backend = "reference"});  // half a second each
  CheckOutput(fixture, 2);
}

TEST_CASE("killed while it takes up what a killed server left, the next one does") {
  KillFixture fixture;
  const v1::Job job = fixture.Run({{"work.recorded", 4}, {"recover.queued"}});
  CHECK(job.attempt() == 2);  // the second came to nothing
  CheckOutput(fixture, 2);
}

TEST_CASE("killed while it resumes a job, the job goes on, with what was done") {
  KillFixture fixture;
  const v1::CreateJobRequest request = fixture.Request();
  {
    FaultServer server(fixture.folder(), {"work.recorded", 5}, fixture.commit);
    KillFixture::RunOn(server, request);
    REQUIRE(server.DiedOfKill());
  }
  fs::create_directory(fixture.root() / "out");  // of somebody else: the next attempt fails
  {
    FaultServer server(fixture.folder(), {"resume.queued"}, fixture.commit);
    v1::Job job = KillFixture::RunOn(server, request);
    REQUIRE(job.state() == v1::JOB_STATE_FAILED);
    fs::remove(fixture.root() / "out");
    v1::ResumeJobRequest resume;
    resume.set_name(job.name());
    grpc::Status status;
    CHECK_FALSE(server.Call(&v1::CompressionService::Stub::ResumeJob, resume, &job, &status));
    CHECK(server.DiedOfKill());
  }
  CHECK(fixture.Run({}).attempt() == 3);
  CheckOutput(fixture, 2);
}

TEST_CASE("killed while it deletes an artifact, nothing of it is left once it is asked again") {
  const Kill deadly = GENERATE(Kill{"artifact.hidden"}, Kill{"artifact.gone"},
                               Kill{"artifact.removed", 1}, Kill{"artifact.removed", 2});
  INFO(deadly.step << " " << deadly.count);
  const KillFixture fixture;
  const fs::path data = fixture.folder() / "data";
  for (const char* file : {"artifacts/a/sub/finished", "uploads/a/sub/arriving"}) {
    fs::create_directories((data / file).parent_path());
    std::ofstream(data / file) << "x";
  }
  v1::DeleteArtifactRequest request;
  request.set_name("artifacts/a");
  google::protobuf::Empty empty;
  grpc::Status status;
  {
    FaultServer server(fixture.folder(), deadly, fixture.commit);
    CHECK_FALSE(server.Call(&v1::ArtifactService::Stub::DeleteArtifact, request, &empty, &status));
    CHECK(server.DiedOfKill());
  }
  FaultServer server(fixture.folder(), {}, fixture.commit);
  REQUIRE(server.Call(&v1::ArtifactService::Stub::DeleteArtifact, request, &empty, &status));
  const bool half = deadly.step == "artifact.hidden";  // what was arriving still is
  CHECK(status.error_code() == (half ? grpc::StatusCode::OK : grpc::StatusCode::NOT_FOUND));
  v1::ListArtifactsResponse list;
  REQUIRE(server.Call(&v1::ArtifactService::Stub::ListArtifacts, v1::ListArtifactsRequest(), &list,
                      &status));
  CHECK(list.artifacts_size() == 0);
  CHECK(fs::is_empty(data / "artifacts"));
  CHECK(fs::is_empty(data / "uploads"));
}

TEST_CASE("killed while it brings an older database up to date, the next one does, or it is") {
  const Kill deadly = GENERATE(Kill{"schema.step"}, Kill{"schema.made"}, Kill{"schema.committed"});
  INFO(deadly.step);
  const KillFixture fixture;
  fs::create_directory(fixture.folder() / "data");
  {
    auto database = Database::Open((fixture.folder() / "data/jobs.sqlite").string());
    REQUIRE(database.ok());
    REQUIRE(database->Execute(std::string(kSchema1) + kRows1).ok());
  }
  {
    FaultServer server(fixture.folder(), deadly, fixture.commit);
    REQUIRE(server.DiedOfKill());
  }
  FaultServer server(fixture.folder(), {}, fixture.commit);
  v1::GetJobRequest request;
  request.set_name("jobs/old");
  v1::Job job;
  grpc::Status status;
  REQUIRE(server.Call(&v1::CompressionService::Stub::GetJob, request, &job, &status));
  REQUIRE(status.ok());
  CHECK(job.state() == v1::JOB_STATE_SUCCEEDED);
  CHECK(job.output_files_size() == 1);
}

TEST_CASE("killed while it replaces an output, the old one or the new one is there, whole") {
  const Kill deadly = GENERATE(Kill{"commit.intended"}, Kill{"commit.published"});
  INFO(deadly.step);
  KillFixture fixture;
  fixture.Run({}, {.three_bits = true});
  const std::map<std::string, std::string> before = Tree(fixture.root() / "out");
  REQUIRE(before != UndisturbedTree());
  fixture.Run({deadly}, {.overwrite = true});
  CHECK(Tree(fixture.root() / "out") == UndisturbedTree());
  for (const auto& entry : fs::directory_iterator(fixture.root())) {
    CHECK_FALSE(entry.path().filename().string().starts_with('.'));
  }
}

}  // namespace
}  // namespace seedlm::server
