// How fast backends search, for estimates.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "kernels/codec/profile.h"

namespace seedlm::server {

// Thread-safe.
class RateTable {
 public:
  // So many weights, in one call, took `seconds` on one thread.
  void Record(std::string_view backend, const codec::Profile& profile, codec::Fit fit,
              int64_t weights, double seconds);

  // Weights per second of `threads` threads: a moving mean of what was recorded; else the scan of
  // all seeds as it was measured, or for cuda calculated, when the backend was written, of which
  // the search is expected to need only `scans` for each block (backend::PlannedScans); else 0.
  double WeightsPerSecond(std::string_view backend, const codec::Profile& profile, codec::Fit fit,
                          int threads = 1, double scans = 1) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, double> measured_;  // guarded by mutex_
};

}  // namespace seedlm::server
