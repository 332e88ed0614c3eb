// What the headers of the kernels promise about threads, for ThreadSanitizer to watch.
#include <catch2/catch.hpp>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "kernels/backend/weight_blocks.h"
#include "kernels/checksum/background_sha256.h"
#include "kernels/codec/level_design.h"
#include "kernels/cpu/backends.h"
#include "kernels/format/safetensors.h"
#include "kernels/search/index_store.h"
#include "tests/kernels/format_support.h"
#include "tests/kernels/read_tensor.h"
#include "tests/kernels/test_weights.h"

namespace seedlm {
namespace {

TEST_CASE("backends are made, and encode, on several threads at once", "[threads]") {
  constexpr int64_t kRows = 4, kColumns = 128;
  const std::vector<float> weights =
      testing::MakeWeights(testing::Kind::kGaussian, kRows * kColumns, 5);
  const backend::WeightRows rows{backend::WeightType::kF32, kRows, kColumns,
                                 reinterpret_cast<const std::byte*>(weights.data())};
  codec::NormHistogram histogram;
  REQUIRE(backend::AddBlockNorms(codec::k4bit, rows, histogram).ok());
  const backend::EncodeSpec spec{
      codec::k4bit, codec::Fit::kOptimal,
      codec::DesignLevels(codec::k4bit, codec::ScaleRule::kFitted, histogram),
      int64_t{1} << 24};  // blocks to come: lists are built for them
  const auto index = std::make_shared<search::IndexStore>(int64_t{1} << 26);
  std::vector<backend::EncodedShard> shards(6);
  {
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < shards.size(); ++i) {
      threads.emplace_back([&, i] {
        const auto backend = i == 0   ? cpu::MakeReferenceBackend()
                             : i == 1 ? *cpu::MakeSimdBackend()
                                      : *cpu::MakeSimdBackend("", index);
        shards[i] = *backend->Encode(spec, rows, {});
      });
    }
  }
  for (const backend::EncodedShard& shard : shards) CHECK(shard.words == shards[0].words);
  CHECK(shards.back().search.find("cells") != std::string::npos);
}

TEST_CASE("tensors are written from several threads at once", "[threads]") {
  const format::TemporaryDirectory directory;
  const auto layout = format::SafetensorsLayout::Make(
      {{"a", format::DType::kU8, {1000}}, {"b", format::DType::kU8, {1000}}}, {});
  REQUIRE(layout.ok());
  auto writer =
      format::SafetensorsWriter::Create(directory.path("out"), *layout, format::IfExists::kFail);
  REQUIRE(writer.ok());
  {
    std::vector<std::jthread> threads;
    for (const char* name : {"a", "b"}) {
      threads.emplace_back([&, name] {
        const std::vector<std::byte> bytes(100, static_cast<std::byte>(name[0]));
        for (uint64_t at = 0; at < 1000; at += bytes.size()) {
          if (!writer->Write(name, at, bytes).ok()) std::abort();
        }
      });
    }
  }
  REQUIRE(writer->Commit().ok());
  const auto file = format::SafetensorsFile::Open(directory.path("out"));
  REQUIRE(file.ok());
  for (const char* name : {"a", "b"}) {
    for (const std::byte byte : format::BytesOf(**file, *(*file)->Find(name))) {
      REQUIRE(byte == static_cast<std::byte>(name[0]));
    }
  }
}

TEST_CASE("SHA-256 in the background is that of the same bytes, in order", "[threads]") {
  const auto sum_of = [](std::string_view bytes) {
    checksum::Sha256 sum;
    sum.Update(bytes);
    return sum.HexDigest();
  };
  std::string content((size_t{3} << 20) + 17, 'x');
  for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * i >> 7);
  for (const size_t piece : {size_t{100'000}, size_t{1} << 20, content.size()}) {
    checksum::BackgroundSha256 sum;
    std::string buffer;  // one: who has waited may use it again
    for (size_t at = 0; at < content.size(); at += piece) {
      buffer.assign(content, at, piece);
      sum.Update(std::as_bytes(std::span(buffer)));
      sum.Wait();
    }
    sum.Update({});
    CHECK(sum.HexDigest() == sum_of(content));
  }
  checksum::BackgroundSha256 nothing;
  CHECK(nothing.HexDigest() == sum_of(""));
  checksum::BackgroundSha256 given_up;  // in the middle
  given_up.Update(std::as_bytes(std::span(content)));
}

}  // namespace
}  // namespace seedlm
