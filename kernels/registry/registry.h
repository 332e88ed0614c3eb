// The only place that knows which backends exist.
#pragma once

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/backend/backend.h"

namespace seedlm::backend {

// One row of `seedlm devices`.
struct BackendInfo {
  std::string name;
  std::string description;
  bool available = false;
  std::string why_unavailable;      // empty when available
  std::vector<DeviceInfo> devices;  // Backend::Devices; none where it could not be opened
};

// Every backend that this build knows, best first, the reference last. One that has lost all its
// devices is not available.
std::vector<BackendInfo> ListBackends();

// The cell index of the process (search/index_store.h).
struct IndexOptions {
  int64_t memory =
      int64_t{1} << 30;  // bytes that its lists may take; 0: every search scans all seeds
  std::string cache;     // directory that keeps them for later processes; empty: none
};

// For all backends that are opened from now on; calling again with the same options keeps what the
// index has learnt. Until it is called: the default options. Thread-safe.
void SetIndexOptions(const IndexOptions& options);

struct IndexUsage {
  int64_t lists = 0;
  int64_t bytes = 0;  // that they take
  int64_t limit = 0;  // IndexOptions::memory
};
IndexUsage ReadIndexUsage();  // thread-safe

// What a job of `blocks` blocks costs with the backend of that name, in scans of all seeds for one
// block: less than `blocks` where its index pays. By the model that the search itself chooses by,
// as if no list were there yet, so that it is an upper bound. Thread-safe.
double PlannedScans(std::string_view backend, const codec::Profile& profile, int64_t blocks);

// Memory of the host that searching takes, upper bounds in bytes. That of devices is not counted.
struct SearchMemory {
  int64_t call = 0;    // one call for so many blocks, beside the weights and codes that it is about
  int64_t tables = 0;  // of the profile; made once, shared by all calls
  int64_t index = 0;   // its lists, shared by all calls and profiles: IndexOptions::memory
};
// Of the backend of that name, also where the CPU takes over from it. Thread-safe.
SearchMemory PlannedMemory(std::string_view backend, const codec::Profile& profile, int64_t blocks);

// Writes what the index has learnt to its cache. UNAVAILABLE, naming the file: it cannot be
// written; nothing is tried again then. CANCELLED, naming it, soon after `stop`.
absl::Status SaveIndex(const std::stop_token& stop = {});

// Opens the backend of that name; "auto" takes the first available one, and where that is lost
// later (UNAVAILABLE) the CPU goes on in its place. Errors: INVALID_ARGUMENT for an unknown name
// (lists the known ones); FAILED_PRECONDITION for one that is not available here, with the reason.
absl::StatusOr<std::shared_ptr<const Backend>> OpenBackend(std::string_view name);

}  // namespace seedlm::backend
