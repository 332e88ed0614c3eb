#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <limits>
#include <thread>

#include "kernels/format/safetensors.h"
#include "tests/kernels/format_support.h"
#include "tests/kernels/read_tensor.h"

namespace seedlm::format {
namespace {

constexpr std::array kAllDTypes{DType::kBool,   DType::kU8,     DType::kI8,  DType::kF8E4M3,
                                DType::kF8E5M2, DType::kF8E8M0, DType::kF4,  DType::kF6E2M3,
                                DType::kF6E3M2, DType::kI16,    DType::kU16, DType::kF16,
                                DType::kBF16,   DType::kI32,    DType::kU32, DType::kF32,
                                DType::kI64,    DType::kU64,    DType::kF64, DType::kC64};

std::string DataOf(const SafetensorsFile& file, std::string_view name) {
  const TensorInfo* tensor = file.Find(name);
  REQUIRE(tensor != nullptr);
  const std::vector<std::byte> data = BytesOf(file, *tensor);
  return {reinterpret_cast<const char*>(data.data()), data.size()};
}

TEST_CASE("dtypes have the names of the format, and widths") {
  for (const DType type : kAllDTypes) CHECK(ParseDType(Name(type)) == type);
  CHECK(Name(DType::kF8E4M3) == "F8_E4M3");
  CHECK(BitWidth(DType::kF4) == 4);
  CHECK(BitWidth(DType::kF6E2M3) == 6);
  CHECK(BitWidth(DType::kBF16) == 16);
  CHECK(BitWidth(DType::kC64) == 64);
  CHECK(ParseDType("f32") == std::nullopt);
  CHECK(ParseDType("") == std::nullopt);
}

TEST_CASE("sizes of tensors, and the edges of their range") {
  const auto size = [](DType dtype, std::vector<int64_t> shape) {
    return ByteSize(dtype, shape).value_or(UINT64_MAX);
  };
  CHECK(size(DType::kF32, {}) == 4);
  CHECK(size(DType::kF32, {0}) == 0);
  CHECK(size(DType::kF32, {2, 3, 5}) == 120);
  CHECK(size(DType::kF4, {3, 2}) == 3);
  CHECK(size(DType::kF6E3M2, {4}) == 3);
  CHECK(size(DType::kF4, {3}) == UINT64_MAX);
  CHECK(ByteSize(DType::kU8, std::vector<int64_t>{-1}).status().message() ==
        "a side of the shape is negative");
  constexpr int64_t kMost = int64_t{1} << 60;  // bytes: 8 bits each must fit in 63
  CHECK(size(DType::kU8, {kMost - 1}) == kMost - 1);
  CHECK(size(DType::kU8, {kMost}) == UINT64_MAX);
  CHECK(size(DType::kU8, {int64_t{1} << 32, int64_t{1} << 32}) == UINT64_MAX);
  CHECK(size(DType::kU8, {0, int64_t{1} << 32, int64_t{1} << 32}) == UINT64_MAX);
  CHECK(size(DType::kU8, {std::numeric_limits<int64_t>::max(), 0}) == UINT64_MAX);
}

TEST_CASE("every dtype survives writing and reading") {
  const TemporaryDirectory directory;
  std::mt19937 random(1);
  std::vector<TensorData> tensors;
  for (const DType type : kAllDTypes) {
    const std::string name(Name(type));
    tensors.push_back(RandomTensor("matrix " + name, type, {4, 6}, random));
    tensors.push_back(RandomTensor("none " + name, type, {3, 0, 2}, random));
    if (BitWidth(type) >= 8) tensors.push_back(RandomTensor("scalar " + name, type, {}, random));
    if (BitWidth(type) >= 8) tensors.push_back(RandomTensor("odd " + name, type, {7}, random));
  }
  std::shuffle(tensors.begin(), tensors.end(), random);
  const std::map<std::string, std::string> metadata{{"format", "pt"}, {"π\n\"", "\\\u0001"}};
  WriteSafetensors(directory.path("file"), tensors, metadata);
  const auto file = SafetensorsFile::Open(directory.path("file"));
  REQUIRE(Message(file.status()) == "");
  CHECK((*file)->metadata() == metadata);
  REQUIRE((*file)->tensors().size() == tensors.size());
  for (const TensorData& tensor : tensors) {
    const TensorInfo* info = (*file)->Find(tensor.spec.name);
    REQUIRE(info != nullptr);
    CHECK(info->dtype == tensor.spec.dtype);
    CHECK(info->shape == tensor.spec.shape);
    CHECK(DataOf(**file, tensor.spec.name) == tensor.bytes);
  }
  CHECK((*file)->Find("no such tensor") == nullptr);
  CHECK((*file)->file_size() == std::filesystem::file_size(directory.path("file")));
}

TEST_CASE("every tensor of a layout is aligned to its element, and nothing is wasted") {
  std::mt19937 random(2);
  for (int round = 0; round < 50; ++round) {
    std::vector<TensorSpec> specs;
    uint64_t bytes = 0;
    for (int i = 0; i < 20; ++i) {
      const DType type = kAllDTypes[random() % kAllDTypes.size()];
      const int64_t side = static_cast<int64_t>(random() % 9) * (BitWidth(type) < 8 ? 4 : 1);
      specs.push_back(
          {"t" + std::to_string(i), type, {side, 1 + static_cast<int64_t>(random() % 3)}});
      bytes += ByteSize(type, specs.back().shape).value();
    }
    const auto layout = SafetensorsLayout::Make(specs, {{"round", std::string(round, 'x')}});
    REQUIRE(layout.ok());
    CHECK(layout->header().size() % 8 == 0);
    CHECK(layout->file_size() == layout->header().size() + bytes);
    for (const TensorInfo& tensor : layout->tensors()) {
      const uint64_t element_bytes = std::max(1, BitWidth(tensor.dtype) / 8);
      CHECK(layout->FileOffset(tensor.name) % element_bytes == 0);
    }
  }
}

TEST_CASE("a layout has exactly these bytes") {
  const auto layout = SafetensorsLayout::Make(
      {{"b", DType::kU8, {3}}, {"a", DType::kF32, {1, 2}}, {"c", DType::kU8, {}}}, {{"k", "v"}});
  REQUIRE(layout.ok());
  const std::string text =
      R"({"__metadata__":{"k":"v"},"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},)"
      R"("b":{"dtype":"U8","shape":[3],"data_offsets":[8,11]},)"
      R"("c":{"dtype":"U8","shape":[],"data_offsets":[11,12]}})";
  const std::string padding(7 - (text.size() + 7) % 8, ' ');
  const std::string length{static_cast<char>(text.size() + padding.size()), 0, 0, 0, 0, 0, 0, 0};
  CHECK(layout->header() == length + text + padding);
}

