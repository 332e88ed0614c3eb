#include "server/storage/checkpoint_sink.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <memory>
#include <string>

#include "kernels/checksum/sha256.h"
#include "server/storage/rename_publisher.h"
#include "tests/server/checkpoints.h"
#include "tests/server/file_size_limit.h"
#include "tests/server/status_matcher.h"
#include "tests/server/temporary_directory.h"

namespace seedlm::server {
namespace {

namespace fs = std::filesystem;
using Code = absl::StatusCode;
using Names = std::set<std::string>;

// A source (file or directory) with its plan, and sinks for it.
struct SinkFixture {
  void Plan(const std::string& source) {
    checkpoint = format::Checkpoint::Open(source).value();
    plan = format::PlanCompression(checkpoint, {}).value();
  }
  void PlanFile() {
    WriteSafetensors(directory / "in.safetensors", {F32Tensor("a.weight", 64, 64, 1u)});
    Plan(directory / "in.safetensors");
  }
  void PlanDirectory() {
    fs::create_directories(directory / "in/sub");
    WriteSafetensors(directory / "in/model.safetensors", {F32Tensor("a.weight", 64, 64, 1u)});
    WriteSafetensors(directory / "in/sub/more.safetensors", {RawTensor("raw", 10)});
    WriteText(directory / "in/config.json", "{\"model_type\": \"x\"}");
    WriteText(directory / "in/sub/tokenizer.txt", "words");
    Plan(directory / "in");
  }
  SinkTarget Target(const std::string& name) const {
    return {directory / "out/" + name, checkpoint.is_directory, false, false, "job1"};
  }
  absl::StatusOr<std::unique_ptr<CheckpointSink>> OpenSink(SinkTarget target) {
    fs::create_directories(directory / "out");
    return CheckpointSink::Open(std::move(target), checkpoint, plan);
  }
  Names Outputs() const { return ListTree(directory / "out"); }

