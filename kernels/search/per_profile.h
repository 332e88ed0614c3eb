// Tables that a process makes once for each profile.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <mutex>

#include "kernels/codec/profile.h"

namespace seedlm::search {

// The process's T(profile) for one of codec::kProfiles, made at the first call and never destroyed:
// a process that exits may still be searching. Thread-safe.
// REQUIRES: a profile with the block and rank of one of them.
template <typename T>
const T& PerProfile(const codec::Profile& profile) {
  struct Held {
    std::once_flag once;
    std::unique_ptr<const T> table;
  };
  static auto& all = *new std::array<Held, codec::kProfiles.size()>;
  size_t at = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    const codec::Profile& known = codec::kProfiles[i];
    if (known.block == profile.block && known.rank == profile.rank) at = i;
  }
  Held& held = all[at];
  std::call_once(held.once, [&] { held.table = std::make_unique<const T>(codec::kProfiles[at]); });
  return *held.table;
}

}  // namespace seedlm::search
