// How outputs are cut and carried to an S3 server, and how long one that is away is waited for.
#pragma once

#include <cstdint>
#include <stop_token>

namespace seedlm::server {

// A part is read from the staged file twice, to be summed and to be sent, and never held in memory.
struct S3Transfer {
  int64_t part_bytes = int64_t{8} << 20;  // at least s3::kMinPartBytes
  int parallel = 4;                       // parts of a job that are on their way at a time
};

// How long a check waits for an S3 server that is away.
struct S3Patience {
  int attempts = 2;  // who waits for the answer hears of it soon; 0: for the options' patience
  std::stop_token stop = {};  // ends the wait
};

}  // namespace seedlm::server
