// Encodes a few blocks again with the reference encoder: an intact plane holds just these codes.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/codec/reference.h"
#include "kernels/format/packed_tensor.h"

namespace seedlm::client {

// Reuses the bases of the last profile that it saw: making them takes about 0.1 s. Not thread-safe.
class SampleChecker {
 public:
  // Checks `count` blocks of `tensor`, chosen by its name and shape alone. `source`: row-major
  // [rows, columns] of `tensor.dtype`. Returns what is wrong, a line a block; empty: all agree.
  // On all cores, about 1 ms a block; `on_blocks` hears now and then how many are done. After
  // `stop` the rest is left out. Errors: INVALID_ARGUMENT if the levels are not of the rule that
  // the metadata names.
  absl::StatusOr<std::vector<std::string>> Check(const format::PackedMetadata& metadata,
                                                 const format::PackedTensor& tensor,
                                                 std::span<const std::byte> source, int count,
                                                 const std::stop_token& stop,
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

}  // namespace seedlm::client
