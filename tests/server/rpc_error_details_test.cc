// What an error says to a program, over a real channel: the field, file, tensor and offset at
// fault.
#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "kernels/checksum/crc32c.h"
#include "tests/server/rpc_fixture.h"

namespace seedlm::server {
namespace {

using Metadata = std::map<std::string, std::string>;

void CheckError(const WireError& error, grpc::StatusCode code, const std::string& reason,
                const Metadata& metadata) {
  INFO(error.status.message());
  CHECK(error.status.code() == static_cast<int>(code));
  CHECK(error.info.reason() == reason);
  CHECK(Metadata(error.info.metadata().begin(), error.info.metadata().end()) == metadata);
}

void CheckError(const grpc::Status& status, grpc::StatusCode code, const std::string& reason,
                const Metadata& metadata) {
  CheckError(Explain(status), code, reason, metadata);
}

// A safetensors file of this header and data.
std::string File(const std::string& header, const std::string& data) {
  const uint64_t length = header.size();
  std::string text(sizeof length, '\0');
  std::memcpy(text.data(), &length, sizeof length);
  return text + header + data;
}

std::string Entry(const std::string& name, int64_t begin, int64_t end) {
  return "\"" + name + R"(":{"dtype":"U8","shape":[)" + std::to_string(end - begin) +
         R"(],"data_offsets":[)" + std::to_string(begin) + "," + std::to_string(end) + "]}";
}

// Where the data of `File(header, ..)` begins, and some bytes more.
std::string DataOffset(const std::string& header, size_t more) {
  return std::to_string(sizeof(uint64_t) + header.size() + more);
}

void Write(const std::filesystem::path& path, const std::string& content) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << content;
}

TEST_CASE("a damaged checkpoint: which file, which tensor, which byte") {
  RpcFixture fixture;
  const std::string hole = "{" + Entry("a", 0, 4) + "," + Entry("b.weight", 6, 8) + "}";
  const std::string overlap = "{" + Entry("a", 0, 4) + "," + Entry("b", 2, 8) + "}";
  const std::string truncated = "{" + Entry("a", 0, 4) + "," + Entry("b", 4, 90) + "}";
  const std::string rest = "{" + Entry("a", 0, 4) + "}";
  const std::string no_json = R"({"a":x})";
  const std::string dtype = R"({"q":{"dtype":"Q9","shape":[1],"data_offsets":[0,1]}})";
  const std::string twice = "{" + Entry("a", 0, 4) + "}";
  struct Case {
    const char* what;
    std::map<std::string, std::string> files;
    Metadata metadata;  // but for the field
  };
  const std::vector<Case> cases{
      {"a hole",
       {{"m.safetensors", File(hole, "12345678")}},
       {{"file", "m.safetensors"}, {"tensor", "b.weight"}, {"offset", DataOffset(hole, 4)}}},
      {"an overlap",
       {{"m.safetensors", File(overlap, "12345678")}},
       {{"file", "m.safetensors"}, {"tensor", "b"}, {"offset", DataOffset(overlap, 2)}}},
      {"a truncated file",
       {{"d/m.safetensors", File(truncated, "12345678")}},
       {{"file", "d/m.safetensors"}, {"tensor", "b"}, {"offset", DataOffset(truncated, 4)}}},
      {"bytes of no tensor",
       {{"m.safetensors", File(rest, "12345")}},
       {{"file", "m.safetensors"}, {"offset", DataOffset(rest, 4)}}},
      {"a header that is no JSON",
       {{"m.safetensors", File(no_json, "")}},
       {{"file", "m.safetensors"}, {"offset", "13"}}},
      {"a header past the end",
       {{"m.safetensors", File("{}", "").substr(0, 9)}},
       {{"file", "m.safetensors"}, {"offset", "9"}}},
      {"an empty file", {{"m.safetensors", ""}}, {{"file", "m.safetensors"}, {"offset", "0"}}},
      {"an unknown dtype",
       {{"m.safetensors", File(dtype, "1")}},
       {{"file", "m.safetensors"}, {"tensor", "q"}}},
      {"a tensor in two files",
       {{"1.safetensors", File(twice, "1234")}, {"2.safetensors", File(twice, "1234")}},
       {{"file", "2.safetensors"}, {"tensor", "a"}}},
      {"an index that names what is not there",
       {{"m.safetensors", File(rest, "1234")},
        {"m.safetensors.index.json", R"({"weight_map":{"no":"m.safetensors"}})"}},
       {{"file", "m.safetensors.index.json"}, {"tensor", "no"}}},
  };
  for (size_t i = 0; i < cases.size(); ++i) {
    CAPTURE(cases[i].what);
    const std::string name = "in" + std::to_string(i);
    for (const auto& [path, content] : cases[i].files) {
      Write(fixture.root() / name / path, content);
    }
    Metadata metadata = cases[i].metadata;
    metadata["field"] = "job.source";
    v1::Job job;
    CheckError(fixture.Create(fixture.FileJob(name, "out"), &job),
               grpc::StatusCode::INVALID_ARGUMENT, "CHECKPOINT_INVALID", metadata);
  }
}

TEST_CASE("a weight that is not finite: in which file, tensor, row and column, at which byte") {
  RpcFixture fixture;
  const std::filesystem::path path = fixture.root() / "in" / "nan.safetensors";
  std::filesystem::create_directory(path.parent_path());
  WriteCheckpoint(path, {{"a.weight"}, {"b.weight", 64, 96}});
  std::string bytes = ReadWholeFile(path);
  const size_t place = bytes.size() - (64 * 96 - (3 * 96 + 5)) * sizeof(float);
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(bytes.data() + place, &nan, sizeof nan);
  Write(path, bytes);
  const v1::Job job = fixture.Await(fixture.MustCreate(fixture.FileJob("in", "out")));
  CheckError(Explain(job.error()), grpc::StatusCode::INVALID_ARGUMENT, "WEIGHT_NOT_FINITE",
             {{"file", "nan.safetensors"},
              {"tensor", "b.weight"},
              {"row", "3"},
              {"column", "5"},
              {"offset", std::to_string(place)}});
}

TEST_CASE("a chunk that is refused: of which file, at which offset") {
  RpcFixture fixture;
  const std::string resource = "artifacts/a/files/d/m.safetensors";
  const std::string file = "d/m.safetensors";
  v1::WriteArtifactResponse written;
  CHECK_FALSE(fixture.Upload({resource, "0123456789", 4, 0, false}, &written).ok());  // no finish
  CheckError(fixture.Upload({resource, "0123456789", 10, 3}, &written),
             grpc::StatusCode::OUT_OF_RANGE, "OFFSET_MISMATCH",
             {{"field", "offset"}, {"file", file}, {"offset", "3"}, {"committed_size", "10"}});
  CheckError(fixture.Upload({resource, std::string((2 << 20) + 11, 'x'), 4 << 20, 10}, &written),
             grpc::StatusCode::INVALID_ARGUMENT, "CHUNK_TOO_LARGE",
             {{"field", "data"}, {"file", file}, {"offset", "10"}, {"committed_size", "10"}});

  v1::WriteArtifactRequest damaged;
  damaged.set_resource_name(resource);
  damaged.set_offset(10);
  damaged.set_data("ab");
  damaged.set_crc32c(checksum::Crc32c(std::string("ba")));
  grpc::ClientContext context;
  const auto writer = fixture.artifacts().WriteArtifact(&context, &written);
  (void)writer->Write(damaged);
  writer->WritesDone();
  CheckError(writer->Finish(), grpc::StatusCode::DATA_LOSS, "CHECKSUM_MISMATCH",
             {{"file", file}, {"offset", "10"}, {"committed_size", "10"}});
}

TEST_CASE("reading and watching past the end: how far there is something") {
  RpcFixture fixture;
  v1::WriteArtifactResponse written;
  REQUIRE(fixture.Upload({"artifacts/a/files/m.bin", "0123456789"}, &written).ok());
  std::string data;
  CheckError(fixture.Download("artifacts/a/files/m.bin", 11, &data), grpc::StatusCode::OUT_OF_RANGE,
             "OUT_OF_RANGE",
             {{"field", "offset"}, {"file", "m.bin"}, {"offset", "11"}, {"size", "10"}});

  WriteCheckpoint(fixture.root() / "in.safetensors", SmallTensors());
  const v1::Job job =
      fixture.Await(fixture.MustCreate(fixture.FileJob("in.safetensors", "out.safetensors")));
  std::vector<v1::JobEvent> events;
  REQUIRE(fixture.Watch(job.name(), 0, {}, &events).ok());
  const std::string last = std::to_string(Sequences(events).back());
  CheckError(fixture.Watch(job.name(), 1000, {}, &events), grpc::StatusCode::OUT_OF_RANGE,
             "OUT_OF_RANGE", {{"field", "after_sequence"}, {"last_sequence", last}});
}

}  // namespace
}  // namespace seedlm::server
