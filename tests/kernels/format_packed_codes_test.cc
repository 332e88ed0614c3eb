// Codes that are read piece by piece are those of the planes, whatever the shape.
#include <catch2/catch.hpp>
#include <cstring>
#include <filesystem>

#include "kernels/codec/bitpack.h"
#include "kernels/format/packed_codes.h"
#include "tests/kernels/format_support.h"
#include "tests/kernels/read_tensor.h"

namespace seedlm::format {
namespace {

PackedFile WriteAndOpen(const std::string& path, const codec::Profile& profile, int64_t rows,
                        int64_t columns) {
  std::mt19937 random(31);
  const PackedMetadata metadata{
      profile, codec::Fit::kOptimal, codec::ScaleRule::kPow2, {{"w", DType::kF32}}};
  WriteSafetensors(path, RandomPlanes("w", profile, rows, columns, random),
                   {{"seedlm", metadata.ToJson()}});
  absl::StatusOr<PackedFile> file = OpenPackedFile(path);
  REQUIRE(Message(file.status()) == "");
  REQUIRE(file->packed.size() == 1);
  return *std::move(file);
}

// Of the planes as they lie in the file.
codec::BlockCode CodeIn(const PackedTensor& tensor, const std::vector<std::byte>& words,
                        const std::vector<std::byte>& levels, int64_t row, int64_t block) {
  const int64_t blocks = tensor.blocks_per_row();
  uint32_t word = 0;
  std::memcpy(&word, &words[static_cast<size_t>(row * blocks + block) * sizeof word], sizeof word);
  if (levels.empty()) return codec::UnpackWord(tensor.profile, word, 0);
  const auto* level_row = reinterpret_cast<const uint8_t*>(levels.data()) +
                          row * codec::LevelRowBytes(tensor.profile, blocks);
  return codec::UnpackWord(tensor.profile, word, codec::GetLevelNibble(level_row, block));
}

bool Same(const codec::Profile& profile, const codec::BlockCode& a, const codec::BlockCode& b) {
  return a.seed == b.seed && codec::Remainder(profile, a) == codec::Remainder(profile, b);
}

TEST_CASE("pieces give every code once, in order") {
  const TemporaryDirectory directory;
  for (const codec::Profile& profile : codec::kProfiles) {
    const int64_t block = profile.block;
    for (const auto& [rows, blocks] : {std::pair<int64_t, int64_t>{40'000, 1},
                                       {3, 7},
                                       {5, kPieceBlocks - 1},
                                       {5, kPieceBlocks / 2},
                                       {2, kPieceBlocks},
                                       {2, kPieceBlocks + 1},
                                       {2, 3 * kPieceBlocks - 5}}) {
      CAPTURE(profile.name, rows, blocks);
      const PackedFile file =
          WriteAndOpen(directory.path("f"), profile, rows, blocks * block - block / 2);
      const PackedTensor& tensor = file.packed[0];
      const auto words = BytesOf(*file.file, *tensor.words);
      const auto levels =
          tensor.levels == nullptr ? std::vector<std::byte>() : BytesOf(*file.file, *tensor.levels);
      const int64_t first = rows / 3;
      int64_t next = first * blocks;
      int64_t wrong = 0;
      const absl::Status status =
          ReadCodes(tensor, first, rows - first, [&, blocks = blocks](const CodePiece& piece) {
            const CodeRange& range = piece.range();
            CHECK(range.rows * range.blocks <= kPieceBlocks);
            CHECK(piece.ends_row() == (range.end_block() == blocks));
            for (int64_t row = range.first_row; row < range.end_row(); ++row) {
              for (int64_t b = range.first_block; b < range.end_block(); ++b) {
                wrong += next++ != row * blocks + b;
                wrong +=
                    !Same(profile, piece.CodeAt(row, b), CodeIn(tensor, words, levels, row, b));
              }
            }
            return absl::OkStatus();
          });
      CHECK(Message(status) == "");
      CHECK(next == rows * blocks);
      CHECK(wrong == 0);
      for (const int64_t b : {int64_t{0}, blocks / 2, blocks - 1}) {
        const auto code = ReadCode(tensor, rows - 1, b);
        REQUIRE(code.ok());
        CHECK(Same(profile, *code, CodeIn(tensor, words, levels, rows - 1, b)));
      }
    }
  }
}

TEST_CASE("a row in several pieces decodes as in one") {
  const TemporaryDirectory directory;
  for (const codec::Profile& profile : codec::kProfiles) {
    const int64_t columns = (2 * kPieceBlocks + 3) * profile.block - 1;
    const PackedFile file = WriteAndOpen(directory.path("f"), profile, 2, columns);
    const PackedTensor& tensor = file.packed[0];
    const auto words = BytesOf(*file.file, *tensor.words);
    const auto levels =
        tensor.levels == nullptr ? std::vector<std::byte>() : BytesOf(*file.file, *tensor.levels);
    const CodePiece whole(tensor, {0, 2, 0, tensor.blocks_per_row()}, words, levels);
    std::vector<float> expected(static_cast<size_t>(columns));
    whole.DecodeRow(1, expected);
    const std::vector<float> decoded = DecodedRow(tensor, 1);
    REQUIRE(decoded.size() == expected.size());
    CHECK(std::memcmp(decoded.data(), expected.data(), expected.size() * sizeof(float)) == 0);
  }
}

TEST_CASE("a level after the last of a row is seen in the piece that ends it") {
  const TemporaryDirectory directory;
  const std::string path = directory.path("f");
  const int64_t blocks = kPieceBlocks + 3;
  for (const bool stray : {false, true}) {
    const PackedFile file = WriteAndOpen(path, codec::k3bit, 1, blocks * codec::k3bit.block);
    const PackedTensor& tensor = file.packed[0];
    const auto words = BytesOf(*file.file, *tensor.words);
    auto levels = BytesOf(*file.file, *tensor.levels);
    levels.back() = (levels.back() & std::byte{0x0F}) | (stray ? std::byte{0x10} : std::byte{0});
    const CodePiece piece(tensor, {0, 1, kPieceBlocks, 3}, words, std::span(levels).last(2));
    CHECK(piece.HasStrayLevel(0) == stray);
    const CodePiece before(tensor, {0, 1, 0, 3}, words, std::span(levels).last(2));
    CHECK_FALSE(before.HasStrayLevel(0));
  }
}

TEST_CASE("a file that is truncated while its codes are read is an error with file and tensor") {
  const TemporaryDirectory directory;
  const std::string path = directory.path("f");
  const PackedFile file = WriteAndOpen(path, codec::k3bit, 4, kPieceBlocks * codec::k3bit.block);
  int pieces = 0;
  const absl::Status status = ReadCodes(file.packed[0], 0, 4, [&](const CodePiece&) {
    if (++pieces == 2) std::filesystem::resize_file(path, 4096);
    return absl::OkStatus();
  });
  CHECK(pieces == 2);
  CHECK(status.code() == absl::StatusCode::kFailedPrecondition);
  CHECK(status.message() ==
        path + ": became shorter while tensor 'w_packed' was being read; start again");
  CHECK(ReadCode(file.packed[0], 3, 0).status().code() == absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace seedlm::format