TEST_CASE("a layout that cannot be is refused by name") {
  const auto refusal = [](std::vector<TensorSpec> specs,
                          const std::map<std::string, std::string>& metadata = {}) {
    const absl::Status status = SafetensorsLayout::Make(std::move(specs), metadata).status();
    CHECK(status.code() == absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  CHECK(refusal({{"a", DType::kU8, {}}, {"a", DType::kF32, {}}}) ==
        "tensor 'a': the name is there twice");
  CHECK(refusal({{"__metadata__", DType::kU8, {}}}) ==
        "tensor '__metadata__': the name is reserved");
  CHECK(refusal({{"a\xff", DType::kU8, {}}}) == "tensor 'a\\xff': the name is not UTF-8");
  CHECK_THAT(refusal({}, {{"k", "\xff"}}), Catch::StartsWith("metadata is not UTF-8: "));
  CHECK(refusal({{"a", DType::kF64, {int64_t{1} << 62}}}) ==
        "tensor 'a': the product of the shape overflows");
  const int64_t most = (int64_t{1} << 60) - 1;
  std::vector<TensorSpec> many;
  for (int i = 0; i < 17; ++i) many.push_back({"t" + std::to_string(i), DType::kU8, {most}});
  CHECK_THAT(refusal(many), Catch::Contains("the size of the file overflows"));
}

TEST_CASE("the longest name can be written and read, a longer one neither") {
  const TemporaryDirectory directory;
  const std::string longest(kMaxTensorNameBytes, 'n');
  WriteSafetensors(directory.path("f"), {{{longest, DType::kF32, {0}}, ""}});
  CHECK(SafetensorsFile::Open(directory.path("f")).value()->Find(longest) != nullptr);
  const auto refused = Catch::Contains("': a name of 1025 bytes, at most 1024 are read");
  const auto layout = SafetensorsLayout::Make({{longest + "n", DType::kF32, {0}}}, {});
  CHECK_THAT(Message(layout.status()), refused);
  std::string file = ReadBytes(directory.path("f"));
  file.replace(file.find("nn"), 2, "nnn");
  file.replace(file.find("} "), 2, "}");  // of the padding
  WriteBytes(directory.path("g"), file);
  CHECK_THAT(Message(SafetensorsFile::Open(directory.path("g")).status()), refused);
}

TEST_CASE("a writer refuses bytes that lie outside the tensor") {
  const TemporaryDirectory directory;
  const auto layout = SafetensorsLayout::Make({{"a", DType::kU8, {4}}, {"b", DType::kU8, {4}}}, {});
  const auto writer = SafetensorsWriter::Create(directory.path("out"), *layout, IfExists::kFail);
  REQUIRE(writer.ok());
  const std::array<std::byte, 5> bytes{};
  CHECK(writer->Write("a", 0, std::span(bytes).first(4)).ok());
  CHECK(writer->Write("a", 4, {}).ok());
  const absl::Status status = writer->Write("a", 0, bytes);
  CHECK(status.code() == absl::StatusCode::kOutOfRange);
  CHECK_THAT(Message(status), Catch::Contains(directory.path("out") + ": tensor 'a'"));
  CHECK(writer->Write("a", UINT64_MAX, std::span(bytes).first(1)).code() ==
        absl::StatusCode::kOutOfRange);
}

TEST_CASE("a file of no tensors, and one of empty tensors, can be read") {
  const TemporaryDirectory directory;
  WriteSafetensors(directory.path("none"), {});
  CHECK(SafetensorsFile::Open(directory.path("none")).value()->tensors().empty());
  WriteSafetensors(directory.path("empty"), {{{"e", DType::kF32, {0, 5}}, ""}});
  CHECK(DataOf(*SafetensorsFile::Open(directory.path("empty")).value(), "e").empty());
}

TEST_CASE("metadata that is null is none") {
  const TemporaryDirectory directory;
  const auto open = [&](std::string_view text) {
    const uint64_t length = text.size();
    const std::string bytes(reinterpret_cast<const char*>(&length), sizeof length);
    WriteBytes(directory.path("file"), bytes + std::string(text));
    return SafetensorsFile::Open(directory.path("file"));
  };
  const auto file =
      open(R"({"__metadata__":null,"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})");
  REQUIRE(file.ok());
  CHECK((*file)->metadata().empty());
  CHECK((*file)->Find("a") != nullptr);
  CHECK_FALSE(open(R"({"__metadata__":null,"__metadata__":null})").ok());
  CHECK_FALSE(open(R"({"a":null})").ok());
}

TEST_CASE("offsets at the edge of the data section") {
  const TemporaryDirectory directory;
  const auto open = [&](const std::string& header, size_t data_bytes) {
    const uint64_t length = header.size();
    std::string bytes(reinterpret_cast<const char*>(&length), sizeof length);
    WriteBytes(directory.path("f"), bytes + header + std::string(data_bytes, '\0'));
    return SafetensorsFile::Open(directory.path("f")).status().code();
  };
  const std::string two = R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
                          R"("b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})";
  CHECK(open(two, 7) == absl::StatusCode::kInvalidArgument);
  CHECK(open(two, 8) == absl::StatusCode::kOk);
  CHECK(open(two, 9) == absl::StatusCode::kInvalidArgument);
  CHECK(open(two + "  \n", 8) == absl::StatusCode::kOk);  // padding after the object
}

