#include <catch2/catch.hpp>

#include "kernels/format/packed_tensor.h"
#include "tests/kernels/format_support.h"

namespace seedlm::format {
namespace {

TEST_CASE("the metadata is this text") {
  const PackedMetadata metadata{codec::k4bit,
                                codec::Fit::kOptimal,
                                codec::ScaleRule::kFitted,
                                {{"b", DType::kBF16}, {"a\"", DType::kF32}}};
  CHECK(metadata.ToJson() ==
        R"({"block":8,"dtypes":{"a\"":"F32","b":"BF16"},"fit":"optimal","format_version":1,)"
        R"("lfsr_taps":[0,1,3,12],"lfsr_width":16,"profile":"4bit","rank":3,"scale":"fitted"})");
}

TEST_CASE("metadata of every profile, fit and scale survives its text") {
  for (const codec::Profile& profile : codec::kProfiles) {
    for (const codec::Fit fit : {codec::Fit::kOptimal, codec::Fit::kNearest}) {
      for (const codec::ScaleRule scale :
           {codec::ScaleRule::kPaper, codec::ScaleRule::kPow2, codec::ScaleRule::kFitted}) {
        const PackedMetadata metadata{profile, fit, scale, {{"π", DType::kF16}}};
        const auto read = PackedMetadata::FromJson(metadata.ToJson());
        REQUIRE(Message(read.status()) == "");
        CHECK(read->profile.name == profile.name);
        CHECK(read->fit == fit);
        CHECK(read->scale == scale);
        CHECK(read->dtypes == metadata.dtypes);
      }
    }
  }
}

TEST_CASE("unknown fields of the metadata are left alone") {
  std::string text = PackedMetadata{}.ToJson();
  text.insert(1, R"("later":{"a":1},)");
  CHECK(PackedMetadata::FromJson(text).ok());
}

TEST_CASE("a compressed tensor is found with its planes") {
  const TemporaryDirectory directory;
  std::mt19937 random(3);
  for (const codec::Profile& profile : codec::kProfiles) {
    std::vector<TensorData> tensors = RandomPlanes("w", profile, 3, 41, random);
    tensors.push_back(RandomTensor("logit_scale", DType::kF32, {}, random));
    const PackedMetadata metadata{
        profile, codec::Fit::kOptimal, codec::ScaleRule::kPow2, {{"w", DType::kBF16}}};
    WriteSafetensors(directory.path("f"), tensors, {{"seedlm", metadata.ToJson()}});
    const auto file = OpenPackedFile(directory.path("f"));
    REQUIRE(Message(file.status()) == "");
    REQUIRE(file->packed.size() == 1);
    const PackedTensor& tensor = file->packed[0];
    CHECK(tensor.name == "w");
    CHECK(tensor.dtype == DType::kBF16);
    CHECK(tensor.rows == 3);
    CHECK(tensor.columns == 41);
    const int64_t blocks = profile.blocks_per_row(41);
    CHECK(
        tensor.code_bytes() ==
        static_cast<uint64_t>(3 * (4 * blocks + (profile.level_in_word() ? 0 : (blocks + 1) / 2))));
    REQUIRE(file->others.size() == 1);
    CHECK(file->others[0]->name == "logit_scale");
  }
}

TEST_CASE("an ordinary file has no compressed tensors, whatever its names") {
  const TemporaryDirectory directory;
  std::mt19937 random(4);
  WriteSafetensors(directory.path("f"), RandomPlanes("w", codec::k4bit, 2, 10, random));
  const auto file = OpenPackedFile(directory.path("f"));
  REQUIRE(file.ok());
  CHECK_FALSE(file->metadata.has_value());
  CHECK(file->packed.empty());
  CHECK(file->others.size() == 3);
}

}  // namespace
}  // namespace seedlm::format
