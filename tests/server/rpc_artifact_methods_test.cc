// ListArtifacts, DeleteArtifact and VerifyArtifact over a real channel.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>

#include "tests/server/rpc_fixture.h"

namespace seedlm::server {
namespace {

using Code = grpc::StatusCode;

class MethodsFixture : public RpcFixture {
 public:
  std::vector<v1::Artifact> List(int page_size = 0) {
    std::vector<v1::Artifact> all;
    v1::ListArtifactsRequest request;
    request.set_page_size(page_size);
    do {
      grpc::ClientContext context;
      v1::ListArtifactsResponse page;
      REQUIRE(artifacts().ListArtifacts(&context, request, &page).ok());
      if (page_size > 0) CHECK(page.artifacts_size() <= page_size);
      all.insert(all.end(), page.artifacts().begin(), page.artifacts().end());
      request.set_page_token(page.next_page_token());
    } while (!request.page_token().empty());
    return all;
  }
  grpc::Status Delete(const std::string& name) {
    grpc::ClientContext context;
    v1::DeleteArtifactRequest request;
    request.set_name(name);
    google::protobuf::Empty empty;
    return artifacts().DeleteArtifact(&context, request, &empty);
  }
  grpc::Status Verify(const std::string& name, v1::VerifyArtifactResponse* response,
                      std::optional<int> sample = std::nullopt) {
    grpc::ClientContext context;
    v1::VerifyArtifactRequest request;
    request.set_name(name);
    if (sample.has_value()) request.set_sample_blocks(*sample);
    return artifacts().VerifyArtifact(&context, request, response);
  }
  void MustUpload(const std::string& resource, const std::string& data, bool finish = true) {
    v1::WriteArtifactResponse written;
    const grpc::Status status = Upload({resource, data, 1 << 20, 0, finish}, &written);
    REQUIRE(status.ok() == finish);
  }
  // A job from an uploaded checkpoint to a managed result, which has succeeded.
  v1::Job Managed() {
    WriteCheckpoint(root() / "in.safetensors", SmallTensors());
    MustUpload("artifacts/source/files/model.safetensors",
               ReadWholeFile(root() / "in.safetensors"));
    v1::CreateJobRequest request;
    request.mutable_job()->mutable_source()->set_artifact("artifacts/source");
    request.mutable_job()->mutable_destination()->set_managed(true);
    v1::Job job = Await(MustCreate(request));
    REQUIRE(job.state() == v1::JOB_STATE_SUCCEEDED);
    return job;
  }
  // The one file of a result, on the server's disk.
  std::string ResultFile(const v1::Job& job) const {
    return options().data_dir + "/" + job.output_artifact() + "/" + job.output_files(0).path();
  }
};

TEST_CASE_METHOD(MethodsFixture, "ListArtifacts: uploads, results, and what is arriving") {
  CHECK(List().empty());
  const v1::Job job = Managed();
  MustUpload("artifacts/half/files/x", "12345", false);
  for (const int page_size : {0, 1, 2, 3}) {
    std::vector<v1::Artifact> all = List(page_size);
    REQUIRE(all.size() == 3);
    CHECK(std::is_sorted(all.begin(), all.end(),
                         [](const auto& a, const auto& b) { return a.name() < b.name(); }));
    for (const v1::Artifact& artifact : all) {
      CHECK(artifact.owner().empty());
      CHECK(artifact.create_time().seconds() > 1'700'000'000);
      if (artifact.name() == job.output_artifact()) {
        CHECK(artifact.create_time().seconds() == job.end_time().seconds());
      }
      if (artifact.name() == "artifacts/half") {
        CHECK(artifact.file_count() == 0);
        CHECK(artifact.arriving_files() == 1);
        CHECK(artifact.arriving_bytes() == 5);
      } else {
        REQUIRE(artifact.files_size() == 1);
        CHECK(artifact.file_count() == 1);
        CHECK(artifact.size() == artifact.files(0).size());
        const bool result = artifact.name() == job.output_artifact();
        CHECK(artifact.job() == (result ? job.name() : ""));
        CHECK(artifact.files(0).sha256() == (result ? job.output_files(0).sha256() : ""));
      }
    }
  }
  grpc::ClientContext context;
  v1::ListArtifactsRequest request;
  request.set_page_token("../../etc");
  v1::ListArtifactsResponse page;
  CheckError(artifacts().ListArtifacts(&context, request, &page), Code::INVALID_ARGUMENT,
             "FIELD_INVALID");
}

TEST_CASE_METHOD(MethodsFixture, "DeleteArtifact: gone, and its job stays") {
  const v1::Job job = Managed();
  CHECK(Delete(job.output_artifact()).ok());
  CheckError(Delete(job.output_artifact()), Code::NOT_FOUND, "NOT_FOUND");
  CheckError(Delete("artifacts/../x"), Code::INVALID_ARGUMENT, "FIELD_INVALID");
  std::string read;
  CHECK(Download(job.output_artifact() + "/files/" + job.output_files(0).path(), 0, &read)
            .error_code() == Code::NOT_FOUND);
  v1::Job still;
  REQUIRE(Get(job.name(), &still).ok());
  CHECK(still.state() == v1::JOB_STATE_SUCCEEDED);
}

TEST_CASE_METHOD(MethodsFixture, "DeleteArtifact: not while a job needs it") {
  WriteCheckpoint(root() / "slow.safetensors", SlowTensors());
  MustUpload("artifacts/slow/files/model.safetensors", ReadWholeFile(root() / "slow.safetensors"));
  v1::CreateJobRequest request;
  request.mutable_job()->mutable_source()->set_artifact("artifacts/slow");
  request.mutable_job()->mutable_destination()->set_managed(true);
  request.mutable_job()->mutable_spec()->set_backend("reference");
  const std::string name = MustCreate(request);
  v1::Job job = AwaitState(name, v1::JOB_STATE_RUNNING);
  for (const std::string& artifact : {std::string("artifacts/slow"), job.output_artifact()}) {
    const grpc::Status status = Delete(artifact);
    CheckError(status, Code::FAILED_PRECONDITION, "ARTIFACT_IN_USE");
    CHECK(Explain(status).info.metadata().at("job") == name);
  }
  REQUIRE(Cancel(name, &job).ok());
  Await(name);
  CHECK(Delete("artifacts/slow").ok());
}

TEST_CASE_METHOD(MethodsFixture, "VerifyArtifact: the figures of the job, nothing wrong") {
  const v1::Job job = Managed();
  v1::VerifyArtifactResponse checked;
  REQUIRE(Verify(job.output_artifact(), &checked).ok());
  CHECK(checked.problems_size() == 0);
  CHECK(checked.compared());
  CHECK(checked.files_summed() == 1);
  REQUIRE(checked.tensors_size() == 2);
  CHECK(checked.tensor_count() == 2);
  std::vector<v1::JobEvent> events;
  REQUIRE(Watch(job.name(), 0, {}, &events).ok());
  for (const v1::JobEvent& event : events) {
    if (!event.has_tensor()) continue;
    const auto same = std::find_if(
        checked.tensors().begin(), checked.tensors().end(),
        [&](const v1::TensorResult& tensor) { return tensor.name() == event.tensor().name(); });
    REQUIRE(same != checked.tensors().end());
    CHECK(same->relative_error() == Approx(event.tensor().relative_error()).epsilon(1e-6));
    CHECK(same->max_error() == Approx(event.tensor().max_error()).epsilon(1e-6));
  }
  CHECK(checked.relative_error() > 0);
}

TEST_CASE_METHOD(MethodsFixture, "VerifyArtifact: without its source it is checked on its own") {
  const v1::Job job = Managed();
  REQUIRE(Delete("artifacts/source").ok());
  v1::VerifyArtifactResponse checked;
  REQUIRE(Verify(job.output_artifact(), &checked).ok());
  CHECK(checked.problems_size() == 0);
  CHECK_FALSE(checked.compared());
  CHECK(checked.why_not_compared().find("artifacts/source") != std::string::npos);
  CHECK(checked.tensors_size() == 0);
  CHECK(checked.files_summed() == 1);
}

TEST_CASE_METHOD(MethodsFixture, "VerifyArtifact: not compared with what its source has become") {
  const std::filesystem::path source = root() / "in.safetensors";
  WriteCheckpoint(source, SmallTensors());
  v1::CreateJobRequest request = FileJob("in.safetensors", "-");
  request.mutable_job()->mutable_destination()->set_managed(true);
  const v1::Job job = Await(MustCreate(request));
  REQUIRE(job.state() == v1::JOB_STATE_SUCCEEDED);
  v1::VerifyArtifactResponse checked;
  REQUIRE(Verify(job.output_artifact(), &checked).ok());
  CHECK(checked.compared());
  CHECK(checked.why_not_compared().empty());

  std::string bytes = ReadWholeFile(source);
  SECTION("other weights of the same size") { bytes[bytes.size() - 1] ^= 1; }
  SECTION("the same weights, written again") {}  // nobody knows without reading all of it
  std::filesystem::remove(source);
  std::ofstream(source, std::ios::binary) << bytes;
  for (int start = 0; start < 2; ++start) {
    REQUIRE(Verify(job.output_artifact(), &checked).ok());
    CHECK(checked.problems_size() == 0);
    CHECK_FALSE(checked.compared());
    INFO(checked.why_not_compared());
    CHECK(checked.why_not_compared().find(source.string()) != std::string::npos);
    CHECK(checked.why_not_compared().find("has changed") != std::string::npos);
    CHECK(checked.tensors_size() == 0);
    CHECK(checked.files_summed() == 1);
    Restart();
  }
}

// Where a tensor's bytes begin in a safetensors file.
size_t OffsetOf(const std::string& file, const std::string& tensor) {
  uint64_t length = 0;
  std::memcpy(&length, file.data(), sizeof length);
  const std::string header = file.substr(sizeof length, length);
  const size_t entry = header.find("\"" + tensor + "\"");
  REQUIRE(entry != std::string::npos);
  const std::string key = "\"data_offsets\":[";
  const size_t begin = header.find(key, entry);
  REQUIRE(begin != std::string::npos);
  return sizeof length + length + std::stoul(header.substr(begin + key.size()));
}

TEST_CASE_METHOD(MethodsFixture,
                 "VerifyArtifact: a sample of blocks is encoded again by the reference") {
  const v1::Job job = Managed();
  const std::string path = ResultFile(job);
  std::string bytes = ReadWholeFile(path);
  const size_t word = OffsetOf(bytes, "layer.1.weight_packed") + 4 * 9;  // row 1, block 1 of 8
  bytes[word] ^= 0x40;                                                   // another seed
  std::ofstream(path, std::ios::binary) << bytes;
  const auto again = [](const v1::VerifyArtifactResponse& checked) {
    return std::count_if(checked.problems().begin(), checked.problems().end(),
                         [](const std::string& problem) {
                           return problem.find("tensor 'layer.1.weight': row 1, block 1: holds") !=
                                      std::string::npos &&
                                  problem.find("encoding it again gives") != std::string::npos;
                         });
  };
  v1::VerifyArtifactResponse checked;
  REQUIRE(Verify(job.output_artifact(), &checked, 512).ok());  // all of them
  CHECK(again(checked) == 1);
  REQUIRE(Verify(job.output_artifact(), &checked, 0).ok());
  CHECK(again(checked) == 0);
  CHECK(checked.problems_size() > 0);  // the file's sum, at least
}

TEST_CASE_METHOD(MethodsFixture, "VerifyArtifact: a flipped bit is found and named") {
  const v1::Job job = Managed();
  const std::string path = ResultFile(job);
  std::string bytes = ReadWholeFile(path);
  bytes[bytes.size() / 2] ^= 1;
  std::ofstream(path, std::ios::binary) << bytes;
  v1::VerifyArtifactResponse checked;
  REQUIRE(Verify(job.output_artifact(), &checked).ok());
  REQUIRE(checked.problems_size() > 0);
  CHECK(checked.problem_count() == checked.problems_size());
  CHECK(checked.problems(0).find(job.output_files(0).path()) != std::string::npos);
  // The structure too.
  bytes.resize(bytes.size() - 1);
  std::ofstream(path, std::ios::binary) << bytes;
  REQUIRE(Verify(job.output_artifact(), &checked).ok());
  CHECK(checked.problems_size() >= 2);
}

TEST_CASE_METHOD(MethodsFixture, "VerifyArtifact: what cannot be verified") {
  v1::VerifyArtifactResponse checked;
  CheckError(Verify("artifacts/none", &checked), Code::NOT_FOUND, "NOT_FOUND");
  CheckError(Verify("none", &checked), Code::INVALID_ARGUMENT, "FIELD_INVALID");
  MustUpload("artifacts/half/files/x", "12345", false);
  CheckError(Verify("artifacts/half", &checked), Code::FAILED_PRECONDITION, "UPLOAD_UNFINISHED");
  WriteCheckpoint(root() / "in.safetensors", SmallTensors());
  MustUpload("artifacts/plain/files/model.safetensors", ReadWholeFile(root() / "in.safetensors"));
  const grpc::Status status = Verify("artifacts/plain", &checked);
  REQUIRE(status.error_code() == Code::FAILED_PRECONDITION);
  CHECK(status.error_message().find("no compressed tensor") != std::string::npos);
  grpc::ClientContext context;
  v1::VerifyArtifactRequest request;
  request.set_name("artifacts/plain");
  request.set_sample_blocks(10'001);
  CheckError(artifacts().VerifyArtifact(&context, request, &checked), Code::INVALID_ARGUMENT,
             "FIELD_INVALID");
}

TEST_CASE_METHOD(MethodsFixture, "VerifyArtifact: stops when nobody waits for it") {
  const v1::Job job = Managed();
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(300));
  v1::VerifyArtifactRequest request;
  request.set_name(job.output_artifact());
  request.set_sample_blocks(10'000);  // many seconds of the reference
  v1::VerifyArtifactResponse checked;
  const grpc::Status status = artifacts().VerifyArtifact(&context, request, &checked);
  if (!status.ok()) CHECK(status.error_code() == Code::DEADLINE_EXCEEDED);
  // The next one is not held up by it: there is one thread for them.
  REQUIRE(Verify(job.output_artifact(), &checked).ok());
}

}  // namespace
}  // namespace seedlm::server
