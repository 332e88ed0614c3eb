// Which parts of a growing file can be sent. Pure; not thread-safe.
#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"

namespace seedlm::server {

struct FilePart {
  int number = 0;  // 1, 2, ..
  int64_t offset = 0;
  int64_t size = 0;
};

// Cuts a file of known size into parts of equal size but for the last, at most s3::kMaxParts, and
// counts which are whole.
class PartPlan {
 public:
  // `part_bytes`: at least; grows, in steps of 1 MiB, until the parts are few enough.
  // REQUIRES: size > 0, part_bytes > 0.
  PartPlan(int64_t size, int64_t part_bytes);

  int64_t size() const { return size_; }
  int64_t part_bytes() const { return part_bytes_; }
  int parts() const { return static_cast<int>(missing_.size()); }
  FilePart part(int index) const;  // from 0

  // Bytes that will not change any more; every byte is given once. Returns the parts that this made
  // whole. INTERNAL for a range that is outside of the file or was given before.
  absl::StatusOr<std::vector<FilePart>> Add(int64_t offset, int64_t length);
  bool complete() const { return whole_ == parts(); }

 private:
  int64_t size_;
  int64_t part_bytes_;
  std::vector<int64_t> missing_;  // bytes, by part
  int whole_ = 0;
};

}  // namespace seedlm::server
