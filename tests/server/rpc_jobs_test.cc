// CompressionService over a real channel, but for WatchJob.
#include <algorithm>
#include <catch2/catch.hpp>

#include "kernels/format/packed_tensor.h"
#include "tests/server/rpc_fixture.h"

namespace seedlm::server {
namespace {

// The status is this code with this reason, and the message names the thing.
void CheckError(const grpc::Status& status, grpc::StatusCode code, const std::string& reason,
                const std::string& named) {
  INFO(status.error_message());
  REQUIRE(status.error_code() == code);
  CHECK(Explain(status).info.reason() == reason);
  CHECK(Contains(status.error_message(), named));
}

grpc::Status List(RpcFixture& fixture, const v1::ListJobsRequest& request,
                  v1::ListJobsResponse* response) {
  grpc::ClientContext context;
  return fixture.jobs().ListJobs(&context, request, response);
}

TEST_CASE("a job on files runs to its end and writes a checkpoint") {
  RpcFixture fixture;
  WriteCheckpoint(fixture.root() / "in.safetensors", SmallTensors());
  const v1::Job job =
      fixture.Await(fixture.MustCreate(fixture.FileJob("in.safetensors", "out.safetensors")));
  REQUIRE(job.state() == v1::JOB_STATE_SUCCEEDED);
  CHECK(job.attempt() == 1);
  CHECK(job.has_create_time());
  CHECK(job.has_end_time());
  CHECK(job.output_artifact().empty());
  CHECK(job.progress().weights_done() == 2 * 64 * 64);
  REQUIRE(job.output_files_size() == 1);
  const std::string written = ReadWholeFile(fixture.root() / "out.safetensors");
  CHECK(job.output_files(0).size() == static_cast<int64_t>(written.size()));
  CHECK(job.estimate().output_bytes() == static_cast<int64_t>(written.size()));
  const auto packed = format::OpenPackedFile((fixture.root() / "out.safetensors").string());
  INFO(packed.status().ToString());
  REQUIRE(packed.ok());
  CHECK(packed->packed.size() == 2);
}

TEST_CASE("validate_only estimates and creates nothing") {
  RpcFixture fixture;
  WriteCheckpoint(fixture.root() / "in.safetensors", SmallTensors());
  v1::CreateJobRequest request = fixture.FileJob("in.safetensors", "out.safetensors");
  request.set_validate_only(true);
  request.set_request_id("once");
  v1::Job job;
  REQUIRE(fixture.Create(request, &job).ok());
  CHECK(job.name().empty());
  CHECK(job.state() == v1::JOB_STATE_UNSPECIFIED);
  CHECK(job.estimate().weights() == 2 * 64 * 64);
  CHECK(job.estimate().bits_per_weight() == 4.0);
  CHECK(job.estimate().output_bytes() > 0);
  REQUIRE(job.estimate().skipped_size() == 1);
  CHECK(job.estimate().skipped(0).name() == "embed.weight");
  CHECK(job.estimate().skipped(0).reason() == "name matches *embed*");
  CHECK(job.estimate().skipped_count() == 1);
  CHECK(job.estimate().input_bytes() ==
        static_cast<int64_t>(std::filesystem::file_size(fixture.root() / "in.safetensors")));
  CHECK(job.estimate().scratch_bytes() > 0);  // names and whole blocks of the disk
  CHECK(job.estimate().scratch_bytes() < 64 << 10);
  CHECK(job.estimate().seconds() > 0);
  CHECK(job.estimate().seconds() < 60);

  v1::ListJobsResponse listed;
  REQUIRE(List(fixture, {}, &listed).ok());
  CHECK(listed.jobs_size() == 0);
  CHECK_FALSE(std::filesystem::exists(fixture.root() / "out.safetensors"));
  // It did not use up the request id either.
  request.set_validate_only(false);
  request.mutable_job()->set_priority(3);
  CHECK(fixture.Create(request, &job).ok());
}

TEST_CASE("a request id gives the same job again, and refuses another body") {
  RpcFixture fixture;
  WriteCheckpoint(fixture.root() / "in.safetensors", SmallTensors());
  v1::CreateJobRequest request = fixture.FileJob("in.safetensors", "out.safetensors");
  request.set_request_id("id-1");
  (*request.mutable_job()->mutable_labels())["b"] = "2";
  (*request.mutable_job()->mutable_labels())["a"] = "1";
  const std::string name = fixture.MustCreate(request);
  fixture.Await(name);  // the output exists now, which must not matter to a replay
  CHECK(fixture.MustCreate(request) == name);
  request.mutable_job()->mutable_spec()->set_backend("auto");  // says the same as nothing
  CHECK(fixture.MustCreate(request) == name);

  v1::Job job;
  request.mutable_job()->set_priority(1);
  CheckError(fixture.Create(request, &job), grpc::StatusCode::ALREADY_EXISTS, "REQUEST_ID_REUSED",
             "id-1");
  fixture.Restart();
  request.mutable_job()->set_priority(0);
  CHECK(fixture.MustCreate(request) == name);
}

TEST_CASE("CreateJob refuses what can never work, and says why") {
  RpcFixture fixture;
  const TemporaryFolder outside;
  WriteCheckpoint(fixture.root() / "in.safetensors", SmallTensors());
  WriteCheckpoint(outside.path() / "in.safetensors", SmallTensors());
  WriteCheckpoint(fixture.root() / "exists.safetensors", SmallTensors());
  std::filesystem::create_symlink(outside.path(), fixture.root() / "link");
  v1::CreateJobRequest request = fixture.FileJob("in.safetensors", "out.safetensors");
  v1::Job* job = request.mutable_job();
  v1::Job created;

  SECTION("no source") {
    job->clear_source();
    CheckError(fixture.Create(request, &created), grpc::StatusCode::INVALID_ARGUMENT,
               "FIELD_INVALID", "job.source");
  }
  SECTION("a request id that is too long") {
    request.set_request_id(std::string(129, 'r'));
    CheckError(fixture.Create(request, &created), grpc::StatusCode::INVALID_ARGUMENT,
               "FIELD_INVALID", "request_id");
  }
  SECTION("a source that is not there") {
    job->mutable_source()->set_uri("file://" + (fixture.root() / "no.safetensors").string());
    const grpc::Status status = fixture.Create(request, &created);
    CHECK(status.error_code() == grpc::StatusCode::NOT_FOUND);
    CHECK(Contains(status.error_message(), "no.safetensors"));
  }
  SECTION("an artifact that is not there") {
    job->mutable_source()->set_artifact("artifacts/nothing");
    const grpc::Status status = fixture.Create(request, &created);
    CHECK(status.error_code() == grpc::StatusCode::NOT_FOUND);
    CHECK(Contains(status.error_message(), "artifacts/nothing"));
  }
  SECTION("a source outside of the roots") {
    job->mutable_source()->set_uri("file://" + (outside.path() / "in.safetensors").string());
    CheckError(fixture.Create(request, &created), grpc::StatusCode::PERMISSION_DENIED,
               "OUTSIDE_STORAGE_ROOT", outside.path().string());
  }
  SECTION("a source outside of the roots, through a link") {
    job->mutable_source()->set_uri("file://" + (fixture.root() / "link/in.safetensors").string());
    CheckError(fixture.Create(request, &created), grpc::StatusCode::PERMISSION_DENIED,
               "OUTSIDE_STORAGE_ROOT", "link/in.safetensors");
  }
  SECTION("a destination outside of the roots") {
    job->mutable_destination()->set_uri("file://" + (outside.path() / "out").string());
    CheckError(fixture.Create(request, &created), grpc::StatusCode::PERMISSION_DENIED,
               "OUTSIDE_STORAGE_ROOT", outside.path().string());
    CHECK_FALSE(std::filesystem::exists(outside.path() / "out"));
  }
  SECTION("dots in a path") {
    job->mutable_source()->set_uri("file://" +
                                   (fixture.root() / "../root/in.safetensors").string());
    const grpc::Status status = fixture.Create(request, &created);
    CHECK(status.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
    CHECK(Contains(status.error_message(), ".."));
  }
  SECTION("a source that is no checkpoint") {
    std::filesystem::resize_file(fixture.root() / "in.safetensors", 100);
    CheckError(fixture.Create(request, &created), grpc::StatusCode::INVALID_ARGUMENT,
               "CHECKPOINT_INVALID", "in.safetensors");
  }
  SECTION("an output that exists") {
    request = fixture.FileJob("in.safetensors", "exists.safetensors");
    CheckError(fixture.Create(request, &created), grpc::StatusCode::ALREADY_EXISTS, "OUTPUT_EXISTS",
               "exists.safetensors");
    request.mutable_job()->mutable_destination()->set_overwrite(true);
    CHECK(fixture.Create(request, &created).ok());
  }
  SECTION("a backend that nobody knows") {
    job->mutable_spec()->set_backend("abacus");
    const grpc::Status status = fixture.Create(request, &created);
    CHECK(status.error_code() == grpc::StatusCode::INVALID_ARGUMENT);
    CHECK(Contains(status.error_message(), "abacus"));
  }
  SECTION("s3") {
    job->mutable_destination()->set_uri("s3://bucket/prefix");
    const grpc::Status status = fixture.Create(request, &created);
    CHECK(status.error_code() == grpc::StatusCode::FAILED_PRECONDITION);
    CHECK(Contains(status.error_message(), "s3://"));
  }
  SECTION("an override to another profile") {
    job->mutable_spec()->add_overrides()->set_profile(v1::PROFILE_2BIT);
    CheckError(fixture.Create(request, &created), grpc::StatusCode::UNIMPLEMENTED,
               "OVERRIDE_UNIMPLEMENTED", "job.spec.overrides");
  }
}

TEST_CASE("a named backend that is known but not here is refused at once") {
  RpcFixture fixture;
  WriteCheckpoint(fixture.root() / "in.safetensors", SmallTensors());
  v1::Capabilities capabilities;
  grpc::ClientContext context;
  REQUIRE(fixture.jobs().GetCapabilities(&context, {}, &capabilities).ok());
  for (const v1::BackendCapability& backend : capabilities.backends()) {
    if (backend.available()) continue;
    v1::CreateJobRequest request = fixture.FileJob("in.safetensors", "out.safetensors");
    request.mutable_job()->mutable_spec()->set_backend(backend.name());
    v1::Job job;
    CheckError(fixture.Create(request, &job), grpc::StatusCode::FAILED_PRECONDITION,
               "BACKEND_UNAVAILABLE", backend.name());
    CHECK_FALSE(backend.why_unavailable().empty());
  }
}

TEST_CASE("over the limit of jobs: not now, and when again") {
  RpcFixture fixture([](ServerOptions& options) { options.max_active_jobs = 1; });
  const std::string running = fixture.MustCreateSlow();
  WriteCheckpoint(fixture.root() / "in.safetensors", SmallTensors());
  const v1::CreateJobRequest request = fixture.FileJob("in.safetensors", "out.safetensors");
  v1::Job job;
  const grpc::Status status = fixture.Create(request, &job);
  CheckError(status, grpc::StatusCode::RESOURCE_EXHAUSTED, "QUEUE_FULL", "jobs");
  v1::CreateJobRequest dry = request;  // takes no place
  dry.set_validate_only(true);
  CHECK(fixture.Create(dry, &job).ok());
  CHECK(Explain(status).has_retry);

  REQUIRE(fixture.Cancel(running, &job).ok());
  fixture.AwaitState(running, v1::JOB_STATE_CANCELLED);
  CHECK(fixture.Await(fixture.MustCreate(request)).state() == v1::JOB_STATE_SUCCEEDED);
}

TEST_CASE("a NaN fails the job, naming tensor, row and column") {
  RpcFixture fixture;
  WriteCheckpoint(fixture.root() / "in.safetensors", {{"layer.weight"}});
  std::string bytes = ReadWholeFile(fixture.root() / "in.safetensors");
  const size_t row3_column5 = bytes.size() - 64 * 64 * 4 + (3 * 64 + 5) * 4;
  bytes.replace(row3_column5, 4, std::string("\x00\x00\xC0\x7F", 4));
  std::FILE* file = std::fopen((fixture.root() / "in.safetensors").c_str(), "wb");
  std::fwrite(bytes.data(), 1, bytes.size(), file);
  std::fclose(file);
  const v1::Job job =
      fixture.Await(fixture.MustCreate(fixture.FileJob("in.safetensors", "out.safetensors")));
  REQUIRE(job.state() == v1::JOB_STATE_FAILED);
  const google::rpc::ErrorInfo info = Explain(job.error()).info;
  CHECK(info.reason() == "WEIGHT_NOT_FINITE");
  CHECK(info.metadata().at("tensor") == "layer.weight");
  CHECK(info.metadata().at("row") == "3");
  CHECK(info.metadata().at("column") == "5");
  for (const std::string part : {"layer.weight", "row 3", "column 5"}) {
    INFO(job.error().message());
    CHECK(Contains(job.error().message(), part));
  }
  CHECK_FALSE(std::filesystem::exists(fixture.root() / "out.safetensors"));
}

TEST_CASE("jobs that are not there, and names that are none") {
  RpcFixture fixture;
  v1::Job job;
  for (const std::string name : {"", "jobs/", "job/1", "jobs/a/b", "jobs/..", "artifacts/a"}) {
    for (const grpc::Status& status : {fixture.Get(name, &job), fixture.Cancel(name, &job)}) {
      CheckError(status, grpc::StatusCode::INVALID_ARGUMENT, "FIELD_INVALID", "job name");
      CHECK(Explain(status).info.metadata().at("field") == "name");
    }
  }
  for (const grpc::Status& status :
       {fixture.Get("jobs/nobody", &job), fixture.Cancel("jobs/nobody", &job)}) {
    CHECK(status.error_code() == grpc::StatusCode::NOT_FOUND);
    CHECK(Contains(status.error_message(), "jobs/nobody"));
    CHECK_FALSE(Explain(status).info.reason().empty());
  }
}

TEST_CASE("cancelling stops a running job, and is idempotent") {
  RpcFixture fixture;
  const std::string name = fixture.MustCreateSlow("slow.out.safetensors");
  fixture.AwaitState(name, v1::JOB_STATE_RUNNING);
  v1::Job job;
  REQUIRE(fixture.Cancel(name, &job).ok());
  const v1::Job ended = fixture.AwaitState(name, v1::JOB_STATE_CANCELLED);
  CHECK_FALSE(ended.has_error());
  REQUIRE(fixture.Cancel(name, &job).ok());
  CHECK(job.state() == v1::JOB_STATE_CANCELLED);
  CHECK(job.etag() == ended.etag());
  CHECK_FALSE(std::filesystem::exists(fixture.root() / "slow.out.safetensors"));
}

TEST_CASE("a finished job stays finished when it is cancelled") {
  RpcFixture fixture;
  WriteCheckpoint(fixture.root() / "in.safetensors", SmallTensors());
  const std::string name = fixture.MustCreate(fixture.FileJob("in.safetensors", "o.safetensors"));
  fixture.Await(name);
  v1::Job job;
  REQUIRE(fixture.Cancel(name, &job).ok());
  CHECK(job.state() == v1::JOB_STATE_SUCCEEDED);
}

TEST_CASE("lists: newest first, in pages, filtered") {
  RpcFixture fixture;
  WriteCheckpoint(fixture.root() / "in.safetensors", SmallTensors(1));
  std::vector<std::string> names;
  for (int i = 0; i < 5; ++i) {
    v1::CreateJobRequest request =
        fixture.FileJob("in.safetensors", "out" + std::to_string(i) + ".safetensors");
    (*request.mutable_job()->mutable_labels())["parity"] = i % 2 == 0 ? "even" : "odd";
    names.push_back(fixture.MustCreate(request));
    fixture.Await(names.back());
  }
  std::reverse(names.begin(), names.end());

  v1::ListJobsRequest request;
  v1::ListJobsResponse response;
  request.set_page_size(2);
  std::vector<std::string> listed;
  do {
    REQUIRE(List(fixture, request, &response).ok());
    CHECK(response.jobs_size() <= 2);
    for (const v1::Job& job : response.jobs()) {
      listed.push_back(job.name());
      CHECK(job.output_files_size() == 0);
    }
    request.set_page_token(response.next_page_token());
  } while (!response.next_page_token().empty());
  CHECK(listed == names);

  request.Clear();
  (*request.mutable_labels())["parity"] = "odd";
  REQUIRE(List(fixture, request, &response).ok());
  CHECK(response.jobs_size() == 2);
  request.set_state(v1::JOB_STATE_FAILED);
  REQUIRE(List(fixture, request, &response).ok());
  CHECK(response.jobs_size() == 0);

  request.Clear();
  request.set_page_token("made up");
  CheckError(List(fixture, request, &response), grpc::StatusCode::INVALID_ARGUMENT, "FIELD_INVALID",
             "page_token");
  request.Clear();
  request.set_page_size(-1);
  CheckError(List(fixture, request, &response), grpc::StatusCode::INVALID_ARGUMENT, "FIELD_INVALID",
             "page_size");
}

TEST_CASE("a page of large jobs still fits a message") {
  RpcFixture fixture;
  WriteCheckpoint(fixture.root() / "in.safetensors", SmallTensors(1));
  std::vector<std::string> names;
  for (int i = 0; i < 40; ++i) {  // 40 jobs of 128 KiB of patterns: over 5 MiB together
    v1::CreateJobRequest request =
        fixture.FileJob("in.safetensors", "out" + std::to_string(i) + ".safetensors");
    v1::TensorSelection* selection = request.mutable_job()->mutable_spec()->mutable_selection();
    const std::string name = "embed.weight";  // a pattern must match one
    for (int j = 0; j < 256; ++j) {
      selection->add_exclude(name + std::string(512 - name.size(), '*'));
    }
    names.push_back(fixture.MustCreate(request));
  }
  v1::ListJobsRequest request;
  request.set_page_size(1000);
  v1::ListJobsResponse response;
  size_t listed = 0;
  do {
    const grpc::Status status = List(fixture, request, &response);
    INFO(status.error_message());
    REQUIRE(status.ok());
    listed += static_cast<size_t>(response.jobs_size());
    request.set_page_token(response.next_page_token());
  } while (!response.next_page_token().empty());
  CHECK(listed == names.size());
}

grpc::Status Resume(RpcFixture& fixture, const std::string& name, v1::Job* job,
                    const std::string& etag = "") {
  grpc::ClientContext context;
  v1::ResumeJobRequest request;
  request.set_name(name);
  request.set_etag(etag);
  return fixture.jobs().ResumeJob(&context, request, job);
}

grpc::Status Delete(RpcFixture& fixture, const std::string& name, const std::string& etag = "") {
  grpc::ClientContext context;
  v1::DeleteJobRequest request;
  request.set_name(name);
  request.set_etag(etag);
  google::protobuf::Empty empty;
  return fixture.jobs().DeleteJob(&context, request, &empty);
}

TEST_CASE("a cancelled job is resumed, watched to its end by both, and deleted") {
  RpcFixture fixture;
  v1::Job job;
  const std::string name = fixture.MustCreateSlow();
  CheckError(Delete(fixture, name), grpc::StatusCode::FAILED_PRECONDITION, "JOB_NOT_ENDED",
             "cancel it first");
  REQUIRE(fixture.Cancel(name, &job).ok());
  fixture.Await(name);
  REQUIRE(Resume(fixture, name, &job).ok());
  CHECK(job.state() == v1::JOB_STATE_QUEUED);
  CHECK(job.attempt() == 2);
  CHECK_FALSE(job.has_end_time());
  REQUIRE(Resume(fixture, name, &job).ok());  // idempotent
  CHECK(job.attempt() == 2);
  REQUIRE(fixture.Cancel(name, &job).ok());
  CheckError(Resume(fixture, name, &job, "1"), grpc::StatusCode::ABORTED, "ETAG_MISMATCH", name);
  CheckError(Delete(fixture, name, "1"), grpc::StatusCode::ABORTED, "ETAG_MISMATCH", name);
  CheckError(fixture.Cancel(name, &job, "1"), grpc::StatusCode::ABORTED, "ETAG_MISMATCH", name);
  // Past the first end, up to the second.
  std::vector<v1::JobEvent> events;
  REQUIRE(fixture.Watch(name, 0, {}, &events).ok());
  int ends = 0;
  for (const v1::JobEvent& event : events) ends += event.state() == v1::JOB_STATE_CANCELLED;
  CHECK(ends == 2);
  REQUIRE(Delete(fixture, name).ok());
  CheckError(fixture.Get(name, &job), grpc::StatusCode::NOT_FOUND, "NOT_FOUND", name);
  CheckError(Delete(fixture, name), grpc::StatusCode::NOT_FOUND, "NOT_FOUND", name);
}

TEST_CASE("a job that succeeded has nothing to resume; its managed result goes with it") {
  RpcFixture fixture;
  WriteCheckpoint(fixture.root() / "in.safetensors", SmallTensors());
  v1::CreateJobRequest request = fixture.FileJob("in.safetensors", "");
  request.mutable_job()->mutable_destination()->set_managed(true);
  const std::string name = fixture.MustCreate(request);
  const v1::Job done = fixture.Await(name);
  REQUIRE(done.state() == v1::JOB_STATE_SUCCEEDED);
  v1::Job job;
  CheckError(Resume(fixture, name, &job), grpc::StatusCode::FAILED_PRECONDITION,
             "FAILED_PRECONDITION", "nothing to resume");
  const std::string resource = done.output_artifact() + "/files/in.safetensors";
  std::string data;
  REQUIRE(fixture.Download(resource, 0, &data).ok());
  REQUIRE(Delete(fixture, name).ok());
  CHECK(fixture.Download(resource, 0, &data).error_code() == grpc::StatusCode::NOT_FOUND);
}

TEST_CASE("capabilities name version, profiles, backends and limits") {
  RpcFixture fixture([](ServerOptions& options) { options.max_active_jobs = 77; });
  grpc::ClientContext context;
  v1::Capabilities capabilities;
  REQUIRE(fixture.jobs().GetCapabilities(&context, {}, &capabilities).ok());
  CHECK(capabilities.version() == kVersion);
  CHECK(capabilities.profiles_size() == 4);
  CHECK(capabilities.max_chunk_bytes() == 2 << 20);
  CHECK(capabilities.max_message_bytes() == 4 << 20);
  CHECK(capabilities.max_queued_jobs() == 77);
  CHECK(capabilities.shard_bytes() == 4 << 20);
  CHECK(capabilities.max_row_weights() == 4 << 20);
  CHECK(capabilities.max_tensors() == 500'000);
  CHECK(capabilities.max_tensor_name_bytes() == 1024);
  CHECK(capabilities.max_header_bytes() == 100'000'000);
  REQUIRE(capabilities.backends_size() >= 2);
  const v1::BackendCapability& reference = *capabilities.backends().rbegin();
  CHECK(reference.name() == "reference");
  CHECK(reference.available());
  CHECK(reference.workers() == 2);
}

}  // namespace
}  // namespace seedlm::server
