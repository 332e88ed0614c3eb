// A plug-in without a GPU: FAKE_PLUGIN_<kind> says what is wrong with it.
#include <atomic>

#include "kernels/backend/plugin.h"

namespace seedlm::backend {
namespace {

std::atomic<bool> lost{false};  // of the process

class FakeBackend : public Backend {
 public:
  std::string_view name() const override { return "fake"; }
  std::string description() const override { return "a fake"; }
  int64_t BlocksTogether(const codec::Profile&) const override { return 1; }
  Results EncodeAll(std::span<const ShardTask> shards, std::stop_token) const override {
#if defined(FAKE_PLUGIN_lost)
    lost = true;
    return Results(shards.size(), Health());
#endif
    Results results;
    for (const ShardTask& task : shards) {
      EncodedShard shard;
      shard.words.assign(static_cast<size_t>(task.weights.rows), 42);
      results.push_back(std::move(shard));
    }
    return results;
  }
  std::vector<DeviceInfo> Devices() const override {
    return {{7, "00000000:07:00.0", "a device", 1 << 20, std::string(Health().message())}};
  }
  absl::Status Health() const override {
    return lost ? absl::UnavailableError("device 0 is lost") : absl::OkStatus();
  }
};

absl::StatusOr<std::shared_ptr<const Backend>> Open(const std::shared_ptr<search::IndexStore>&) {
#if defined(FAKE_PLUGIN_no_driver)
  return absl::FailedPreconditionError("no NVIDIA driver");
#else
  return std::make_shared<FakeBackend>();
#endif
}

}  // namespace

#if defined(FAKE_PLUGIN_no_entry)
#define seedlm_backend_plugin another_function
#endif

extern "C" const Plugin* seedlm_backend_plugin() {
#if defined(FAKE_PLUGIN_wrong_version)
  constexpr uint32_t kVersion = kPluginVersion + 1;
#else
  constexpr uint32_t kVersion = kPluginVersion;
#endif
#if defined(FAKE_PLUGIN_wrong_build)
  static const Plugin plugin{kVersion, "0123456789abcdef", &Open};
#else
  static const Plugin plugin{kVersion, BuildId().data(), &Open};
#endif
  return &plugin;
}

}  // namespace seedlm::backend
