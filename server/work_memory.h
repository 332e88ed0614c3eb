// What a server gives to its work of the machine's memory.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "server/config.h"
#include "server/scheduler/memory_plan.h"

namespace seedlm::server {

struct WorkMemory {
  MemoryPlan plan;
  std::string warning;  // what is less than the options ask for, and why; "": nothing is
};

// Of `options` on a machine that gives so many bytes (MachineMemory); 0: it does not say. Where the
// options leave the choice and the machine is too small for any work, the least of it is planned.
// INVALID_ARGUMENT: they say less than the least.
absl::StatusOr<WorkMemory> PlanWorkMemory(const ServerOptions& options, int64_t machine_bytes);

}  // namespace seedlm::server
