// How outputs are cut and carried to an S3 server.
#pragma once

#include <cstdint>

namespace seedlm::server {

// A part is read from the staged file twice, to be summed and to be sent, and never held in memory.
struct S3Transfer {
  int64_t part_bytes = int64_t{8} << 20;  // at least s3::kMinPartBytes
  int parallel = 4;                       // parts of a job that are on their way at a time
};

}  // namespace seedlm::server
