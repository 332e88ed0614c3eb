// The backend "cuda" on an emulated machine: the reference's bytes through lanes, streams and
// devices, and what happens when a machine lacks something or fails.
#include "kernels/cuda/cuda_backend.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "kernels/backend/weight_blocks.h"
#include "kernels/codec/level_design.h"
#include "kernels/codec/narrow.h"
#include "kernels/cpu/backends.h"
#include "tests/kernels/emulated_machine.h"
#include "tests/kernels/test_weights.h"

namespace seedlm::cuda {
namespace {

using backend::Backend;
using backend::EncodedShard;
using backend::EncodeSpec;
using backend::WeightRows;
using backend::WeightType;
using codec::Fit;
using codec::Profile;
using codec::ScaleRule;
using emulation::Machine;
using testing::Kind;

constexpr int64_t kBatch = 24;

std::shared_ptr<const Backend> MakeBackend(int lanes = 2) {
  auto made = MakeCudaBackend({SearchMethod::kSliding, kBatch, lanes});
  REQUIRE(made.ok());
  return *made;
}

WeightRows Rows(const std::vector<float>& weights, int64_t columns) {
  return {WeightType::kF32, static_cast<int64_t>(weights.size()) / columns, columns,
          reinterpret_cast<const std::byte*>(weights.data())};
}

EncodeSpec SpecFor(const Profile& profile, Fit fit, ScaleRule rule, const WeightRows& rows) {
  codec::NormHistogram histogram;
  REQUIRE(backend::AddBlockNorms(profile, rows, histogram).ok());
  return {profile, fit, codec::DesignLevels(profile, rule, histogram)};
}

void CheckSame(const absl::StatusOr<EncodedShard>& got, const EncodedShard& expected) {
  REQUIRE(got.ok());
  CHECK(got->words == expected.words);
  CHECK(got->levels == expected.levels);
  CHECK(got->squared_error == expected.squared_error);
  CHECK(got->squared_weights == expected.squared_weights);
  CHECK(got->max_error == expected.max_error);
}

TEST_CASE("shards have the reference's bytes and sums", "[cuda][backend]") {
  const Emulated machine;
  const auto reference = cpu::MakeReferenceBackend();
  const auto cuda = MakeBackend();
  for (const Profile& profile : codec::kProfiles) {
    // Several rows a batch, the last one short; one row; a row longer than a batch, and odd.
    for (const auto& [rows, columns] :
         {std::pair{9, 5 * profile.block - 3}, {1, 7}, {1, 27 * profile.block + 1}}) {
      CAPTURE(profile.name, rows, columns);
      const auto weights =
          testing::MakeWeights(Kind::kGaussian, static_cast<size_t>(rows * columns), 3);
      const WeightRows shard = Rows(weights, columns);
      const EncodeSpec spec = SpecFor(profile, Fit::kOptimal, ScaleRule::kFitted, shard);
      const EncodedShard expected = *reference->Encode(spec, shard, {});
      const auto got = cuda->Encode(spec, shard, {});
      REQUIRE(got.ok());
      CHECK(got->words == expected.words);
      CHECK(got->levels == expected.levels);
      CHECK(got->max_error == expected.max_error);
      // A row that is cut into pieces is summed by pieces.
      CHECK(got->squared_error == Approx(expected.squared_error).epsilon(1e-14));
      if (columns < kBatch * profile.block) CheckSame(got, expected);
    }
  }
}

TEST_CASE("narrow weights, and shards without any", "[cuda][backend]") {
  const Emulated machine;
  const auto type = GENERATE(WeightType::kBF16, WeightType::kF16);
  std::vector<uint16_t> narrow;
  for (const float w : testing::MakeWeights(Kind::kGaussian, 5 * 24, 9)) {
    narrow.push_back(type == WeightType::kBF16 ? codec::ToBfloat16(w) : codec::ToFloat16(w));
  }
  WeightRows rows{type, 5, 24, reinterpret_cast<const std::byte*>(narrow.data())};
  const EncodeSpec spec = SpecFor(codec::k4bit, Fit::kNearest, ScaleRule::kPow2, rows);
  const auto cuda = MakeBackend();
  CheckSame(cuda->Encode(spec, rows, {}), *cpu::MakeReferenceBackend()->Encode(spec, rows, {}));
  rows.rows = 0;
  CHECK(cuda->Encode(spec, rows, {})->words.empty());
}

TEST_CASE("several threads on several devices", "[cuda][backend]") {
  const auto method = GENERATE(SearchMethod::kSliding, SearchMethod::kCells);
  Machine two;
  two.devices = 2;
  const Emulated machine(two);
  const auto weights = testing::MakeWeights(Kind::kGaussian, 8 * 40, 5);
  const WeightRows rows = Rows(weights, 40);
  const EncodeSpec spec = SpecFor(codec::k4bit, Fit::kOptimal, ScaleRule::kFitted, rows);
  const EncodedShard expected = *cpu::MakeReferenceBackend()->Encode(spec, rows, {});
  const auto cuda = *MakeCudaBackend({method, kBatch, 1});
  std::vector<absl::StatusOr<EncodedShard>> shards(4, absl::UnknownError(""));
  {
    std::vector<std::jthread> threads;  // more than lanes: some have to wait
    for (auto& shard : shards) {
      threads.emplace_back([&] { shard = cuda->Encode(spec, rows, {}); });
    }
  }
  for (const auto& shard : shards) {
    CheckSame(shard, expected);
    CHECK((shard->device == "0" || shard->device == "1"));
  }
  CHECK(expected.device == "host");
  const auto pool = *DevicePool::Make({method, kBatch, 1});
  for (int device = 0; device < 2; ++device) {
    CHECK(emulation::PeakBytes(device) <= pool->BytesPerDevice());
  }
}

TEST_CASE("bad weights are refused by name, impossible fits too", "[cuda][backend]") {
  const Emulated machine;
  const int64_t columns = GENERATE(20, 8 * kBatch + 12);  // whole rows; pieces of a row
  auto weights = testing::MakeWeights(Kind::kGaussian, static_cast<size_t>(20 * columns), 1);
  weights[static_cast<size_t>(6 * columns - 3)] = std::numeric_limits<float>::infinity();
  WeightRows rows = Rows(weights, columns);
  rows.first_row = 100;
  EncodeSpec spec;
  spec.levels = codec::Pow2Levels(spec.profile, -10);
  const auto refused = MakeBackend()->Encode(spec, rows, {});
  REQUIRE(refused.status().code() == absl::StatusCode::kInvalidArgument);
  CHECK(refused.status() == cpu::MakeReferenceBackend()->Encode(spec, rows, {}).status());
  spec.fit = Fit::kNearest;
  spec.levels.rule = ScaleRule::kFitted;
  CHECK(MakeBackend()->Encode(spec, rows, {}).status().code() ==
        absl::StatusCode::kInvalidArgument);
}

TEST_CASE("shards of one call, one of them bad, get what each gets alone", "[cuda][backend]") {
  const Emulated machine;
  const auto reference = cpu::MakeReferenceBackend();
  std::vector<std::vector<float>> weights;
  std::vector<EncodeSpec> specs;
  std::vector<backend::ShardTask> tasks;
  // Several batches; none; pieces of a row; one short batch.
  for (const auto& [rows, columns] :
       {std::pair{20, 40}, {0, 16}, {3, 8 * int{kBatch} + 12}, {2, 11}}) {
    weights.push_back(testing::MakeWeights(Kind::kGaussian, static_cast<size_t>(rows * columns),
                                           static_cast<unsigned>(columns)));
    WeightRows shard = Rows(weights.back(), columns);
    specs.push_back(SpecFor(codec::k4bit, Fit::kOptimal, ScaleRule::kFitted, shard));
    tasks.push_back({nullptr, shard});
  }
  for (size_t i = 0; i < tasks.size(); ++i) tasks[i].spec = &specs[i];
  const int bad = GENERATE(-1, 0, 2);
  if (bad >= 0) {
    auto& row = weights[static_cast<size_t>(bad)];
    row[row.size() / 2] = std::numeric_limits<float>::infinity();
  }
  const auto got = MakeBackend()->EncodeAll(tasks, {});
  REQUIRE(got.size() == tasks.size());
  for (size_t i = 0; i < tasks.size(); ++i) {
    CAPTURE(bad, i);
    const auto expected = reference->Encode(specs[i], tasks[i].weights, {});
    CHECK(got[i].status() == expected.status());
    CHECK(got[i].ok() == (static_cast<int>(i) != bad));
    if (!got[i].ok()) continue;
    CHECK(got[i]->words == expected->words);
    CHECK(got[i]->levels == expected->levels);
    CHECK(got[i]->squared_error == Approx(expected->squared_error).epsilon(1e-14));
  }
}

TEST_CASE("a stop request ends an encoding", "[cuda][backend]") {
  const Emulated machine;
  const auto weights = testing::MakeWeights(Kind::kGaussian, 64 * 64, 2);
  EncodeSpec spec;
  spec.levels = codec::Pow2Levels(spec.profile, -10);
  std::stop_source stop;
  stop.request_stop();
  CHECK(MakeBackend()->Encode(spec, Rows(weights, 64), stop.get_token()).status().code() ==
        absl::StatusCode::kCancelled);
}

std::string WhyNot(const Machine& machine) {
  const Emulated emulated(machine);
  const auto made = MakeCudaBackend();
  REQUIRE(made.status().code() == absl::StatusCode::kFailedPrecondition);
  return std::string(made.status().message());
}

TEST_CASE("what a machine lacks is said", "[cuda][backend]") {
  Machine machine;
  machine.driver_version = 0;
  CHECK(WhyNot(machine) == "no NVIDIA driver");
  machine.driver_version = 12020;
  CHECK(WhyNot(machine) ==
        "the NVIDIA driver is too old: it knows CUDA 12.2, this build needs 13.0");
  machine = {};
  machine.devices = 0;
  unsetenv("CUDA_VISIBLE_DEVICES");
  CHECK(WhyNot(machine) == "no NVIDIA device");
  setenv("CUDA_VISIBLE_DEVICES", "", 1);
  CHECK(WhyNot(machine) == "no NVIDIA device: CUDA_VISIBLE_DEVICES is set and empty");
  setenv("CUDA_VISIBLE_DEVICES", "7", 1);
  CHECK(WhyNot(machine) == "no NVIDIA device: none is left by CUDA_VISIBLE_DEVICES=7");
  unsetenv("CUDA_VISIBLE_DEVICES");
  machine = {};
  machine.major = 7;
  CHECK(WhyNot(machine) == "device 0 (emulated device) has compute capability 7.0, 8.0 is needed");
  machine = {};
  machine.memory = size_t{64} << 20;
  CHECK_THAT(WhyNot(machine),
             Catch::StartsWith("device 0 (emulated device) is too small: 64 MiB are free, "));
}

TEST_CASE("a device that fails is taken out, its shard goes to another", "[cuda][backend]") {
  Machine two;
  two.devices = 2;
  const Emulated machine(two);
  const auto weights = testing::MakeWeights(Kind::kGaussian, 6 * 40, 6);
  const WeightRows rows = Rows(weights, 40);
  const EncodeSpec spec = SpecFor(codec::k4bit, Fit::kOptimal, ScaleRule::kFitted, rows);
  const EncodedShard expected = *cpu::MakeReferenceBackend()->Encode(spec, rows, {});
  const char* call = GENERATE("cudaSetDevice", "cudaMalloc", "cudaHostAlloc", "cudaMemcpyAsync",
                              "launch", "kernel", "cudaStreamSynchronize");
  const int calls = GENERATE(0, 3);
  CAPTURE(call, calls);
  const auto cuda = MakeBackend();
  emulation::SetFault(call, cudaErrorLaunchFailure, calls, 0);
  const std::vector<backend::ShardTask> shards(3, {&spec, rows});
  for (const auto& shard : cuda->EncodeAll(shards, {})) CheckSame(shard, expected);
  CheckSame(cuda->Encode(spec, rows, {}), expected);
}

TEST_CASE("without a device left the reasons are told", "[cuda][backend]") {
  const Emulated machine;
  const auto weights = testing::MakeWeights(Kind::kGaussian, 64, 6);
  EncodeSpec spec;
  spec.levels = codec::Pow2Levels(spec.profile, -10);
  const auto cuda = MakeBackend();
  emulation::SetFault("kernel", cudaErrorIllegalAddress);
  for (int attempt = 0; attempt < 2; ++attempt) {
    const auto shard = cuda->Encode(spec, Rows(weights, 64), {});
    CHECK(shard.status().code() == absl::StatusCode::kUnavailable);
    CHECK(shard.status().message() ==
          "no CUDA device is left: device 0 (emulated device): searching a batch: "
          "cudaErrorIllegalAddress (cudaErrorIllegalAddress)");
    CHECK(cuda->Health() == shard.status());
  }
  CHECK_THAT(cuda->description(),
             Catch::Contains("emulated device (4 processors, 4 GiB) taken out: "
                             "searching a batch: cudaErrorIllegalAddress"));
}

TEST_CASE("every device is told, with what keeps it from being used", "[cuda][backend]") {
  Machine three;
  three.devices = 3;
  const Emulated machine(three);
  emulation::SetFault("cudaSetDevice", cudaErrorLaunchFailure, 0, 1);
  const auto cuda = MakeBackend();
  emulation::SetFault("kernel", cudaErrorIllegalAddress, 0, 0);
  const auto weights = testing::MakeWeights(Kind::kGaussian, 64, 6);
  EncodeSpec spec;
  spec.levels = codec::Pow2Levels(spec.profile, -10);
  REQUIRE(cuda->Encode(spec, Rows(weights, 64), {}).ok());  // by the third

  const std::vector<backend::DeviceInfo> devices = cuda->Devices();
  REQUIRE(devices.size() == 3);
  for (int i = 0; i < 3; ++i) {
    const backend::DeviceInfo& device = devices[static_cast<size_t>(i)];
    CHECK(device.index == i);
    CHECK(device.name == "emulated device");
    CHECK(device.pci_address == "00000000:1" + std::string(1, "BCD"[i]) + ":00.0");
    CHECK(device.memory == int64_t{4} << 30);
  }
  CHECK_THAT(devices[0].why_unavailable, Catch::Contains("cudaErrorIllegalAddress"));
  CHECK_THAT(devices[1].why_unavailable, Catch::StartsWith("device 1: "));
  CHECK(devices[2].why_unavailable.empty());
}

TEST_CASE("where memory runs out, fewer lanes go on", "[cuda][backend]") {
  const Emulated machine;
  const auto weights = testing::MakeWeights(Kind::kGaussian, 8 * 40, 5);
  const WeightRows rows = Rows(weights, 40);
  const EncodeSpec spec = SpecFor(codec::k4bit, Fit::kOptimal, ScaleRule::kFitted, rows);
  const EncodedShard expected = *cpu::MakeReferenceBackend()->Encode(spec, rows, {});
  const auto cuda = MakeBackend(3);
  CheckSame(cuda->Encode(spec, rows, {}), expected);  // one lane and the tables are there
  emulation::SetFault("cudaMalloc", cudaErrorMemoryAllocation);
  std::vector<absl::StatusOr<EncodedShard>> shards(3, absl::UnknownError(""));
  {
    std::vector<std::jthread> threads;
    for (auto& shard : shards) {
      threads.emplace_back([&] { shard = cuda->Encode(spec, rows, {}); });
    }
  }
  for (const auto& shard : shards) CheckSame(shard, expected);
}

TEST_CASE("a device without memory is asked again by the next call", "[cuda][backend]") {
  Machine machine;
  machine.devices = GENERATE(1, 2);
  const Emulated emulated(machine);
  const auto weights = testing::MakeWeights(Kind::kGaussian, 8 * 40, 5);
  const WeightRows rows = Rows(weights, 40);
  const EncodeSpec spec = SpecFor(codec::k4bit, Fit::kOptimal, ScaleRule::kFitted, rows);
  const EncodedShard expected = *cpu::MakeReferenceBackend()->Encode(spec, rows, {});
  const auto cuda = MakeBackend();
  // None for a lane; for a lane, but not for the tables.
  const int calls = GENERATE(0, 2);
  emulation::SetFault("cudaMalloc", cudaErrorMemoryAllocation, calls);
  const auto refused = cuda->Encode(spec, rows, {});
  CHECK(refused.status().code() == absl::StatusCode::kUnavailable);
  CHECK_THAT(std::string(refused.status().message()),
             Catch::StartsWith("no CUDA device is left: device 0 (emulated device): cudaMalloc"));
  CHECK(cuda->Health().ok());
  emulation::SetFault("", cudaSuccess);
  CheckSame(cuda->Encode(spec, rows, {}), expected);
  if (machine.devices == 1) return;
  emulation::SetFault("cudaMalloc", cudaErrorMemoryAllocation, 0, 0);  // the other one has some
  CheckSame(MakeBackend()->Encode(spec, rows, {}), expected);
}

// CUDA keeps a thread's last error for the next who asks, who would take it for one of its own.
TEST_CASE("an error that was told is not told again", "[cuda][backend]") {
  const Emulated machine;
  emulation::SetFault("cudaMalloc", cudaErrorMemoryAllocation);
  CHECK(MakeDeviceMemory(64).status().code() == absl::StatusCode::kResourceExhausted);
  CHECK(cudaGetLastError() == cudaSuccess);
}

}  // namespace
}  // namespace seedlm::cuda
