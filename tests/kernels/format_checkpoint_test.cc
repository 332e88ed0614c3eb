#include <catch2/catch.hpp>

#include "kernels/format/checkpoint.h"
#include "tests/kernels/format_support.h"

namespace seedlm::format {
namespace {

namespace fs = std::filesystem;

void WriteOne(const std::string& path, const std::string& tensor) {
  WriteSafetensors(path, {{{tensor, DType::kU8, {2}}, "ab"}});
}

TEST_CASE("a single file is a checkpoint") {
  const TemporaryDirectory directory;
  WriteOne(directory.path("m.safetensors"), "w");
  const auto checkpoint = Checkpoint::Open(directory.path("m.safetensors"));
  REQUIRE(Message(checkpoint.status()) == "");
  CHECK_FALSE(checkpoint->is_directory);
  REQUIRE(checkpoint->files.size() == 1);
  CHECK(checkpoint->files[0].relative_path == "m.safetensors");
  CHECK(checkpoint->other_files.empty());
}

TEST_CASE("a directory is read in a fixed order, hidden directories left out, links followed") {
  const TemporaryDirectory directory;
  WriteOne(directory.path("blobs/1234"), "b");
  WriteOne(directory.path("model/z.safetensors"), "z");
  WriteOne(directory.path("model/sub/a.safetensors"), "a");
  fs::create_symlink("../blobs/1234", directory.path("model/m.safetensors"));
  WriteBytes(directory.path("model/config.json"), "{}");
  WriteBytes(directory.path("model/sub/notes.txt"), "x");
  WriteBytes(directory.path("model/.hidden.safetensors"), "not one");
  WriteBytes(directory.path("model/.cache/x.safetensors"), "not one");
  WriteBytes(directory.path("model/.seedlm-0123456789abcdef.tmp"), "left behind");
  const auto checkpoint = Checkpoint::Open(directory.path("model"));
  REQUIRE(Message(checkpoint.status()) == "");
  CHECK(checkpoint->is_directory);
  std::vector<std::string> names;
  for (const CheckpointFile& file : checkpoint->files) names.push_back(file.relative_path);
  CHECK(names == std::vector<std::string>{"m.safetensors", "sub/a.safetensors", "z.safetensors"});
  CHECK(checkpoint->other_files ==
        std::vector<std::string>{".hidden.safetensors", "config.json", "sub/notes.txt"});
}

TEST_CASE("an index may name files below it, and leave tensors out") {
  const TemporaryDirectory directory;
  WriteSafetensors(directory.path("part/a.safetensors"),
                   {{{"a", DType::kU8, {1}}, "x"}, {{"rest", DType::kU8, {1}}, "y"}});
  WriteBytes(directory.path("part/model.safetensors.index.json"),
             R"({"weight_map":{"a":"a.safetensors"}})");
  WriteBytes(directory.path("model.safetensors.index.json"),
             R"({"metadata":{},"weight_map":{"a":"./part/a.safetensors"}})");
  CHECK(Message(Checkpoint::Open(directory.path()).status()) == "");
}

TEST_CASE("the index of a variant is one, too, if what it says is so") {
  const TemporaryDirectory directory;
  WriteOne(directory.path("model.fp16.safetensors"), "a");
  const char* const name = "model.safetensors.index.fp16.json";
  WriteBytes(directory.path(name), R"({"weight_map":{"a":"model.fp16.safetensors"}})");
  auto checkpoint = Checkpoint::Open(directory.path());
  REQUIRE(Message(checkpoint.status()) == "");
  CHECK(checkpoint->IsIndex(name));
  // Left over by a download of all *.json, without the variant.
  for (const char* stale : {R"({"weight_map":{"a":"model.safetensors"}})", "no index"}) {
    WriteBytes(directory.path(name), stale);
    checkpoint = Checkpoint::Open(directory.path());
    REQUIRE(Message(checkpoint.status()) == "");
    CHECK_FALSE(checkpoint->IsIndex(name));
    CHECK(checkpoint->other_files == std::vector<std::string>{name});
  }
  fs::remove(directory.path(name));
  for (const char* other : {"model.safetensors.index.json.bak", "safetensors.index.fp16.json",
                            "m.safetensors.index.d/x.json"}) {
    WriteBytes(directory.path(other), "no index");
    CHECK(Message(Checkpoint::Open(directory.path()).status()) == "");
  }
}

TEST_CASE("two variants side by side are refused: which one is meant, nobody says") {
  const TemporaryDirectory directory;
  for (const std::string variant : {"", "fp16."}) {
    const std::string file = "model." + variant + "safetensors";
    WriteOne(directory.path(file), "a");
    WriteBytes(directory.path("model.safetensors.index." + variant + "json"),
               "{\"weight_map\":{\"a\":\"" + file + "\"}}");
  }
  CHECK_THAT(Message(Checkpoint::Open(directory.path()).status()),
             Catch::Contains("model.safetensors: tensor 'a': is also in 'model.fp16.safetensors'"));
  fs::remove(directory.path("model.safetensors"));  // the other index is left over
  CHECK_THAT(Message(Checkpoint::Open(directory.path()).status()),
             Catch::Contains("model.safetensors.index.json: tensor 'a'") &&
                 Catch::Contains("'model.safetensors' is missing"));
}

TEST_CASE("a directory that cannot be read to its end is refused by name") {
  const TemporaryDirectory directory;
  const auto refusal = [&](absl::StatusCode code) {
    const absl::Status status = Checkpoint::Open(directory.path()).status();
    CHECK(status.code() == code);
    return std::string(status.message());
  };
  WriteOne(directory.path("m.safetensors"), "w");
  SECTION("a link to nothing") {
    fs::create_symlink("nowhere", directory.path("x.safetensors"));
    CHECK_THAT(refusal(absl::StatusCode::kNotFound), Catch::Contains("x.safetensors: cannot open"));
  }
  SECTION("a link to its own directory") {
    fs::create_directory_symlink(".", directory.path("loop"));
    CHECK_THAT(refusal(absl::StatusCode::kInvalidArgument), Catch::Contains("nested deeper"));
  }
  SECTION("a broken file in a shard") {
    WriteBytes(directory.path("n.safetensors"), "short");
    CHECK_THAT(refusal(absl::StatusCode::kInvalidArgument), Catch::Contains("n.safetensors: "));
  }
}

TEST_CASE("a missing path is not found") {
  const TemporaryDirectory directory;
  const absl::Status status = Checkpoint::Open(directory.path("no")).status();
  CHECK(status.code() == absl::StatusCode::kNotFound);
  CHECK_THAT(Message(status), Catch::Contains(directory.path("no")));
}

}  // namespace
}  // namespace seedlm::format
