// Damaged files: whatever the damage, a reader answers with a status or with a file that it can
// read to the end.
#include <catch2/catch.hpp>

#include "kernels/codec/narrow.h"
#include "kernels/format/packed_tensor.h"
#include "tests/kernels/format_support.h"
#include "tests/kernels/read_tensor.h"

namespace seedlm::format {
namespace {

std::string PackedFileBytes(const codec::Profile& profile) {
  const TemporaryDirectory directory;
  std::mt19937 random(16);
  auto tensors = RandomPlanes("w", profile, 3, 30, random);
  tensors.push_back(RandomTensor("other", DType::kF32, {2, 2}, random));
  const PackedMetadata metadata{
      profile, codec::Fit::kOptimal, codec::ScaleRule::kPow2, {{"w", DType::kF16}}};
  WriteSafetensors(directory.path("f"), tensors, {{"seedlm", metadata.ToJson()}});
  return ReadBytes(directory.path("f"));
}

// False if the file was refused; otherwise all of it is read, for a sanitizer to watch.
bool ReadToTheEnd(const std::string& path) {
  const auto file = OpenPackedFile(path);
  if (!file.ok()) {
    CHECK(file.status().code() == absl::StatusCode::kInvalidArgument);
    CHECK_THAT(Message(file.status()), Catch::Contains(path));
    return false;
  }
  uint64_t sum = 0;
  for (const PackedTensor& tensor : file->packed) {
    for (int64_t row = 0; row < tensor.rows; ++row) {
      if (!CheckRow(tensor, row).ok()) continue;
      for (const float weight : DecodedRow(tensor, row)) sum += codec::FloatBits(weight);
    }
  }
  for (const TensorInfo* tensor : file->others) {
    for (const std::byte byte : BytesOf(*file->file, *tensor)) sum += static_cast<uint64_t>(byte);
  }
  return sum != 0;  // so that the reading is not optimised away; there are always levels
}

TEST_CASE("every truncation of a file is refused") {
  const TemporaryDirectory directory;
  const std::string bytes = PackedFileBytes(codec::k3bit);
  WriteBytes(directory.path("f"), bytes);
  REQUIRE(ReadToTheEnd(directory.path("f")));
  for (size_t length = 0; length < bytes.size(); ++length) {
    WriteBytes(directory.path("f"), std::string_view(bytes).substr(0, length));
    CHECK_FALSE(ReadToTheEnd(directory.path("f")));
  }
}

TEST_CASE("a file with any damaged bytes is refused or read") {
  const TemporaryDirectory directory;
  std::mt19937 random(17);
  const std::string interesting = "0123456789-{}[]\",:_wF\\ ";
  int read = 0;
  int refused = 0;
  for (const codec::Profile& profile : {codec::k4bit, codec::k4_5bit}) {
    const std::string good = PackedFileBytes(profile);
    for (int round = 0; round < 1000; ++round) {
      std::string bytes = good;
      for (unsigned i = 0; i <= random() % 3; ++i) {
        const size_t at = random() % bytes.size();
        bytes[at] =
            random() % 2 ? interesting[random() % interesting.size()] : static_cast<char>(random());
      }
      WriteBytes(directory.path("f"), bytes);
      ReadToTheEnd(directory.path("f")) ? ++read : ++refused;
    }
  }
  CHECK(read > 100);
  CHECK(refused > 100);
}

}  // namespace
}  // namespace seedlm::format
