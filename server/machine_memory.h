// How much memory this machine gives to the process.
#pragma once

#include <cstdint>
#include <string>

namespace seedlm::server {

// Bytes: what the machine has, or the least limit of the control groups (cgroup v2 or v1) that the
// process is in, where that is less: containers and units of systemd have one. 0: the system does
// not say. `root`: in whose proc and sys it looks, for tests.
int64_t MachineMemory(const std::string& root = "");

}  // namespace seedlm::server
