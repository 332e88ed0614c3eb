#include "kernels/registry/registry.h"

#include <algorithm>
#include <mutex>

#include "absl/strings/str_cat.h"
#include "kernels/backend/fallback_backend.h"
#include "kernels/cpu/backends.h"
#include "kernels/registry/plugin_loader.h"
#include "kernels/search/index_store.h"

namespace seedlm::backend {
namespace {

// The index of the process.
struct SharedIndex {
  std::mutex mutex;  // guards store
  std::shared_ptr<search::IndexStore> store;

  static SharedIndex& Get() {
    static auto& shared = *new SharedIndex;  // never destroyed, as what it holds may be in use
    return shared;
  }
  std::shared_ptr<search::IndexStore> Use() {
    const std::lock_guard lock(mutex);
    if (store == nullptr) store = std::make_shared<search::IndexStore>();
    return store;
  }
  void Set(const IndexOptions& options) {
    const std::lock_guard lock(mutex);
    if (store == nullptr || store->memory() != options.memory || store->cache() != options.cache) {
      store = std::make_shared<search::IndexStore>(options.memory, options.cache);
    }
  }
};

using Maker = absl::StatusOr<std::shared_ptr<const Backend>> (*)();

struct Entry {
  const char* name;
  Maker make;
};

// Best first; "auto" takes the first that opens.
constexpr Entry kEntries[] = {
    {"cuda", [] { return OpenPlugin(CudaPluginPaths(), SharedIndex::Get().Use()); }},
    {"cpu", [] { return cpu::MakeSimdBackend("", SharedIndex::Get().Use()); }},
    {"reference",
     []() -> absl::StatusOr<std::shared_ptr<const Backend>> {
       return cpu::MakeReferenceBackend();
     }},
};

// A backend that can still work. FAILED_PRECONDITION: why there is none of that name.
absl::StatusOr<std::shared_ptr<const Backend>> Open(const Entry& entry) {
  auto opened = entry.make();
  if (!opened.ok()) return opened;
  const absl::Status health = (*opened)->Health();
  if (!health.ok()) return absl::FailedPreconditionError(health.message());
  return opened;
}

// Who leaves the choice open is not stopped by a device that fails.
std::shared_ptr<const Backend> WithCpuBehind(std::shared_ptr<const Backend> chosen) {
  if (chosen->name() == "cpu") return chosen;
  auto cpu = cpu::MakeSimdBackend("", SharedIndex::Get().Use());
  return cpu.ok() ? MakeFallbackBackend(std::move(chosen), *std::move(cpu)) : chosen;
}

}  // namespace

void SetIndexOptions(const IndexOptions& options) { SharedIndex::Get().Set(options); }

IndexUsage ReadIndexUsage() {
  const auto store = SharedIndex::Get().Use();
  return {store->lists(), store->memory() - store->memory_left(), store->memory()};
}

double PlannedScans(std::string_view backend, const codec::Profile& profile, int64_t blocks) {
  // Only the CPU's search goes through the index, a part of a job at a time.
  constexpr int64_t kUsualBatch = int64_t{1} << 16;
  double least = static_cast<double>(blocks);
  if (backend != "cpu" || blocks < 1) return least;
  const search::IndexState state{0, SharedIndex::Get().Use()->memory_left()};
  for (const search::Resolution& resolution : search::Resolutions(profile)) {
    least = std::min(least,
                     search::ModelCost(resolution, {std::min(blocks, kUsualBatch), blocks}, state));
  }
  return least;
}

SearchMemory PlannedMemory(std::string_view backend, const codec::Profile& profile,
                           int64_t blocks) {
  constexpr int64_t kTables = int64_t{48} << 20;  // the largest: 35 MB for 3bit, and bounds
  SearchMemory memory{cpu::EncodeBytes(profile, blocks), kTables, 0};
  if (backend != "reference" && !search::Resolutions(profile).empty()) {
    memory.index = SharedIndex::Get().Use()->memory();
  }
  return memory;
}

absl::Status SaveIndex(const std::stop_token& stop) { return SharedIndex::Get().Use()->Save(stop); }

std::vector<BackendInfo> ListBackends() {
  std::vector<BackendInfo> infos;
  for (const Entry& entry : kEntries) {
    const auto made = entry.make();
    const absl::Status status = made.ok() ? (*made)->Health() : made.status();
    infos.push_back({entry.name, status.ok() ? (*made)->description() : "", status.ok(),
                     std::string(status.message()),
                     made.ok() ? (*made)->Devices() : std::vector<DeviceInfo>()});
  }
  return infos;
}

absl::StatusOr<std::shared_ptr<const Backend>> OpenBackend(std::string_view name) {
  const bool any = name.empty() || name == "auto";
  std::string known = "auto";
  std::string reasons;
  for (const Entry& entry : kEntries) {
    absl::StrAppend(&known, ", ", entry.name);
    if (!any && name != entry.name) continue;
    auto opened = Open(entry);
    if (opened.ok()) return any ? WithCpuBehind(*std::move(opened)) : std::move(opened);
    absl::StrAppend(&reasons, reasons.empty() ? "" : "; ", entry.name, ": ",
                    opened.status().message());
  }
  if (!reasons.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("backend '", std::string(name), "' is not available here: ", reasons));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("backend '", std::string(name), "' is not known; choose one of ", known));
}

}  // namespace seedlm::backend
