#include "server/work_memory.h"

#include <algorithm>
#include <limits>
#include <thread>

#include "absl/strings/str_cat.h"
#include "server/start_report.h"

namespace seedlm::server {

absl::StatusOr<WorkMemory> PlanWorkMemory(const ServerOptions& options, int64_t machine_bytes) {
  MemoryWanted wanted;
  wanted.index = IndexOptionsOf(options).memory;
  wanted.workers = options.threads > 0
                       ? options.threads
                       : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  const bool chosen = options.memory > 0;
  if (chosen) {
    wanted.bytes = options.memory;
  } else {
    wanted.bytes = machine_bytes > 0 ? machine_bytes / 4 * 3 : std::numeric_limits<int64_t>::max();
  }
  const absl::StatusOr<MemoryPlan> plan = PlanMemory(wanted);
  if (!plan.ok() && chosen) {
    return absl::InvalidArgumentError(absl::StrCat("--memory: ", plan.status().message()));
  }
  if (!plan.ok()) {
    return WorkMemory{LeastPlan(), absl::StrCat(plan.status().message(),
                                                ": work is as small as it can be, and may fail")};
  }
  WorkMemory memory{*plan, plan->Shortfall(wanted)};
  if (chosen && machine_bytes > 0 && wanted.bytes > machine_bytes) {
    memory.warning = absl::StrCat("--memory is ", wanted.bytes >> 20, " MiB, this machine gives ",
                                  machine_bytes >> 20, " MiB");
    return memory;
  }
  if (!memory.warning.empty()) {
    absl::StrAppend(
        &memory.warning, ", to stay within ", wanted.bytes >> 20, " MiB of memory",
        chosen ? "" : ", three quarters of what this machine gives; --memory says otherwise");
  }
  return memory;
}

}  // namespace seedlm::server
