#include "server/scheduler/memory_plan.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernels/codec/profile.h"
#include "kernels/registry/registry.h"
#include "server/scheduler/policy.h"
#include "server/scheduler/scheduler.h"

namespace seedlm::server {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;
// Of the process at rest, and of what runs beside the workers: measured as some 40 MiB.
constexpr int64_t kAtRest = 64 * kMiB;
// Tables of profiles that are in use at a time.
constexpr int64_t kProfilesInUse = 2;

int64_t WithAllocator(int64_t bytes) { return bytes + bytes / 4; }  // as EstimateOf

// What a worker holds of so many weights of a narrow type, two bytes each: source, codes, search.
int64_t PieceBytes(int64_t weights) {
  int64_t most = 0;
  for (const codec::Profile& profile : codec::kProfiles) {
    const int64_t blocks = profile.blocks_per_row(weights);
    const int64_t codes = blocks * static_cast<int64_t>(sizeof(uint32_t) + 1);
    most = std::max(most, codes + backend::PlannedMemory("cpu", profile, blocks).call);
  }
  return most + weights * 2;
}

int64_t WorkerBytes(int64_t shards_together) {
  // A float32 row may be as large as four shards.
  constexpr int64_t kRowBytes = kMaxRowWeights * int64_t{sizeof(float)};
  const int64_t shards = shards_together * kDefaultShardWeights * int64_t{sizeof(float)};
  return WithAllocator(PieceBytes(shards / 2) + std::max<int64_t>(0, kRowBytes - shards));
}

int64_t SharedBytes() {
  return kAtRest +
         WithAllocator(kProfilesInUse * backend::PlannedMemory("cpu", codec::k4bit, 0).tables);
}

MemoryPlan Plan(int64_t index, int64_t workers, int64_t together) {
  return {index, static_cast<int>(workers), together,
          SharedBytes() + index + workers * WorkerBytes(together)};
}

std::string Text(int64_t bytes) { return absl::StrCat((bytes + kMiB - 1) / kMiB, " MiB"); }

}  // namespace

std::string MemoryPlan::Shortfall(const MemoryWanted& wanted) const {
  std::vector<std::string> less;
  if (workers < wanted.workers) {
    less.push_back(absl::StrCat(workers, " of ", wanted.workers, " threads"));
  }
  if (index < wanted.index) {
    less.push_back(index == 0
                       ? std::string("no index")
                       : absl::StrCat("an index of ", Text(index), " of ", Text(wanted.index)));
  }
  return absl::StrJoin(less, ", ");
}

MemoryPlan LeastPlan() { return Plan(0, 1, 1); }

absl::StatusOr<MemoryPlan> PlanMemory(const MemoryWanted& wanted) {
  const int64_t for_work = wanted.bytes - SharedBytes();
  const int64_t least_index = std::min(wanted.index, std::max<int64_t>(0, for_work / 4));
  for (const int64_t index : {wanted.index, least_index}) {
    for (int64_t together = kShardsTogether; together >= 1; --together) {
      const MemoryPlan whole = Plan(index, wanted.workers, together);
      if (whole.bytes <= wanted.bytes) return whole;
    }
  }
  const int64_t workers = (for_work - least_index) / WorkerBytes(1);
  if (workers >= 1) return Plan(least_index, std::min<int64_t>(workers, wanted.workers), 1);
  const int64_t left = for_work - WorkerBytes(1);
  if (left >= 0) return Plan(std::min(wanted.index, left), 1, 1);
  return absl::ResourceExhaustedError(
      absl::StrCat(Text(wanted.bytes), " of memory are too little; one thread takes up to ",
                   Text(LeastPlan().bytes), " without an index"));
}

}  // namespace seedlm::server