TEST_CASE("a header with many tensors is read and written in linear time") {
  const TemporaryDirectory directory;
  std::vector<TensorData> tensors;
  for (int i = 0; i < 50'000; ++i) {
    tensors.push_back({{"t" + std::to_string(i), DType::kU8, {1}}, std::string(1, char(i))});
  }
  WriteSafetensors(directory.path("f"), tensors);
  const auto file = SafetensorsFile::Open(directory.path("f"));
  REQUIRE(file.ok());
  CHECK((*file)->tensors().size() == 50'000);
  CHECK(DataOf(**file, "t49999") == std::string(1, char(49'999)));
}

// In a mapping the truncation would be a SIGBUS, which ends this program.
TEST_CASE("a file that is truncated while its header is read is at worst an error") {
  const TemporaryDirectory directory;
  const std::string path = directory.path("restless.safetensors");
  const std::string text = "{\"a\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}" +
                           std::string(8 << 20, ' ') + "}";
  const uint64_t length = text.size();
  const std::string bytes(reinterpret_cast<const char*>(&length), sizeof length);
  for (int i = 0; i < 20; ++i) {
    WriteBytes(path, bytes + text);
    const std::jthread other([&] {
      std::this_thread::sleep_for(std::chrono::microseconds(500 * i));
      std::filesystem::resize_file(path, 4096);
    });
    const absl::Status status = SafetensorsFile::Open(path).status();
    CHECK((status.ok() || status.code() == absl::StatusCode::kFailedPrecondition ||
           status.code() == absl::StatusCode::kInvalidArgument));
  }
}

}  // namespace
}  // namespace seedlm::format
