// Encodes a few blocks again with the reference encoder: an intact plane holds just these codes.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/codec/reference.h"
#include "kernels/format/packed_tensor.h"
#include "kernels/verify/problems.h"

namespace seedlm::verify {

// Fills `bytes` from `offset` on, in bytes from the tensor's first.
using ReadSource = std::function<absl::Status(uint64_t offset, std::span<std::byte> bytes)>;

// Reuses the bases of the last profile that it saw: making them takes about 0.1 s. Not thread-safe.
class SampleChecker {
 public:
  // Checks `count` blocks of `tensor`, chosen by its name and shape alone. `source`: gives bytes of
  // the row-major [rows, columns] of `tensor.dtype`; thread-safe. `levels`: RecoverLevels. Returns
  // what is wrong, one problem a block. About 1 ms a block; `threads`: 0: one for each core;
  // `on_blocks` hears now and then how many are done. After `stop` the rest is left out. Errors:
  // those of reading.
  absl::StatusOr<ProblemList> Check(codec::Fit fit, const codec::LevelTable& levels,
                                    const format::PackedTensor& tensor, const ReadSource& source,
                                    int count, int threads, const std::stop_token& stop,
                                    const std::function<void(int)>& on_blocks);

 private:
  std::string profile_;
  std::unique_ptr<codec::ReferenceEncoder> encoder_;
};

// The encoder's view of stored levels. For the power-of-two rules the bias is found again.
// Errors: INVALID_ARGUMENT if no bias gives these levels.
absl::StatusOr<codec::LevelTable> RecoverLevels(const codec::Profile& profile,
                                                codec::ScaleRule rule,
                                                const std::array<float, codec::kLevels>& scale);

}  // namespace seedlm::verify
