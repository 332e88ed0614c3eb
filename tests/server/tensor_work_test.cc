#include "server/workers/tensor_work.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <filesystem>
#include <limits>
#include <memory>
#include <numeric>
#include <string>

#include "kernels/checksum/crc32c.h"
#include "kernels/checksum/sha256.h"
#include "kernels/codec/bitpack.h"
#include "server/errors/reason.h"
#include "server/workers/level_counter.h"
#include "tests/kernels/read_tensor.h"
#include "tests/server/checkpoints.h"
#include "tests/server/fake_backend.h"
#include "tests/server/status_matcher.h"
#include "tests/server/temporary_directory.h"

namespace seedlm::server {
namespace {

using Code = absl::StatusCode;

// One file with a compressed and a copied tensor, and a sink for it.
struct WorkFixture {
  explicit WorkFixture(std::vector<float> weights = Gaussian(70 * 64, 1),
                       codec::Profile profile = codec::k4bit) {
    spec.profile = profile;
    WriteSafetensors(path, {F32Tensor("a.weight", 70, 64, weights), RawTensor("raw", 1000)});
    checkpoint = format::Checkpoint::Open(path).value();
    format::CompressionOptions options;
    options.profile = profile;
    plan = format::PlanCompression(checkpoint, options).value();
    sink = CheckpointSink::Open({directory / "out", false, false, false, "j"}, checkpoint, plan)
               .value();
    file = checkpoint.files[0].file.get();
    tensor = file->Find("a.weight");
  }
  TensorRows Rows(int64_t first, int64_t count) const { return {file, tensor, first, count}; }
  absl::StatusOr<ShardSums> Encode(int64_t first, int64_t count) {
    const ShardWork work{&spec, Rows(first, count), {sink.get(), 0}};
    return EncodeShards(fake, {&work, 1}, {}).front();
  }
  std::string Plane(const std::string& name) const {
    const uint64_t size = sink->layout(0).Find(name).byte_size();
    std::string bytes(size, '\0');
    REQUIRE(sink->Read(0, name, 0, std::as_writable_bytes(std::span(bytes))).ok());
    return bytes;
  }

