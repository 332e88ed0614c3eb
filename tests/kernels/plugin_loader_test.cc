#include "kernels/registry/plugin_loader.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "kernels/backend/plugin.h"
#include "kernels/registry/registry.h"

namespace seedlm::backend {
namespace {

std::string PathOf(const std::string& kind) {
  return std::string(FAKE_PLUGINS) + "/fake_plugin_" + kind + ".so";
}

std::string WhyNot(const std::string& path) {
  const auto opened = OpenPlugin({path});
  REQUIRE(opened.status().code() == absl::StatusCode::kFailedPrecondition);
  return std::string(opened.status().message());
}

TEST_CASE("a plug-in of this build is opened, and its backend works", "[plugin]") {
  const auto opened = OpenPlugin({"/nowhere/else.so", PathOf("good")});
  REQUIRE(opened.ok());
  CHECK((*opened)->name() == "fake");
  CHECK((*opened)->Encode({}, {WeightType::kF32, 2, 8, nullptr}, {})->words ==
        std::vector<uint32_t>{42, 42});
}

TEST_CASE("the registry takes it for cuda, and prefers it", "[plugin]") {
  setenv("SEEDLM_CUDA_PLUGIN", PathOf("good").c_str(), 1);
  CHECK((*OpenBackend("cuda"))->name() == "fake");
  CHECK((*OpenBackend("auto"))->name() == "fake");
  const BackendInfo info = ListBackends()[0];
  CHECK(info.available);
  REQUIRE(info.devices.size() == 1);
  CHECK(info.devices[0].index == 7);
  CHECK(info.devices[0].name == "a device");
  CHECK(info.devices[0].why_unavailable.empty());
  setenv("SEEDLM_CUDA_PLUGIN", PathOf("no_driver").c_str(), 1);
  CHECK((*OpenBackend("auto"))->name() == "cpu");
  CHECK(OpenBackend("cuda").status().message() ==
        "backend 'cuda' is not available here: cuda: no NVIDIA driver");
  CHECK(ListBackends()[0].why_unavailable == "no NVIDIA driver");
  CHECK(ListBackends()[0].devices.empty());
  unsetenv("SEEDLM_CUDA_PLUGIN");
}

TEST_CASE("a lost device hands its shard to the CPU, unless cuda was demanded", "[plugin]") {
  setenv("SEEDLM_CUDA_PLUGIN", PathOf("lost").c_str(), 1);
  const std::vector<float> weights(64, 0.5f);
  const WeightRows rows{WeightType::kF32, 2, 32,
                        reinterpret_cast<const std::byte*>(weights.data())};
  EncodeSpec spec;
  spec.levels = codec::Pow2Levels(spec.profile, -2);
  const auto demanded = *OpenBackend("cuda");
  const auto backend = *OpenBackend("auto");
  CHECK(backend->name() == "fake");
  CHECK(demanded->Encode(spec, rows, {}).status() == absl::UnavailableError("device 0 is lost"));
  const auto first = backend->Encode(spec, rows, {});
  REQUIRE(first.ok());
  CHECK(first->warning == "backend 'fake' is lost, 'cpu' goes on: device 0 is lost");
  CHECK(first->backend == "cpu");
  CHECK(backend->name() == "cpu");
  const auto second = backend->Encode(spec, rows, {});
  REQUIRE(second.ok());
  CHECK(second->warning.empty());
  CHECK(second->backend == "cpu");
  CHECK(second->words == (*OpenBackend("cpu"))->Encode(spec, rows, {})->words);
  CHECK(first->words == second->words);
  // From now on it is not there, and says why.
  CHECK(backend->Health().ok());
  CHECK(!ListBackends()[0].available);
  CHECK(ListBackends()[0].why_unavailable == "device 0 is lost");
  CHECK(ListBackends()[0].devices.at(0).why_unavailable == "device 0 is lost");
  CHECK(OpenBackend("cuda").status() ==
        absl::FailedPreconditionError(
            "backend 'cuda' is not available here: cuda: device 0 is lost"));
  CHECK((*OpenBackend("auto"))->name() == "cpu");
  unsetenv("SEEDLM_CUDA_PLUGIN");
}

TEST_CASE("what is wrong with a plug-in is said", "[plugin]") {
  CHECK(WhyNot("/nowhere/a.so") == "no plug-in: there is no /nowhere/a.so");
  CHECK(WhyNot(PathOf("no_entry")) == PathOf("no_entry") + " is no plug-in of seedlm");
  CHECK(WhyNot(PathOf("wrong_version")) ==
        PathOf("wrong_version") + " is a plug-in of version " + std::to_string(kPluginVersion + 1) +
            "; this program takes " + std::to_string(kPluginVersion));
  CHECK(WhyNot(PathOf("wrong_build")) ==
        PathOf("wrong_build") + " belongs to another build of seedlm (0123456789abcdef; this is " +
            std::string(BuildId()) + ")");
  CHECK(WhyNot(PathOf("no_driver")) == "no NVIDIA driver");
  const auto text = std::filesystem::temp_directory_path() / "seedlm_plugin_test_not_a.so";
  std::ofstream(text) << "not a shared object";
  CHECK_THAT(WhyNot(text.string()),
             Catch::StartsWith("the plug-in cannot be loaded: ") && Catch::Contains(text.string()));
  std::filesystem::remove(text);
}

TEST_CASE("the plug-in is looked for beside the program", "[plugin]") {
  unsetenv("SEEDLM_CUDA_PLUGIN");
  const auto directory = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  const auto paths = CudaPluginPaths();
  REQUIRE(paths.size() == 3);
  CHECK(paths[0] == (directory / "seedlm_cuda.so").string());
  CHECK(paths[1] == (directory.parent_path() / "lib/seedlm/seedlm_cuda.so").string());
}

}  // namespace
}  // namespace seedlm::backend
