// The only place that knows which backends exist.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/backend/backend.h"

namespace seedlm::backend {

// One row of `seedlm devices`.
struct BackendInfo {
  std::string name;
  std::string description;
  bool available = false;
  std::string why_unavailable;  // empty when available
};

// Every backend that this build knows, best first, the reference last.
std::vector<BackendInfo> ListBackends();

// Bytes that the lists of the cell index may take, for all backends that are opened from now on
// (search/index_store.h); 0: every search scans all seeds. Until it is called, 1 GiB. The index is
// one for the process: calling again with the same size keeps what it has learnt. Thread-safe.
void SetIndexMemory(int64_t bytes);

// Opens the backend of that name; "auto" takes the first available one.
// Errors: INVALID_ARGUMENT for an unknown name (lists the known ones); FAILED_PRECONDITION for one
// that is not available here, with the reason.
absl::StatusOr<std::shared_ptr<const Backend>> OpenBackend(std::string_view name);

}  // namespace seedlm::backend