  TemporaryDirectory directory;
  const std::string path = directory / "in.safetensors";
  format::Checkpoint checkpoint;
  format::CompressionPlan plan;
  std::unique_ptr<CheckpointSink> sink;
  const format::SafetensorsFile* file = nullptr;
  const format::TensorInfo* tensor = nullptr;
  backend::EncodeSpec spec;
  FakeBackend fake;
};

TEST_CASE("shards in any order give the planes of the whole tensor") {
  const codec::Profile profile = GENERATE(codec::k4bit, codec::k3bit);
  WorkFixture f(Gaussian(70 * 64, 1), profile);
  const TensorOutput out{f.sink.get(), 0};
  if (GENERATE(true, false)) {
    for (const auto& [first, count] : {std::pair{50, 20}, {0, 1}, {1, 32}, {33, 17}}) {
      REQUIRE(f.Encode(first, count).ok());
    }
  } else {  // or all together
    const ShardWork works[] = {{&f.spec, f.Rows(50, 20), out}, {&f.spec, f.Rows(0, 50), out}};
    for (const auto& sums : EncodeShards(f.fake, works, {})) REQUIRE(sums.ok());
  }
  const std::vector<std::byte> bytes = format::BytesOf(*f.file, *f.tensor);
  const backend::WeightRows all{backend::WeightType::kF32, 70, 64, bytes.data(), 0};
  const backend::EncodedShard whole = f.fake.Encode(f.spec, all, {}).value();
  CHECK(f.Plane("a.weight_packed") ==
        std::string(reinterpret_cast<const char*>(whole.words.data()), whole.words.size() * 4));
  if (!profile.level_in_word()) {
    CHECK(f.Plane("a.weight_level") ==
          std::string(reinterpret_cast<const char*>(whole.levels.data()), whole.levels.size()));
  }
}

TEST_CASE("a finished tensor has its scale and shape, and the sum of what is in the file") {
  const codec::Profile profile = GENERATE(codec::k4bit, codec::k4_5bit);
  WorkFixture f(Gaussian(70 * 64, 1), profile);
  const TensorOutput out{f.sink.get(), 0};
  for (int i = 0; i < codec::kLevels; ++i) f.spec.levels.scale[i] = static_cast<float>(i + 1);
  REQUIRE(f.Encode(0, 70).ok());
  REQUIRE(WriteScales(f.spec, *f.tensor, out).ok());
  const absl::StatusOr<PlaneSummary> sum = SumPlanes(profile, *f.tensor, out, {});
  REQUIRE(sum.ok());
  const std::string scale = f.Plane("a.weight_scale");
  const std::string shape = f.Plane("a.weight_shape");
  CHECK(std::memcmp(scale.data(), f.spec.levels.scale.data(), scale.size()) == 0);
  CHECK(reinterpret_cast<const int64_t*>(shape.data())[0] == 70);
  CHECK(reinterpret_cast<const int64_t*>(shape.data())[1] == 64);
  std::string all = f.Plane("a.weight_packed");
  if (!profile.level_in_word()) all += f.Plane("a.weight_level");
  all += scale + shape;
  checksum::Sha256 expected;
  expected.Update(std::as_bytes(std::span(all)));
  CHECK(sum->sha256 == expected.HexDigest());
  CHECK(std::accumulate(sum->level_blocks.begin(), sum->level_blocks.end(), int64_t{0}) ==
        70 * profile.blocks_per_row(64));
}

TEST_CASE("levels are counted in their plane, however it is cut, and padding is not") {
  for (const codec::Profile& profile : codec::kProfiles) {
    for (const int64_t blocks : {1, 4, 7}) {
      constexpr int64_t kRows = 5;
      const int64_t row_bytes = profile.level_in_word() ? 4 * blocks : (blocks + 1) / 2;
      std::vector<std::byte> plane(static_cast<size_t>(kRows * row_bytes));
      LevelBlocks expected{};
      for (int64_t row = 0; row < kRows; ++row) {
        std::byte* const begin = plane.data() + row * row_bytes;
        for (int64_t block = 0; block < blocks; ++block) {
          const auto level = static_cast<uint32_t>((3 * row + 5 * block + 1) % 16);
          ++expected[level];
          if (profile.level_in_word()) {
            const uint32_t word = level << 28 | 0x0BADF00D;
            std::memcpy(begin + 4 * block, &word, sizeof(word));
          } else {
            codec::PutLevelNibble(reinterpret_cast<uint8_t*>(begin), block, level);
          }
        }
      }
      for (const size_t cut : {size_t{1}, size_t{3}, plane.size()}) {
        LevelCounter counter(profile, blocks * profile.block);
        for (size_t at = 0; at < plane.size(); at += cut) {
          counter.Add(std::span(plane).subspan(at, std::min(cut, plane.size() - at)));
        }
        INFO(std::string(profile.name) << ", " << blocks << " blocks, cut " << cut);
        CHECK(counter.blocks() == expected);
      }
    }
  }
}

TEST_CASE("a tensor that passes through is copied in pieces") {
  WorkFixture f;
  const format::TensorInfo& raw = *f.file->Find("raw");
  const TensorOutput out{f.sink.get(), 0};
  REQUIRE(CopyBytes(*f.file, raw, 600, 400, out).ok());
  const absl::StatusOr<uint32_t> crc = CopyBytes(*f.file, raw, 0, 600, out);
  REQUIRE(crc.ok());
  CHECK(f.Plane("raw") == TensorBytes(*f.file, "raw"));
  CHECK(*crc == checksum::Crc32c(TensorBytes(*f.file, "raw").substr(0, 600)));
  CHECK(SumBytes("raw", 0, 600, out).value() == *crc);
  CHECK(SumBytes("raw", 1, 600, out).value() != *crc);
}

TEST_CASE("the sum of a shard is that of its rows in the output, words and levels") {
  const codec::Profile profile = GENERATE(codec::k4bit, codec::k4_5bit);
  WorkFixture f(Gaussian(70 * 64, 1), profile);
  const TensorOutput out{f.sink.get(), 0};
  const absl::StatusOr<ShardSums> sums = f.Encode(10, 20);
  REQUIRE(sums.ok());
  CHECK(SumRows(profile, f.Rows(10, 20), out).value() == sums->crc32c);
  const std::byte other{0x5A};
  const std::string plane = profile.level_in_word() ? "a.weight_packed" : "a.weight_level";
  const uint64_t row_bytes = f.sink->layout(0).Find(plane).byte_size() / 70;
  REQUIRE(f.sink->Write(0, plane, 9 * row_bytes, std::span(&other, 1)).ok());  // a row before
  CHECK(SumRows(profile, f.Rows(10, 20), out).value() == sums->crc32c);
  REQUIRE(f.sink->Write(0, plane, 30 * row_bytes - 1, std::span(&other, 1)).ok());
  CHECK(SumRows(profile, f.Rows(10, 20), out).value() != sums->crc32c);
}

TEST_CASE("histograms of parts are the histogram of the whole") {
  WorkFixture f;
  codec::NormHistogram whole;
  codec::NormHistogram parts;
  REQUIRE(MeasureRows(f.spec.profile, f.Rows(0, 70), whole).ok());
  REQUIRE(MeasureRows(f.spec.profile, f.Rows(0, 33), parts).ok());
  REQUIRE(MeasureRows(f.spec.profile, f.Rows(33, 37), parts).ok());
  CHECK_FALSE(whole.empty());
  for (int i = 0; i < codec::NormHistogram::kBins; ++i) {
    const int bin = codec::NormHistogram::kFirstBin + i;
    if (whole.count(bin) != parts.count(bin)) FAIL("bin " << bin);
  }
}

TEST_CASE("a weight that is not finite is named with its place in the tensor") {
  const float bad =
      GENERATE(std::numeric_limits<float>::quiet_NaN(), -std::numeric_limits<float>::infinity());
  std::vector<float> weights = Gaussian(70 * 64, 1);
  weights[60 * 64 + 13] = bad;
  WorkFixture f(weights);
  codec::NormHistogram histogram;
  REQUIRE(MeasureRows(f.spec.profile, f.Rows(0, 60), histogram).ok());
  const absl::Status status = MeasureRows(f.spec.profile, f.Rows(50, 20), histogram);
  CHECK_THAT(status,
             IsStatus(Code::kInvalidArgument, {f.path, "'a.weight'", "row 60", "column 13"}));
  CHECK(ReasonOf(status) == "WEIGHT_NOT_FINITE");
  const uint64_t offset =
      std::filesystem::file_size(f.path) - 1000 - (70 * 64 - (60 * 64 + 13)) * sizeof(float);
  const std::map<std::string, std::string> place = {
      {"tensor", "a.weight"}, {"row", "60"}, {"column", "13"}, {"offset", std::to_string(offset)}};
  CHECK(DetailsOf(status) == place);
}

TEST_CASE("a weight of 16 bits that is not finite is found too") {
  TemporaryDirectory directory;
  TestTensor tensor = Bf16Tensor("h.weight", 64, 64, 1u);
  const format::DType type = GENERATE(format::DType::kBF16, format::DType::kF16);
  tensor.spec.dtype = type;
  // 0x7F80: infinite as bfloat16, NaN as float16. Half precision takes the rest for finite.
  for (std::byte& byte : tensor.bytes) byte &= std::byte{0x3F};
  const size_t weight = 3 * 64 + 5;
  tensor.bytes[2 * weight] = std::byte{0x80};
  tensor.bytes[2 * weight + 1] = std::byte{0x7F};
  WriteSafetensors(directory / "in.safetensors", {tensor});
  const auto file = OpenSafetensors(directory / "in.safetensors");
  codec::NormHistogram histogram;
  const absl::Status status =
      MeasureRows(codec::k4bit, {file.get(), file->Find("h.weight"), 2, 10}, histogram);
  CHECK(absl::IsInvalidArgument(status));
  CHECK(DetailsOf(status)["row"] == "3");
  CHECK(DetailsOf(status)["column"] == "5");
}

TEST_CASE("a source that is truncated while a shard is worked on is an error, not a signal") {
  WorkFixture f;
  f.fake.before = [&](auto&&...) {
    std::filesystem::resize_file(f.path, 0);  // a mapping would have no page behind it any more
    return absl::OkStatus();
  };
  CHECK(f.Encode(0, 35).ok());  // it had its weights already
  const auto changed = IsStatus(Code::kFailedPrecondition, {f.path, "start again"});
  CHECK_THAT(f.Encode(35, 35).status(), changed);
  CHECK_THAT(CopyBytes(*f.file, *f.file->Find("raw"), 0, 10, {f.sink.get(), 0}).status(), changed);
}

TEST_CASE("a source that changes is not read") {
  WorkFixture f;
  std::filesystem::resize_file(f.path, std::filesystem::file_size(f.path) - 1);
  const TensorOutput out{f.sink.get(), 0};
  codec::NormHistogram histogram;
  const auto changed = IsStatus(Code::kFailedPrecondition, {f.path});
  CHECK_THAT(MeasureRows(f.spec.profile, f.Rows(0, 70), histogram), changed);
  CHECK_THAT(f.Encode(0, 70).status(), changed);
  CHECK_THAT(CopyBytes(*f.file, *f.file->Find("raw"), 0, 10, out).status(), changed);
  CHECK(f.fake.shards == 0);
}

TEST_CASE("each shard of a call has its own sums, or its own error") {
  WorkFixture f;
  f.fake.before = [](const backend::WeightRows& weights, auto&&) {
    return weights.first_row == 10 ? absl::UnavailableError("gone") : absl::OkStatus();
  };
  const TensorOutput out{f.sink.get(), 0};
  const ShardWork works[] = {{&f.spec, f.Rows(0, 10), out},
                             {&f.spec, f.Rows(10, 20), out},
                             {&f.spec, f.Rows(30, 40), out}};
  const auto sums = EncodeShards(f.fake, works, {});
  REQUIRE(sums.size() == 3);
  CHECK_THAT(sums[1].status(), IsStatus(Code::kUnavailable, {f.path, "'a.weight'", "gone"}));
  for (const size_t i : {size_t{0}, size_t{2}}) {
    REQUIRE(sums[i].ok());
    CHECK(sums[i]->crc32c == SumRows(f.spec.profile, works[i].rows, out).value());
    CHECK(sums[i]->squared_weights ==
          f.Encode(works[i].rows.first_row, works[i].rows.row_count)->squared_weights);
  }
  CHECK(sums[2]->seconds == Approx(4 * sums[0]->seconds));  // by weights
}

TEST_CASE("an error of the backend keeps its code and gets the tensor's name") {
  WorkFixture f;
  f.fake.before = [](auto&&...) { return absl::InternalError("the device fell off"); };
  CHECK_THAT(f.Encode(0, 70).status(),
             IsStatus(Code::kInternal, {f.path, "'a.weight'", "the device fell off"}));
}

}  // namespace
}  // namespace seedlm::server