  TemporaryDirectory directory;
  format::Checkpoint checkpoint;
  format::CompressionPlan plan;
};

TEST_CASE_METHOD(SinkFixture, "a name that cannot be synced is a warning: the output stands") {
  PlanFile();
  fs::create_directories(directory / "out");
  SinkOptions options;
  options.publisher = std::make_unique<RenamePublisher>(Target("o.safetensors"), [](const auto&) {
    return absl::InternalError("the disk does not answer");
  });
  auto sink = CheckpointSink::Open(Target("o.safetensors"), checkpoint, plan, std::move(options));
  REQUIRE(sink.ok());
  CHECK((*sink)->Commit({}).ok());
  CHECK_THAT((*sink)->publish_warning(), IsStatus(Code::kInternal, {"the disk does not answer"}));
  CHECK(Outputs().contains("o.safetensors"));
}

TEST_CASE_METHOD(SinkFixture,
                 "what came into an old output meanwhile keeps it from being replaced") {
  PlanDirectory();
  WriteCompressed(directory / "out/o/model.safetensors");
  SinkTarget target = Target("o");
  target.overwrite = true;
  auto sink = OpenSink(target);
  REQUIRE(sink.ok());
  WriteText(directory / "out/o/another/model.safetensors", "x");
  CHECK_THAT((*sink)->Commit({}).status(),
             IsStatus(Code::kFailedPrecondition, {directory / "out/o", "another"}));
  sink->reset();
  CHECK(ReadText(directory / "out/o/another/model.safetensors") == "x");
}

TEST_CASE_METHOD(SinkFixture, "a commit tells how far it is, up to all of it") {
  PlanDirectory();
  auto sink = OpenSink(Target("o"));
  REQUIRE(sink.ok());
  int64_t last = 0;
  int64_t of = 0;
  REQUIRE((*sink)
              ->Commit({}, {[&](int64_t done, int64_t total) {
                              CHECK(done > last);
                              CHECK(done <= total);
                              last = done;
                              of = total;
                            },
                            {}})
              .ok());
  CHECK(last == of);
  CHECK(of > static_cast<int64_t>(plan.output_bytes));
}

void CheckSums(const std::string& root, const std::vector<StoredFile>& files) {
  for (const StoredFile& file : files) {
    INFO(file.path);
    CHECK(file.size == static_cast<int64_t>(fs::file_size(root + "/" + file.path)));
    CHECK(file.sha256 == checksum::Sha256OfFile(root + "/" + file.path).value());
  }
}

TEST_CASE_METHOD(SinkFixture, "one file in, one file out, and not before the commit") {
  PlanFile();
  auto sink = OpenSink(Target("o.safetensors"));
  REQUIRE(sink.ok());
  const std::vector<std::byte> piece(8, std::byte{0x5A});
  REQUIRE((*sink)->Write(0, "a.weight_packed", 16, piece).ok());
  std::vector<std::byte> read(10);
  REQUIRE((*sink)->Read(0, "a.weight_packed", 15, read).ok());
  CHECK(read[0] == std::byte{0});
  CHECK(read[1] == std::byte{0x5A});
  CHECK(read[9] == std::byte{0});
  CHECK_FALSE(fs::exists(directory / "out/o.safetensors"));
  CHECK((*sink)->bytes_written() ==
        8 + static_cast<int64_t>(plan.outputs[0].layout.header().size()));

  const auto files = (*sink)->Commit({});
  REQUIRE(files.ok());
  sink->reset();
  CHECK(Outputs() == Names{"o.safetensors"});
  REQUIRE(files->size() == 1);
  CHECK(files->at(0).path == "o.safetensors");
  CheckSums(directory / "out", *files);
  CHECK(fs::file_size(directory / "out/o.safetensors") == plan.output_bytes);
}

TEST_CASE_METHOD(SinkFixture, "a directory in, a directory of the same layout out") {
  PlanDirectory();
  auto sink = OpenSink(Target("o"));
  REQUIRE(sink.ok());
  CHECK_FALSE(fs::exists(directory / "out/o"));
  const auto files = (*sink)->Commit({});
  REQUIRE(files.ok());
  sink->reset();
  CHECK(Outputs() == Names{"o", "o/config.json", "o/model.safetensors", "o/sub",
                           "o/sub/more.safetensors", "o/sub/tokenizer.txt"});
  CHECK(ReadText(directory / "out/o/sub/tokenizer.txt") == "words");
  CHECK(ReadText(directory / "out/o/config.json").find("\"seedlm\"") != std::string::npos);
  CHECK(files->size() == 4);
  CheckSums(directory / "out/o", *files);
}

TEST_CASE_METHOD(SinkFixture, "a sink without a commit leaves nothing") {
  const bool whole_directory = GENERATE(false, true);
  whole_directory ? PlanDirectory() : PlanFile();
  {
    auto sink = OpenSink(Target("o"));
    REQUIRE(sink.ok());
    CHECK_FALSE(Outputs().empty());  // the staging directory
  }
  CHECK(Outputs().empty());
}

TEST_CASE_METHOD(SinkFixture, "a stop before the end leaves nothing") {
  const bool whole_directory = GENERATE(false, true);
  whole_directory ? PlanDirectory() : PlanFile();
  std::stop_source stop;
  stop.request_stop();
  auto sink = OpenSink(Target("o"));
  REQUIRE(sink.ok());
  CHECK(absl::IsCancelled((*sink)->Commit(stop.get_token()).status()));
  sink->reset();
  CHECK(Outputs().empty());
}

TEST_CASE_METHOD(SinkFixture, "what is overwritten is there until the new one is") {
  const bool whole_directory = GENERATE(false, true);
  whole_directory ? PlanDirectory() : PlanFile();
  const std::string old_file =
      whole_directory ? directory / "out/o/config.json" : directory / "out/o";
  WriteText(old_file, "old");
  if (whole_directory) WriteCompressed(directory / "out/o/model.safetensors");
  CHECK_THAT(OpenSink(Target("o")).status(), IsStatus(Code::kAlreadyExists, {directory / "out/o"}));
  SinkTarget target = Target("o");
  target.overwrite = true;
  SECTION("given up") {
    { REQUIRE(OpenSink(target).ok()); }
    CHECK(ReadText(old_file) == "old");
  }
  SECTION("committed") {
    auto sink = OpenSink(target);
    REQUIRE(sink.ok());
    CHECK(ReadText(old_file) == "old");
    REQUIRE((*sink)->Commit({}).ok());
    sink->reset();
    CHECK(ReadText(old_file) != "old");
  }
  for (const std::string& name : Outputs()) CHECK(name.front() != '.');
}

TEST_CASE_METHOD(SinkFixture, "an output that appeared meanwhile is not overwritten") {
  PlanFile();
  auto sink = OpenSink(Target("o.safetensors"));
  REQUIRE(sink.ok());
  WriteText(directory / "out/o.safetensors", "somebody else's");
  CHECK_THAT((*sink)->Commit({}).status(),
             IsStatus(Code::kAlreadyExists, {directory / "out/o.safetensors"}));
  sink->reset();
  CHECK(ReadText(directory / "out/o.safetensors") == "somebody else's");
  CHECK(Outputs() == Names{"o.safetensors"});
}

TEST_CASE_METHOD(SinkFixture, "leftovers of the same job do not stand in the way") {
  PlanFile();
  WriteText(StagingPath(Target("o.safetensors")) + "/half", "x");
  auto sink = OpenSink(Target("o.safetensors"));
  REQUIRE(sink.ok());
  REQUIRE((*sink)->Commit({}).ok());
  sink->reset();
  CHECK(Outputs() == Names{"o.safetensors"});
}

TEST_CASE_METHOD(SinkFixture, "a job's result is a directory with a mark") {
  PlanFile();
  SinkTarget target{directory / "out/result", true, true, true, "job1"};
  auto sink = OpenSink(target);
  REQUIRE(sink.ok());
  const auto files = (*sink)->Commit({});
  REQUIRE(files.ok());
  REQUIRE(files->size() == 1);
  CHECK(files->at(0).path == "in.safetensors");
  sink->reset();
  CHECK(Outputs() == Names{"result", "result/.seedlm-result", "result/in.safetensors"});
}

TEST_CASE_METHOD(SinkFixture, "what is built in the data directory is for nobody else") {
  const mode_t before = umask(022);
  PlanDirectory();
  SinkTarget target = Target("o");
  const std::string kind = GENERATE("result", "for S3", "at a user's place");
  target.result = kind == "result";
  if (kind == "for S3") target.s3 = s3::Location{"bucket", "prefix"};
  auto sink = OpenSink(target);
  REQUIRE(sink.ok());
  REQUIRE((*sink)->Commit({}).ok());
  umask(before);
  const bool ours = target.in_data_dir();
  int looked_at = 0;
  for (const auto& entry : fs::recursive_directory_iterator(directory / "out")) {
    INFO(entry.path());
    const auto mode = static_cast<unsigned>(entry.status().permissions());
    CHECK(mode == (entry.is_directory() ? (ours ? 0700 : 0755) : (ours ? 0600 : 0644)));
    ++looked_at;
  }
  CHECK(looked_at >= 6);
}

TEST_CASE_METHOD(SinkFixture, "a copied file that is gone is named") {
  PlanDirectory();
  auto sink = OpenSink(Target("o"));
  REQUIRE(sink.ok());
  fs::remove(directory / "in/sub/tokenizer.txt");
  CHECK_THAT((*sink)->Commit({}).status(),
             IsStatus(Code::kNotFound, {directory / "in/sub/tokenizer.txt"}));
  sink->reset();
  CHECK(Outputs().empty());
}

TEST_CASE_METHOD(SinkFixture, "a full disk is refused before the first weight, by name") {
  PlanFile();
  absl::Status status;
  {
    const FileSizeLimit limit(1024);
    status = OpenSink(Target("o.safetensors")).status();
  }
  CHECK_THAT(status, IsStatus(Code::kResourceExhausted, {directory / "out/o.safetensors: "}));
  CHECK(Outputs().empty());
  PlanDirectory();
  {
    const FileSizeLimit limit(64);
    status = OpenSink(Target("o")).status();
  }
  CHECK_THAT(status, IsStatus(Code::kResourceExhausted, {directory / "out/o/"}));
  CHECK_FALSE(absl::StrContains(status.message(), "seedlm-partial"));
  CHECK(Outputs().empty());
}

}  // namespace
}  // namespace seedlm::server
