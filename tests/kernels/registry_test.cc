#include "kernels/registry/registry.h"

#include <catch2/catch.hpp>
#include <cstdlib>

namespace seedlm::backend {
namespace {

TEST_CASE("auto takes the first of the list, names are honoured", "[registry]") {
  setenv("SEEDLM_CUDA_PLUGIN", "/nowhere/seedlm_cuda.so", 1);
  const std::vector<BackendInfo> infos = ListBackends();
  REQUIRE(infos.size() == 3);
  CHECK(infos[0].name == "cuda");
  CHECK(infos[1].name == "cpu");
  CHECK(infos[2].name == "reference");
  for (const BackendInfo& info : infos) {
    if (info.name == "cuda") continue;
    CHECK(info.available);
    CHECK(!info.description.empty());
    CHECK(info.why_unavailable.empty());
    CHECK(info.devices.empty());  // the host's processors
    CHECK((*OpenBackend(info.name))->name() == info.name);
  }
  CHECK((*OpenBackend("auto"))->name() == "cpu");
  CHECK((*OpenBackend(""))->name() == "cpu");
  CHECK(!infos[0].available);
  CHECK(infos[0].why_unavailable == "no plug-in: there is no /nowhere/seedlm_cuda.so");
  const auto refused = OpenBackend("cuda");
  CHECK(refused.status().code() == absl::StatusCode::kFailedPrecondition);
  CHECK(refused.status().message() ==
        "backend 'cuda' is not available here: cuda: no plug-in: there is no "
        "/nowhere/seedlm_cuda.so");
  unsetenv("SEEDLM_CUDA_PLUGIN");
}

TEST_CASE("a large job is planned with fewer scans than blocks, where there is an index for it") {
  SetIndexOptions({int64_t{1} << 30, ""});
  constexpr int64_t kLarge = 25'000'000;
  CHECK(PlannedScans("cpu", codec::k4bit, kLarge) < 0.25 * kLarge);
  CHECK(PlannedScans("cpu", codec::k3bit, kLarge) < kLarge);
  CHECK(PlannedScans("cpu", codec::k2bit, kLarge) == kLarge);  // has no cells
  CHECK(PlannedScans("reference", codec::k4bit, kLarge) == kLarge);
  for (const int64_t few : {int64_t{0}, int64_t{1}, int64_t{100}}) {
    CHECK(PlannedScans("cpu", codec::k4bit, few) == static_cast<double>(few));
  }
  SetIndexOptions({0, ""});
  CHECK(PlannedScans("cpu", codec::k4bit, kLarge) == kLarge);
  SetIndexOptions({int64_t{1} << 30, ""});
}

TEST_CASE("an unknown backend is refused with the known ones", "[registry]") {
  const auto refused = OpenBackend("tpu");
  CHECK(refused.status().code() == absl::StatusCode::kInvalidArgument);
  CHECK(refused.status().message() ==
        "backend 'tpu' is not known; choose one of auto, cuda, cpu, reference");
}

}  // namespace
}  // namespace seedlm::backend
