// What the system knows of this process.
#pragma once

#include <cstdint>

namespace seedlm::server {

struct ProcessStats {
  int64_t resident_bytes = 0;
  double cpu_seconds = 0;  // user and system, all threads
  int64_t threads = 0;
  int64_t open_fds = 0;
  double start_time = 0;  // Unix time, s
};

// From /proc/self; 0 where that is not to be had. Thread-safe.
ProcessStats ReadProcessStats();

}  // namespace seedlm::server
