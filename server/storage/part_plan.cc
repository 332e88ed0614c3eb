#include "server/storage/part_plan.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/storage/s3/client.h"

namespace seedlm::server {
namespace {

constexpr int64_t kStep = int64_t{1} << 20;

int64_t DivideUp(int64_t a, int64_t b) { return a / b + (a % b != 0); }

}  // namespace

PartPlan::PartPlan(int64_t size, int64_t part_bytes) : size_(size), part_bytes_(part_bytes) {
  const int64_t least = DivideUp(size, s3::kMaxParts);
  if (part_bytes_ < least) part_bytes_ = DivideUp(least, kStep) * kStep;
  for (int64_t offset = 0; offset < size; offset += part_bytes_) {
    missing_.push_back(std::min(part_bytes_, size - offset));
  }
}

FilePart PartPlan::part(int index) const {
  const int64_t offset = index * part_bytes_;
  return {index + 1, offset, std::min(part_bytes_, size_ - offset)};
}

absl::StatusOr<std::vector<FilePart>> PartPlan::Add(int64_t offset, int64_t length) {
  if (offset < 0 || length < 0 || length > size_ || offset > size_ - length) {
    return absl::InternalError(
        absl::StrCat("a range of ", length, " bytes at ", offset, " is outside of the file"));
  }
  std::vector<FilePart> whole;
  for (const int64_t end = offset + length; offset < end;) {
    const auto index = static_cast<size_t>(offset / part_bytes_);
    const int64_t part_end = (static_cast<int64_t>(index) + 1) * part_bytes_;
    const int64_t count = std::min(end, part_end) - offset;
    if (count > missing_[index]) {
      return absl::InternalError(absl::StrCat("bytes at ", offset, " were said to be final twice"));
    }
    missing_[index] -= count;
    if (missing_[index] == 0) {
      ++whole_;
      whole.push_back(part(static_cast<int>(index)));
    }
    offset += count;
  }
  return whole;
}

}  // namespace seedlm::server
