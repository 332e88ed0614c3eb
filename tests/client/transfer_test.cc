#include "client/transfer.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <vector>

#include "absl/strings/match.h"
#include "client/artifact_path.h"
#include "client/leftovers.h"
#include "client/rpc_status.h"
#include "tests/client/fake_services.h"
#include "tests/client/scratch_directory.h"
#include "tests/client/tiny_checkpoint.h"

namespace seedlm::client {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using Fault = FakeArtifacts::Fault;

// Another end that is there at once and loses patience soon.
TransferContext Context(ServiceHost& host, std::vector<ProgressView>* seen = nullptr) {
  return {.channel = host.channel(),
          .address = "the fake",
          .stop = {},
          .on_progress =
              [seen](const ProgressView& view) {
                if (seen != nullptr) seen->push_back(view);
              },
          .retry = {.max_attempts = 4, .first_delay = milliseconds(1)},
          .silence = milliseconds(150)};
}

std::string Digest(const std::string& content) {
  checksum::Sha256 hash;
  hash.Update(content);
  return hash.HexDigest();
}

v1::Job Finished(const std::string& path, const std::string& content) {
  v1::Job job;
  job.set_name("jobs/1");
  job.set_state(v1::JOB_STATE_SUCCEEDED);
  job.mutable_source()->set_artifact("artifacts/in");
  job.set_output_artifact("artifacts/out");
  auto* file = job.add_output_files();
  file->set_path(path);
  file->set_size(static_cast<int64_t>(content.size()));
  file->set_sha256(Digest(content));
  job.set_output_file_count(1);
  return job;
}

std::string Source(const ScratchDirectory& scratch) {
  static const TinyCheckpoint tiny =
      MakeTinyCheckpoint(codec::Fit::kNearest, codec::ScaleRule::kPaper);
  WriteSource(tiny, scratch / "in.safetensors");
  return scratch / "in.safetensors";
}

absl::StatusOr<UploadedArtifact> Upload(const TransferContext& context, const std::string& path) {
  const auto upload = PendingUpload::Sum(context, path);
  if (!upload.ok()) return upload.status();
  absl::Status sent = upload->Send(context);
  if (!sent.ok()) return sent;
  return upload->artifact();
}

TEST_CASE("an upload goes on after a break, a flip and a stall") {
  for (const Fault fault : {Fault::kNone, Fault::kBreak, Fault::kFlip, Fault::kStall}) {
    CAPTURE(static_cast<int>(fault));
    const ScratchDirectory scratch;
    const std::string source = Source(scratch);
    FakeArtifacts service;
    service.faults = {fault};
    ServiceHost host(service);
    const auto artifact = Upload(Context(host), source);
    REQUIRE(artifact.ok());
    CHECK_FALSE(artifact->is_directory);
    CHECK(service.content == ReadAll(source));
    CHECK(service.complete);
  }
}

TEST_CASE("a second wrong checksum of an upload is no accident") {
  const ScratchDirectory scratch;
  FakeArtifacts service;
  service.faults = {Fault::kFlip, Fault::kFlip};
  ServiceHost host(service);
  CHECK(absl::IsDataLoss(Upload(Context(host), Source(scratch)).status()));
}

TEST_CASE("a stalled upload is given up with the way out") {
  const ScratchDirectory scratch;
  FakeArtifacts service;
  service.faults = std::vector<Fault>(10, Fault::kStall);
  ServiceHost host(service);
  TransferContext context = Context(host);
  context.retry.max_attempts = 2;
  context.silence = milliseconds(20);
  const absl::Status status = Upload(context, Source(scratch)).status();
  CHECK(absl::IsUnavailable(status));
  CHECK(absl::StrContains(status.message(), "; submit it again"));
}

TEST_CASE("while another process uploads the same, patience lasts as long as it grows") {
  const ScratchDirectory scratch;
  const std::string source = Source(scratch);
  FakeArtifacts service;
  service.faults = std::vector<Fault>(20, Fault::kBusy);  // far more than the attempts
  service.grows_by = 1;
  ServiceHost host(service);
  const absl::Status grew = Upload(Context(host), source).status();
  CHECK(grew.ok());
  CHECK(service.whole_calls > 20);
  service.whole_calls = 0;
  service.complete = false;
  service.grows_by = 0;
  const absl::Status stood = Upload(Context(host), source).status();
  CHECK(absl::IsAborted(stood));
  CHECK(service.whole_calls == 4);
}

TEST_CASE("the rate of an upload leaves out what was there") {
  const ScratchDirectory scratch;
  const std::string source = Source(scratch);
  FakeArtifacts service;
  service.content = ReadAll(source);
  service.complete = true;
  ServiceHost host(service);
  std::vector<ProgressView> seen;
  REQUIRE(Upload(Context(host, &seen), source).ok());
  REQUIRE_FALSE(seen.empty());
  CHECK(seen.back().done == seen.back().total);
  CHECK(seen.back().rate == 0);
  CHECK(service.whole_calls == 0);
}

TEST_CASE("an upload says with its first message how much is to come, of all files") {
  const ScratchDirectory scratch;
  fs::create_directory(scratch / "model");
  fs::rename(Source(scratch), scratch / "model/m.safetensors");
  scratch.Write("model/notes.txt", std::string(1000, 'x'));
  const auto size = static_cast<int64_t>(fs::file_size(scratch / "model/m.safetensors"));
  FakeArtifacts service;
  service.faults = {Fault::kBreak};
  ServiceHost host(service);
  REQUIRE(Upload(Context(host), scratch / "model").ok());
  REQUIRE(service.to_come.size() == 2);
  CHECK(service.to_come[0] == size + 1000);
  CHECK(service.to_come[1] == 1000);  // when it goes on, behind all of the first file
}

TEST_CASE("a name that the server would refuse is refused before anything is sent") {
  const ScratchDirectory scratch;
  fs::create_directory(scratch / "model");
  fs::rename(Source(scratch), scratch / "model/m.safetensors");
  scratch.Write("model/notes (1).txt", "x");
  FakeArtifacts service;
  ServiceHost host(service);
  std::vector<ProgressView> seen;
  const absl::Status status = Upload(Context(host, &seen), scratch / "model").status();
  REQUIRE(absl::IsInvalidArgument(status));
  CHECK(absl::StrContains(status.message(), "notes (1).txt"));
  CHECK(absl::StrContains(status.message(), "; rename it"));
  CHECK(seen.empty());
  CHECK(ArtifactPathProblem("a/b-1_2 +=@,.bin").empty());
  for (const char* path : {"", "../a", "a//b", "a:b", "a/.seedlm-result", "\xC3\xA4"}) {
    CAPTURE(path);
    CHECK_FALSE(ArtifactPathProblem(path).empty());
  }
}

TEST_CASE("a download goes on after a break, a flip and a stall") {
  const std::string content = std::string(2500, 'a') + std::string(2500, 'b');
  for (const Fault fault : {Fault::kNone, Fault::kBreak, Fault::kFlip, Fault::kStall}) {
    CAPTURE(static_cast<int>(fault));
    const ScratchDirectory scratch;
    FakeArtifacts service;
    service.content = content;
    service.faults = {fault};
    ServiceHost host(service);
    const v1::Job job = Finished("model.safetensors", content);
    REQUIRE(Fetch(Context(host), job, scratch / "out", false).ok());
    CHECK(ReadAll(scratch / "out") == content);
    CHECK(std::distance(fs::directory_iterator(scratch.path()), {}) == 1);
  }
}

TEST_CASE("a download that stays damaged or is another file leaves nothing") {
  const std::string content(5000, 'a');
  for (const Fault fault : {Fault::kFlip, Fault::kNone}) {
    CAPTURE(static_cast<int>(fault));
    const ScratchDirectory scratch;
    FakeArtifacts service;
    service.content = fault == Fault::kNone ? std::string(5000, 'b') : content;
    service.faults = std::vector<Fault>(100, fault);
    ServiceHost host(service);
    const v1::Job job = Finished("model.safetensors", content);
    const absl::Status status = Fetch(Context(host), job, scratch / "out", false);
    CHECK(absl::IsDataLoss(status));
    CHECK(absl::StrContains(status.message(), "; fetch it again"));
    CHECK(fs::is_empty(scratch.path()));
  }
}

TEST_CASE("a download that was interrupted goes on where it stopped") {
  const std::string content = std::string(2500, 'a') + std::string(2500, 'b');
  const ScratchDirectory scratch;
  FakeArtifacts service;
  service.content = content;
  ServiceHost host(service);
  v1::Job job = Finished("model.safetensors", content);
  if (GENERATE(false, true)) SetSource({"artifacts/in", true}, job);  // a directory
  std::stop_source stop;
  TransferContext context = Context(host);
  context.stop = stop.get_token();
  context.on_progress = [&](const ProgressView& view) {
    if (view.done >= 2000) stop.request_stop();
  };
  CHECK(absl::IsCancelled(Fetch(context, job, scratch / "out", false)));
  CHECK_FALSE(fs::exists(scratch / "out"));
  CHECK_FALSE(fs::is_empty(scratch.path()));
  // For another name, or other content, it is of no use.
  std::vector<ProgressView> seen;
  REQUIRE(Fetch(Context(host, &seen), job, scratch / "other", false).ok());
  CHECK(seen.front().done == 0);
  seen.clear();
  REQUIRE(Fetch(Context(host, &seen), job, scratch / "out", false).ok());
  CHECK(seen.front().done >= 1000);
  CHECK(seen.back().done == 5000);
  const std::string out = scratch / (IsSingleFile(job) ? "out" : "out/model.safetensors");
  CHECK(ReadAll(out) == content);
  CHECK(std::distance(fs::directory_iterator(scratch.path()), {}) == 2);
}

TEST_CASE("two processes do not fetch the same to the same place") {
  const std::string content(5000, 'a');
  const ScratchDirectory scratch;
  FakeArtifacts service;
  service.content = content;
  ServiceHost host(service);
  const v1::Job job = Finished("model.safetensors", content);
  absl::Status second;
  TransferContext context = Context(host);
  context.on_progress = [&](const ProgressView& view) {
    if (view.done == 5000 && second.ok()) {
      second = Fetch(Context(host), job, scratch / "out", false);
    }
  };
  CHECK(Fetch(context, job, scratch / "out", false).ok());
  CHECK(absl::IsAborted(second));
}

TEST_CASE("a directory that was submitted is fetched as one, a file as a file") {
  const std::string content = "x";
  v1::Job job = Finished("model.safetensors", content);
  CHECK(IsSingleFile(job));
  SetSource({"artifacts/in", true}, job);
  CHECK_FALSE(IsSingleFile(job));
  FakeArtifacts service;
  service.content = content;
  ServiceHost host(service);
  const ScratchDirectory scratch;
  REQUIRE(Fetch(Context(host), job, scratch / "out", false).ok());
  CHECK(ReadAll(scratch / "out/model.safetensors") == content);
  CHECK(std::distance(fs::directory_iterator(scratch.path()), {}) == 1);

  v1::Job by_uri = Finished("my model.safetensors", content);
  by_uri.mutable_source()->set_uri("file:///d/my%20model.safetensors");
  CHECK(IsSingleFile(by_uri));
  by_uri.mutable_source()->set_uri("file:///d/my");
  CHECK_FALSE(IsSingleFile(by_uri));
}

TEST_CASE("what is no result is said before anything is written") {
  v1::Job job = Finished("model.safetensors", "x");
  CHECK(CheckResult(job).ok());
  job.set_output_file_count(2);
  CHECK(absl::IsFailedPrecondition(CheckResult(job)));
  job.set_output_file_count(1);
  job.clear_output_artifact();
  job.mutable_destination()->set_uri("file:///out");
  CHECK(absl::StrContains(CheckResult(job).message(), "file:///out"));
  job.set_state(v1::JOB_STATE_RUNNING);
  CHECK(absl::StrContains(CheckResult(job).message(), "no result yet"));
}

TEST_CASE("a path that leaves the output is refused") {
  FakeArtifacts service;
  ServiceHost host(service);
  const ScratchDirectory scratch;
  const v1::Job job = Finished("../x", "x");
  CHECK(absl::IsInvalidArgument(Fetch(Context(host), job, scratch / "out", false)));
  CHECK(fs::is_empty(scratch.path()));
}

}  // namespace
}  // namespace seedlm::client
