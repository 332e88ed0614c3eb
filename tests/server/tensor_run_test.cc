#include "server/scheduler/tensor_run.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <vector>

#include "tests/server/checkpoints.h"
#include "tests/server/temporary_directory.h"

namespace seedlm::server {
namespace {

struct RunFixture {
  explicit RunFixture(codec::Profile profile = codec::k4bit, int64_t shard_weights = 640) {
    WriteSafetensors(directory / "in.safetensors", {F32Tensor("a.weight", 100, 64, 1u)});
    file = OpenSafetensors(directory / "in.safetensors");
    planned.source = file->Find("a.weight");
    planned.compressed = true;
    format::CompressionOptions options;
    options.profile = profile;
    run.emplace(0, planned, *file, options, shard_weights);
  }
  TemporaryDirectory directory;
  std::shared_ptr<const format::SafetensorsFile> file;
  format::PlannedTensor planned;
  std::optional<TensorRun> run;
};

TEST_CASE("shards cover the rows in order, and the last one that is added says so") {
  RunFixture f;
  CHECK(f.run->shards() == 10);
  int64_t next_row = 0;
  std::vector<int64_t> indices;
  while (f.run->HasShard()) {
    const TensorRun::Shard shard = f.run->TakeShard();
    CHECK(shard.rows.first_row == next_row);
    CHECK(shard.rows.tensor == f.planned.source);
    next_row += shard.rows.row_count;
    indices.push_back(shard.index);
  }
  CHECK(next_row == 100);
  for (size_t i = 0; i < indices.size(); ++i) {
    CHECK(f.run->AddShard({0, indices[i]}) == (i + 1 == indices.size()));
  }
}

TEST_CASE("a shard has as many bytes of the source, whatever their type") {
  RunFixture f;
  WriteSafetensors(f.directory / "half.safetensors", {Bf16Tensor("a.weight", 100, 64, 1u)});
  const auto file = OpenSafetensors(f.directory / "half.safetensors");
  const format::PlannedTensor planned{0, file->Find("a.weight"), true, ""};
  TensorRun run(0, planned, *file, {}, 640);
  CHECK(run.shards() == 5);
  CHECK(run.TakeShard().rows.row_count == 20);
}

TEST_CASE("the sums do not depend on the order in which shards are finished") {
  // Values whose float64 sum depends on the order of addition.
  const auto sums_of = [](int64_t index) {
    return PieceRecord{0,
                       index,
                       0,
                       std::ldexp(1.0 + static_cast<double>(index), -20 * static_cast<int>(index)),
                       std::pow(3.0, static_cast<double>(index)),
                       static_cast<double>(index % 7),
                       0.5};
  };
  const auto result_of = [&](const std::vector<int64_t>& order) {
    RunFixture f;
    while (f.run->HasShard()) (void)f.run->TakeShard();
    for (const int64_t index : order) f.run->AddShard(sums_of(index));
    return f.run->Result("cpu", {"sum", {1, 2}});
  };
  const TensorResult forward = result_of({0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
  const TensorResult mixed = result_of({9, 3, 1, 7, 0, 8, 2, 6, 5, 4});
  CHECK(forward.relative_error == mixed.relative_error);
  CHECK(forward.relative_error > 0);
  CHECK(forward.squared_error == mixed.squared_error);
  CHECK(forward.squared_weights == (std::pow(3.0, 10) - 1) / 2);
  CHECK(forward.relative_error == std::sqrt(forward.squared_error / forward.squared_weights));
  CHECK(forward.max_error == 6);
  CHECK(forward.seconds == Approx(5.0));
  CHECK(forward.rows == 100);
  CHECK(forward.columns == 64);
  CHECK(forward.backend == "cpu");
  CHECK(forward.level_blocks.size() == 16);
  CHECK(forward.level_blocks[1] == 2);
  CHECK(forward.source_bytes == 100 * 64 * 4);
  CHECK(forward.packed_bytes == 100 * forward.bits_per_weight * 64 / 8 + 80);
  CHECK(forward.sha256 == "sum");
}

TEST_CASE("the backends that encoded shards, each once, in the order of the rows") {
  const auto backend_of = [](const std::vector<std::string>& by) {
    RunFixture f;
    while (f.run->HasShard()) {
      PieceRecord shard{0, f.run->TakeShard().index};
      shard.backend = by[static_cast<size_t>(shard.piece) % by.size()];
      f.run->AddShard(shard);
    }
    return f.run->Result("now", {}).backend;
  };
  CHECK(backend_of({"cuda"}) == "cuda");
  CHECK(backend_of({"cuda", "cpu"}) == "cuda+cpu");
  CHECK(backend_of({"cpu", "cpu", "cuda"}) == "cpu+cuda");
  CHECK(backend_of({""}) == "now");  // recorded by an earlier version
  CHECK(backend_of({"", "cpu"}) == "now+cpu");
}

TEST_CASE("an all-zero tensor has no error") {
  RunFixture f;
  while (f.run->HasShard()) f.run->AddShard({0, f.run->TakeShard().index});
  CHECK(f.run->Result("cpu", {}).relative_error == 0);
}

TEST_CASE("bits a weight, by profile") {
  const auto bits = [](const codec::Profile& profile) {
    RunFixture f(profile);
    while (f.run->HasShard()) f.run->AddShard({0, f.run->TakeShard().index});
    return f.run->Result("cpu", {}).bits_per_weight;
  };
  CHECK(bits(codec::k4bit) == 4.0);
  CHECK(bits(codec::k4_5bit) == 4.5);
  CHECK(bits(codec::k2bit) == 2.0);
  CHECK(bits(codec::k3bit) == 8.0 * (6 * 4 + 3) / 64);  // 64 columns are 5 1/3 blocks of 12
}

TEST_CASE("the histogram is whole after its last piece") {
  RunFixture f;
  REQUIRE(f.run->HasMeasure());
  const TensorRows rows = f.run->TakeMeasure();
  CHECK(rows.row_count == 100);  // small: one piece
  CHECK_FALSE(f.run->HasMeasure());
  codec::NormHistogram part;
  const std::vector<float> block(8, 1.0f);
  part.Add(codec::k4bit, block.data(), 3);
  CHECK(f.run->AddMeasure(part));
  const auto whole = f.run->TakeHistogram();
  CHECK(whole->count(codec::NormHistogram::BinOf(8.0)) == 1);
}

}  // namespace
}  // namespace seedlm::server
