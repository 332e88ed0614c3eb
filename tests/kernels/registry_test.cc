#include "kernels/registry/registry.h"

#include <catch2/catch.hpp>

namespace seedlm::backend {
namespace {

TEST_CASE("auto takes the first of the list, names are honoured", "[registry]") {
  const std::vector<BackendInfo> infos = ListBackends();
  REQUIRE(infos.size() >= 2);
  CHECK(infos.front().name == "cpu");
  CHECK(infos.back().name == "reference");
  for (const BackendInfo& info : infos) {
    CHECK(info.available);
    CHECK(!info.description.empty());
    CHECK(info.why_unavailable.empty());
    CHECK((*OpenBackend(info.name))->name() == info.name);
  }
  CHECK((*OpenBackend("auto"))->name() == "cpu");
  CHECK((*OpenBackend(""))->name() == "cpu");
}

TEST_CASE("an unknown backend is refused with the known ones", "[registry]") {
  const auto refused = OpenBackend("tpu");
  CHECK(refused.status().code() == absl::StatusCode::kInvalidArgument);
  CHECK(refused.status().message() ==
        "backend 'tpu' is not known; choose one of auto, cpu, reference");
}

}  // namespace
}  // namespace seedlm::backend
