#include "kernels/search/index_store.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/search/bound_table.h"
#include "kernels/search/index_cache.h"

namespace seedlm::search {
namespace {

// Costs in scored pairs, 0.16 ns each with AVX-512.
constexpr double kFetch = 14;       // a seed of a list, per visit of its cell
constexpr double kPerBlock = 4000;  // filing a block, starting on it, and finishing it
constexpr double kGain = 0.98;      // cells that save less are not worth their memory

// radius, reach, cells, entries, scanned.
constexpr Resolution k4bitResolutions[] = {{2, 0.60, 6'660, 6'700, 3'200},
                                           {3, 0.44, 85'020, 1'850, 850}};
constexpr Resolution k3bitResolutions[] = {{2, 0.76, 80'000, 10'400, 4'900}};
constexpr Resolution k4_5bitResolutions[] = {{2, 0.55, 6'660, 12'000, 6'500},
                                             {3, 0.40, 85'020, 4'250, 1'850}};

size_t IndexOf(const codec::Profile& profile) {
  for (size_t i = 0; i < codec::kProfiles.size(); ++i) {
    if (codec::kProfiles[i].name == profile.name) return i;
  }
  return 0;
}

}  // namespace

std::span<const Resolution> Resolutions(const codec::Profile& profile) {
  if (profile.name == codec::k4bit.name) return k4bitResolutions;
  if (profile.name == codec::k3bit.name) return k3bitResolutions;
  if (profile.name == codec::k4_5bit.name) return k4_5bitResolutions;
  return {};
}

double ModelCost(const Resolution& resolution, const Workload& work, const IndexState& state) {
  const double all_seeds = codec::k4bit.seed_count();
  const double cells = static_cast<double>(resolution.cells);
  const double batch = static_cast<double>(work.batch);
  const double blocks = static_cast<double>(std::max(work.batch, work.to_come));
  // Cells that are met when blocks fall on them evenly.
  const double met = cells * -std::expm1(-blocks / cells);
  const double visits = cells * -std::expm1(-batch / cells) / batch;  // for each block
  const double room = std::floor(static_cast<double>(state.bytes_left) /
                                 static_cast<double>(resolution.list_bytes()));
  const double lists = static_cast<double>(state.lists);
  const double built = std::clamp(met - lists, 0.0, room);
  const double covered = std::min(1.0, (lists + built) / met);
  const double indexed = kPerBlock + resolution.scanned * (1 + kFetch * visits);
  const double pairs = built * resolution.list_scans() * all_seeds +
                       blocks * (covered * indexed + (1 - covered) * all_seeds);
  return pairs / all_seeds;
}

CellIndex& IndexStore::At(const codec::Profile& profile, size_t resolution) {
  const BoundTable& bounds = BoundTable::For(profile);
  const std::lock_guard lock(mutex_);
  Held& held = indexes_[IndexOf(profile)][resolution];
  if (held.index == nullptr) {
    const auto renew = [&] {
      held.index = nullptr;  // gives its memory back first
      held.index = std::make_unique<CellIndex>(profile, Resolutions(profile)[resolution],
                                               bounds.margin(), budget_);
    };
    renew();
    if (!cache_.empty() && !cache_failed_) {
      const absl::Status status = LoadLists(CachePath(*held.index), *held.index);
      if (absl::IsDataLoss(status)) renew();
      if (!status.ok() && !absl::IsNotFound(status)) {
        absl::StrAppend(&warning_, warning_.empty() ? "" : "; ", status.message());
      }
      // What cannot even be read is not written: one warning is enough.
      if (absl::IsUnavailable(status)) cache_failed_ = true;
      held.cached = held.index->lists();
    }
  }
  return *held.index;
}

std::string IndexStore::CachePath(const CellIndex& index) const {
  return absl::StrCat(cache_, "/cells-", std::string(index.profile().name), "-",
                      index.resolution().radius);
}

absl::Status IndexStore::Save(const std::stop_token& stop) {
  const std::lock_guard lock(mutex_);
  if (cache_.empty() || cache_failed_) return absl::OkStatus();
  for (auto& resolutions : indexes_) {
    for (Held& held : resolutions) {
      const int64_t lists = held.index == nullptr ? 0 : held.index->lists();
      if (lists <= held.cached + held.cached / 8) continue;
      absl::Status status = SaveLists(*held.index, CachePath(*held.index), stop);
      if (!status.ok()) {
        cache_failed_ = true;
        return status;
      }
      held.cached = lists;
    }
  }
  return absl::OkStatus();
}

int64_t IndexStore::lists() {
  const std::lock_guard lock(mutex_);
  int64_t lists = 0;
  for (const auto& profile : indexes_) {
    for (const Held& held : profile) {
      if (held.index != nullptr) lists += held.index->lists();
    }
  }
  return lists;
}

std::string IndexStore::TakeWarning() {
  const std::lock_guard lock(mutex_);
  return std::exchange(warning_, "");
}

void IndexStore::WarnIfShort(const codec::Profile& profile, const Workload& work) {
  constexpr int64_t kPlenty = std::numeric_limits<int64_t>::max();
  constexpr double kWorthAWord = 0.5;
  const double exhaustive = static_cast<double>(std::max(work.batch, work.to_come));
  const Resolution* missed = nullptr;
  double least = kWorthAWord * exhaustive;
  for (const Resolution& resolution : Resolutions(profile)) {
    const double cost = ModelCost(resolution, work, {0, kPlenty});
    if (cost >= least) continue;
    least = cost;
    missed = &resolution;
  }
  if (missed == nullptr || memory_ == 0) return;
  const std::lock_guard lock(mutex_);
  if (std::exchange(told_short_[IndexOf(profile)], true)) return;
  constexpr double kMiB = 1 << 20;
  char text[300];
  std::snprintf(
      text, sizeof text,
      "%s is searched without an index, by some %.2g times as much work, with the same bytes: of "
      "%.4g MiB of index memory %.4g MiB are left, and its lists take some %.4g MiB; raise "
      "--index-memory, and --memory if that bounds it",
      std::string(profile.name).c_str(), exhaustive / least, static_cast<double>(memory_) / kMiB,
      static_cast<double>(budget_.left()) / kMiB,
      static_cast<double>(missed->cells * missed->list_bytes()) / kMiB);
  absl::StrAppend(&warning_, warning_.empty() ? "" : "; ", text);
}

CellIndex* IndexStore::Choose(const codec::Profile& profile, const Workload& work,
                              std::string* why) {
  const auto resolutions = Resolutions(profile);
  const double exhaustive = static_cast<double>(std::max(work.batch, work.to_come));
  double least = kGain * exhaustive;
  size_t chosen = resolutions.size();
  for (size_t i = 0; i < resolutions.size() && memory_ > 0; ++i) {
    IndexState state{0, budget_.left()};
    {
      const std::lock_guard lock(mutex_);
      const auto& index = indexes_[IndexOf(profile)][i].index;
      if (index) state.lists = index->lists();
    }
    const double cost = ModelCost(resolutions[i], work, state);
    if (cost >= least) continue;
    least = cost;
    chosen = i;
  }
  const bool found = chosen < resolutions.size();
  if (!found) WarnIfShort(profile, work);
  if (why != nullptr) {
    char text[200];
    std::snprintf(text, sizeof text,
                  "%s for %lld of %lld blocks: %.3g scans instead of %.3g, index memory left %lld",
                  !found        ? "exhaustive scan"
                  : chosen == 0 ? "coarse cells"
                                : "fine cells",
                  static_cast<long long>(work.batch),
                  static_cast<long long>(std::max(work.batch, work.to_come)),
                  found ? least : exhaustive, exhaustive, static_cast<long long>(budget_.left()));
    *why = text;
  }
  return found ? &At(profile, chosen) : nullptr;
}

}  // namespace seedlm::search
