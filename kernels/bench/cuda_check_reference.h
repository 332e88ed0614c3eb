// What the host finds: the codes that a device is to find, too.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/backend/shard.h"
#include "kernels/bench/cuda_check_search.h"

namespace seedlm::bench {

// By codec::ReferenceEncoder, the readable oracle: some 500 to 2,000 blocks a second and thread.
std::vector<cuda::CodeWord> ReferenceCodes(const Problem& problem, int threads);

// By the SIMD backend's scan of all seeds, which shares neither cells nor lists with a device: some
// 1e4 to 1e5 blocks a second and thread. Ends after `seconds` with the blocks that are done.
struct HostCodes {
  std::vector<cuda::CodeWord> codes;  // of the first blocks
  double seconds = 0;
  std::string search;  // how, for people
};
absl::StatusOr<HostCodes> EncodeOnHost(const Problem& problem, int threads, double seconds);

// Every row of a tensor as a shard of its own.
absl::StatusOr<std::vector<backend::EncodedShard>> EncodeRowsOnHost(
    const backend::EncodeSpec& spec, const backend::WeightRows& weights, int threads);

// How many of the first codes differ: of a.size() or b.size(), whichever is less.
int64_t Differences(const std::vector<cuda::CodeWord>& a, const std::vector<cuda::CodeWord>& b);

}  // namespace seedlm::bench
