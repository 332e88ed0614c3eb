#include "hardware/sim/model.h"

#include <catch2/catch.hpp>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "kernels/codec/narrow.h"
#include "tests/kernels/format_support.h"
#include "tests/kernels/read_tensor.h"

namespace seedlm::hardware {
namespace {

using format::DType;
using format::TensorData;

// A compressed file of random codes: one tensor "w".
std::string WriteModel(const format::TemporaryDirectory& directory, const codec::Profile& profile,
                       int64_t rows, int64_t columns, DType dtype, bool zero_seed = false) {
  std::mt19937 random(7);
  std::vector<TensorData> planes = format::RandomPlanes("w", profile, rows, columns, random);
  if (zero_seed) {
    for (TensorData& plane : planes) {
      if (plane.spec.name == "w_packed") plane.bytes[4] = plane.bytes[5] = 0;  // the second block
    }
  }
  format::PackedMetadata metadata;
  metadata.profile = profile;
  metadata.dtypes["w"] = dtype;
  const std::string path = directory.path("m.safetensors");
  format::WriteSafetensors(path, planes, {{std::string(format::kMetadataKey), metadata.ToJson()}});
  return path;
}

CompressedModel Open(const std::string& path) {
  absl::StatusOr<CompressedModel> model = CompressedModel::Open(path);
  INFO(model.status());
  REQUIRE(model.ok());
  return *std::move(model);
}

// HLS decoder or none: what is tested without it is that it is missed.
bool Skipped(const CompressedModel& model) {
  if (HasHlsDecoder()) return false;
  CHECK(absl::IsUnimplemented(CheckDecoder(model, "").status()));
  WARN("skipped: this build has no HLS decoder");
  return true;
}

TEST_CASE("the HLS decoder gives the codec's weights", "[model]") {
  const format::TemporaryDirectory directory;
  for (const codec::Profile& profile : {codec::k4bit, codec::k3bit}) {
    for (const DType dtype : {DType::kF16, DType::kBF16, DType::kF32}) {
      const std::string path = WriteModel(directory, profile, 37, 24 * 11, dtype);
      const CompressedModel model = Open(path);
      if (Skipped(model)) return;
      const absl::StatusOr<std::vector<TensorCheck>> checks = CheckDecoder(model, "");
      INFO(profile.name << " " << checks.status());
      REQUIRE(checks.ok());
      REQUIRE(checks->size() == 1);
      CHECK((*checks)[0].weights == 37 * 24 * 11);
      CHECK((*checks)[0].differences == 0);
    }
  }
}

TEST_CASE("decoded weights are written", "[model]") {
  const format::TemporaryDirectory directory;
  const CompressedModel model = Open(WriteModel(directory, codec::k4bit, 5, 64, DType::kBF16));
  if (Skipped(model)) return;
  const std::string output = directory.path("decoded.safetensors");
  REQUIRE(CheckDecoder(model, output).ok());
  const auto file = format::SafetensorsFile::Open(output);
  REQUIRE(file.ok());
  const format::TensorInfo* info = (*file)->Find("w");
  REQUIRE(info != nullptr);
  CHECK(info->dtype == DType::kBF16);
  const std::vector<float> row = format::DecodedRow(*model.tensors[0], 4);
  const std::vector<std::byte> bytes = format::BytesOf(**file, *info);
  for (size_t i = 0; i < 64; ++i) {
    uint16_t half;
    memcpy(&half, &bytes[2 * (4 * 64 + i)], 2);
    CHECK(half == codec::ToBfloat16(row[i]));
  }
  CHECK(absl::IsAlreadyExists(CheckDecoder(model, output).status()));
}

TEST_CASE("a zero seed is named by tensor, row and block", "[model]") {
  const format::TemporaryDirectory directory;
  const CompressedModel model = Open(WriteModel(directory, codec::k4bit, 2, 64, DType::kF16, true));
  if (Skipped(model)) return;
  const absl::Status status = CheckDecoder(model, "").status();
  CHECK(absl::IsInvalidArgument(status));
  CHECK(absl::StrContains(status.message(), "'w'"));
  CHECK(absl::StrContains(status.message(), "row 0"));
  CHECK(absl::StrContains(status.message(), "block 1"));
}

TEST_CASE("what the units cannot take is refused by name", "[model]") {
  const format::TemporaryDirectory directory;
  const CompressedModel odd = Open(WriteModel(directory, codec::k4bit, 2, 63, DType::kF16));
  CHECK(absl::StrContains(MatricesOf(odd).status().message(),
                          "tensor 'w': a row of 63 weights is no multiple of the block of 8"));
  const CompressedModel three = Open(WriteModel(directory, codec::k3bit, 2, 24, DType::kF16));
  CHECK(absl::StrContains(MatricesOf(three).status().message(), "profile 3bit"));
  const CompressedModel half = Open(WriteModel(directory, codec::k3bit, 2, 36, DType::kF16));
  const CompressedModel two = Open(WriteModel(directory, codec::k2bit, 2, 64, DType::kF16));
  if (Skipped(two)) return;
  CHECK(absl::StrContains(CheckDecoder(half, "").status().message(), "half a byte"));
  CHECK(absl::StrContains(CheckDecoder(two, "").status().message(), "profile 2bit"));
  CHECK(absl::StrContains(CheckDecoder(odd, "").status().message(), "no multiple"));
}

TEST_CASE("an ordinary file holds nothing to simulate", "[model]") {
  const format::TemporaryDirectory directory;
  std::mt19937 random(1);
  const std::string path = directory.path("plain.safetensors");
  format::WriteSafetensors(path, {format::RandomTensor("t", DType::kF32, {4, 4}, random)});
  CHECK(absl::StrContains(CompressedModel::Open(path).status().message(),
                          "holds no compressed tensor"));
  CHECK(absl::IsNotFound(CompressedModel::Open(directory.path("none")).status()));
}

}  // namespace
}  // namespace seedlm::hardware
