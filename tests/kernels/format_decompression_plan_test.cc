#include <catch2/catch.hpp>
#include <cstring>
#include <nlohmann/json.hpp>

#include "kernels/codec/narrow.h"
#include "kernels/format/decompression_plan.h"
#include "tests/kernels/format_support.h"
#include "tests/kernels/read_tensor.h"

namespace seedlm::format {
namespace {

using nlohmann::json;

absl::Status Quiet(const RestoredTensor&, const RestoredBatch&) { return absl::OkStatus(); }

void WritePacked(const std::string& path, std::vector<TensorData> planes, DType dtype,
                 const codec::Profile& profile = codec::k4bit) {
  const PackedMetadata metadata{
      profile, codec::Fit::kOptimal, codec::ScaleRule::kPow2, {{"w", dtype}}};
  WriteSafetensors(path, planes, {{"seedlm", metadata.ToJson()}, {"format", "pt"}});
}

// The tensor `w` of a packed file, row by row, in float32.
std::vector<float> Decoded(const std::string& path) {
  const auto file = OpenPackedFile(path);
  REQUIRE(Message(file.status()) == "");
  const PackedTensor& tensor = file->packed[0];
  std::vector<float> weights;
  for (int64_t row = 0; row < tensor.rows; ++row) {
    const std::vector<float> decoded = DecodedRow(tensor, row);
    weights.insert(weights.end(), decoded.begin(), decoded.end());
  }
  return weights;
}

template <typename T>
std::vector<T> Restored(const std::string& path, DType dtype) {
  const auto file = SafetensorsFile::Open(path);
  REQUIRE(Message(file.status()) == "");
  const TensorInfo* tensor = (*file)->Find("w");
  REQUIRE(tensor != nullptr);
  CHECK(tensor->dtype == dtype);
  const auto data = BytesOf(**file, *tensor);
  std::vector<T> values(data.size() / sizeof(T));
  std::memcpy(values.data(), data.data(), data.size());
  return values;
}

void Restore(const std::string& from, const std::string& to, RestoredDType dtype) {
  const auto checkpoint = Checkpoint::Open(from);
  REQUIRE(Message(checkpoint.status()) == "");
  const auto plan = PlanDecompression(*checkpoint, dtype);
  REQUIRE(Message(plan.status()) == "");
  REQUIRE(Message(RestoreCheckpoint(*plan, to, IfExists::kFail, Quiet)) == "");
}

TEST_CASE("a source that is truncated while it is restored is an error, and leaves nothing") {
  const TemporaryDirectory directory;
  std::mt19937 random(10);
  auto tensors = RandomPlanes("w", codec::k4bit, 64, 64, random);
  tensors.push_back(RandomTensor("v", DType::kU8, {100}, random));
  WritePacked(directory.path("in"), tensors, DType::kF32);
  const auto checkpoint = Checkpoint::Open(directory.path("in"));
  REQUIRE(Message(checkpoint.status()) == "");
  const auto plan = PlanDecompression(*checkpoint, {});
  REQUIRE(Message(plan.status()) == "");
  std::string next = "w_packed";
  SECTION("before its first code") { std::filesystem::resize_file(directory.path("in"), 8); }
  SECTION("between two tensors") { next = "v"; }
  const absl::Status status =
      RestoreCheckpoint(*plan, directory.path("out"), IfExists::kFail,
                        [&](const RestoredTensor&, const RestoredBatch&) {
                          std::filesystem::resize_file(directory.path("in"), 8);
                          return absl::OkStatus();
                        });
  CHECK(status.code() == absl::StatusCode::kFailedPrecondition);
  CHECK(status.message() == directory.path("in") + ": became shorter while tensor '" + next +
                                "' was being read; start again");
  CHECK(directory.List() == std::vector<std::string>{"in"});
}

TEST_CASE("tensors are restored in the dtype of the source or in the one asked for") {
  const TemporaryDirectory directory;
  std::mt19937 random(9);
  WritePacked(directory.path("in"), RandomPlanes("w", codec::k3bit, 70, 101, random), DType::kBF16,
              codec::k3bit);
  const std::vector<float> weights = Decoded(directory.path("in"));
  Restore(directory.path("in"), directory.path("source"), std::nullopt);
  Restore(directory.path("in"), directory.path("f32"), DType::kF32);
  Restore(directory.path("in"), directory.path("f16"), DType::kF16);
  const auto source = Restored<uint16_t>(directory.path("source"), DType::kBF16);
  const auto f32 = Restored<float>(directory.path("f32"), DType::kF32);
  const auto f16 = Restored<uint16_t>(directory.path("f16"), DType::kF16);
  REQUIRE(source.size() == weights.size());
  CHECK(std::memcmp(f32.data(), weights.data(), weights.size() * sizeof(float)) == 0);
  size_t different = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    different += source[i] != codec::ToBfloat16(weights[i]);
    different += f16[i] != codec::ToFloat16(weights[i]);
  }
  CHECK(different == 0);
  const auto file = SafetensorsFile::Open(directory.path("source"));
  CHECK((*file)->metadata() == std::map<std::string, std::string>{{"format", "pt"}});
  CHECK((*file)->Find("w")->shape == std::vector<int64_t>{70, 101});
}

TEST_CASE("a weight too large for float16 becomes infinite") {
  const TemporaryDirectory directory;
  std::mt19937 random(10);
  auto planes = RandomPlanes("w", codec::k4bit, 4, 64, random);
  std::vector<float> scale(16, 1e30f);
  planes[1].bytes.assign(reinterpret_cast<const char*>(scale.data()), 64);
  REQUIRE(planes[1].spec.name == "w_scale");
  WritePacked(directory.path("in"), planes, DType::kF16);
  Restore(directory.path("in"), directory.path("out"), std::nullopt);
  const std::vector<float> weights = Decoded(directory.path("in"));
  const auto halves = Restored<uint16_t>(directory.path("out"), DType::kF16);
  for (size_t i = 0; i < weights.size(); ++i) {
    const uint16_t expected = weights[i] > 0 ? 0x7C00 : weights[i] < 0 ? 0xFC00 : 0;
    CHECK((weights[i] == 0 ? halves[i] & 0x7FFF : halves[i]) == expected);
  }
}

TEST_CASE("rows longer than a batch and many batches give the same bytes") {
  const TemporaryDirectory directory;
  std::mt19937 random(11);
  const auto [rows, columns] = GENERATE(std::pair(3, 2'000'003), std::pair(40'001, 77));
  WritePacked(directory.path("in"), RandomPlanes("w", codec::k2bit, rows, columns, random),
              DType::kF32, codec::k2bit);
  const auto plan = PlanDecompression(*Checkpoint::Open(directory.path("in")), std::nullopt);
  REQUIRE(Message(plan.status()) == "");
  uint64_t told = 0;
  uint64_t largest = 0;
  const absl::Status status =
      RestoreCheckpoint(*plan, directory.path("out"), IfExists::kFail,
                        [&](const RestoredTensor& tensor, const RestoredBatch& batch) {
                          CHECK(tensor.name() == "w");
                          told += batch.bytes;
                          largest = std::max(largest, batch.bytes);
                          return absl::OkStatus();
                        });
  REQUIRE(Message(status) == "");
  CHECK(told == plan->tensor_bytes);
  CHECK(plan->tensor_bytes == static_cast<uint64_t>(rows) * columns * 4);
  CHECK(plan->weights == static_cast<int64_t>(rows) * columns);
  CHECK(largest < (8 << 20));
  const auto restored = Restored<float>(directory.path("out"), DType::kF32);
  const auto expected = Decoded(directory.path("in"));
  REQUIRE(restored.size() == expected.size());
  CHECK(std::memcmp(restored.data(), expected.data(), expected.size() * sizeof(float)) == 0);
}

TEST_CASE("a directory goes there and back: names, index, config, other files") {
  const TemporaryDirectory directory;
  std::mt19937 random(12);
  WriteSafetensors(directory.path("in/m-1.safetensors"),
                   {RandomTensor("w.weight", DType::kF16, {64, 100}, random),
                    RandomTensor("norm.weight", DType::kF32, {5}, random)},
                   {{"format", "pt"}});
  WriteSafetensors(directory.path("in/sub/m-2.safetensors"),
                   {RandomTensor("v.weight", DType::kF32, {80, 64}, random)});
  const json index = json::parse(R"({"metadata":{"total_size":33300},"weight_map":{
      "w.weight":"m-1.safetensors","norm.weight":"m-1.safetensors",
      "v.weight":"sub/m-2.safetensors"}})");
  const std::string config = R"({"model_type": "x", "layers": [1, 2], "limit": [0.0, Infinity]})";
  WriteBytes(directory.path("in/model.safetensors.index.json"), index.dump());
  WriteBytes(directory.path("in/config.json"), config);
  WriteBytes(directory.path("in/.gitattributes"), "*.safetensors lfs");
  WriteBytes(directory.path("in/sub/vocab.txt"), "vocab");
  const auto source = Checkpoint::Open(directory.path("in"));
  REQUIRE(Message(source.status()) == "");
  const auto compression = PlanCompression(*source, {});
  REQUIRE(Message(compression.status()) == "");
  WritePlan(*source, *compression, directory.path("packed"), random);
  Restore(directory.path("packed"), directory.path("out"), std::nullopt);

  const auto out = Checkpoint::Open(directory.path("out"));
  REQUIRE(Message(out.status()) == "");
  CHECK(out->other_files == source->other_files);
  REQUIRE(out->files.size() == 2);
  for (size_t i = 0; i < 2; ++i) {
    CHECK(out->files[i].relative_path == source->files[i].relative_path);
    CHECK(out->files[i].file->metadata() == source->files[i].file->metadata());
    for (const TensorInfo& tensor : source->files[i].file->tensors()) {
      const TensorInfo* found = out->files[i].file->Find(tensor.name);
      REQUIRE(found != nullptr);
      CHECK(found->dtype == tensor.dtype);
      CHECK(found->shape == tensor.shape);
    }
  }
  const auto norm = [](const Checkpoint& checkpoint) {
    const SafetensorsFile& file = *checkpoint.files[0].file;
    return BytesOf(file, *file.Find("norm.weight"));
  };
  CHECK(norm(*out) == norm(*source));
  CHECK(ReadBytes(directory.path("out/config.json")) == config);
  CHECK(json::parse(ReadBytes(directory.path(
            "out/sub/../model.safetensors.index.json")))["weight_map"] == index["weight_map"]);
  CHECK(json::parse(ReadBytes(
            directory.path("out/model.safetensors.index.json")))["metadata"]["total_size"] ==
        64 * 100 * 2 + 5 * 4 + 80 * 64 * 4);
  CHECK(ReadBytes(directory.path("out/sub/vocab.txt")) == "vocab");
}

TEST_CASE("what fails on the way leaves nothing") {
  const TemporaryDirectory directory;
  std::mt19937 random(13);
  auto planes = RandomPlanes("w", codec::k4bit, 3, 16, random);
  SECTION("a zero seed") {
    planes[0].bytes.replace(4 * 5, 2, 2, '\0');
    WritePacked(directory.path("in"), planes, DType::kF32);
    const auto plan = PlanDecompression(*Checkpoint::Open(directory.path("in")), std::nullopt);
    const absl::Status status =
        RestoreCheckpoint(*plan, directory.path("out"), IfExists::kFail, Quiet);
    CHECK(status.code() == absl::StatusCode::kInvalidArgument);
    CHECK_THAT(Message(status), Catch::Contains(directory.path("in") +
                                                ": tensor 'w': row 2, block 1: the seed is zero"));
  }
  SECTION("the caller stops") {
    WritePacked(directory.path("in"), planes, DType::kF32);
    const auto plan = PlanDecompression(*Checkpoint::Open(directory.path("in")), std::nullopt);
    const absl::Status status = RestoreCheckpoint(
        *plan, directory.path("out"), IfExists::kFail,
        [](const RestoredTensor&, const RestoredBatch&) { return absl::CancelledError("enough"); });
    CHECK(status.code() == absl::StatusCode::kCancelled);
  }
  CHECK(directory.List() == std::vector<std::string>{"in"});
}

TEST_CASE("an existing output is kept") {
  const TemporaryDirectory directory;
  std::mt19937 random(14);
  WritePacked(directory.path("in"), RandomPlanes("w", codec::k4bit, 3, 16, random), DType::kF32);
  WriteBytes(directory.path("out"), "theirs");
  const auto plan = PlanDecompression(*Checkpoint::Open(directory.path("in")), std::nullopt);
  CHECK(RestoreCheckpoint(*plan, directory.path("out"), IfExists::kFail, Quiet).code() ==
        absl::StatusCode::kAlreadyExists);
  CHECK(ReadBytes(directory.path("out")) == "theirs");
  CHECK(RestoreCheckpoint(*plan, directory.path("out"), IfExists::kReplace, Quiet).ok());
  CHECK(Restored<float>(directory.path("out"), DType::kF32) == Decoded(directory.path("in")));
}

TEST_CASE("what cannot be decompressed is refused") {
  const TemporaryDirectory directory;
  std::mt19937 random(15);
  WriteSafetensors(directory.path("plain"), {RandomTensor("w", DType::kF32, {2, 2}, random)});
  const absl::Status plain =
      PlanDecompression(*Checkpoint::Open(directory.path("plain")), std::nullopt).status();
  CHECK(plain.code() == absl::StatusCode::kInvalidArgument);
  CHECK_THAT(Message(plain), Catch::Contains(directory.path("plain") + ": holds no compressed"));

  WritePacked(directory.path("d/a.safetensors"), RandomPlanes("w", codec::k4bit, 3, 16, random),
              DType::kF32);
  CHECK_THAT(
      Message(PlanDecompression(*Checkpoint::Open(directory.path("d")), DType::kI8).status()),
      Catch::Contains("weights cannot be restored as I8"));
  WriteSafetensors(directory.path("d/b.safetensors"),
                   {RandomTensor("w", DType::kF32, {2, 2}, random)});
  const absl::Status twice =
      PlanDecompression(*Checkpoint::Open(directory.path("d")), std::nullopt).status();
  CHECK(twice.code() == absl::StatusCode::kInvalidArgument);
  CHECK_THAT(Message(twice), Catch::Contains("b.safetensors: tensor 'w': is also in 'a.safet"));
}

TEST_CASE("names of dtypes") {
  CHECK(ParseRestoredDType("source").value() == std::nullopt);
  CHECK(ParseRestoredDType("f32").value() == DType::kF32);
  CHECK(ParseRestoredDType("f16").value() == DType::kF16);
  CHECK(ParseRestoredDType("bf16").value() == DType::kBF16);
  const absl::Status status = ParseRestoredDType("F32").status();
  CHECK(status.code() == absl::StatusCode::kInvalidArgument);
  CHECK_THAT(Message(status), Catch::Contains("'F32'"));
}

}  // namespace
}  // namespace seedlm::format
