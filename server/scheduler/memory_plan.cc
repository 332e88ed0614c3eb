#include "server/scheduler/memory_plan.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernels/codec/profile.h"
#include "kernels/registry/registry.h"
#include "server/scheduler/policy.h"

namespace seedlm::server {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;
// Of the process at rest, and of what runs beside the workers: measured as some 40 MiB.
constexpr int64_t kAtRest = 64 * kMiB;
// Tables of all profiles, which stay once they are made: counted as 118 MiB.
constexpr int64_t kTables = 128 * kMiB;
constexpr int64_t kBuffer = 2 * kMiB;  // for what is read back to be summed

int64_t WithAllocator(int64_t bytes) { return bytes + bytes / 4; }  // as EstimateOf

// What a worker holds of so many weights: source, codes, what the search takes.
int64_t PieceBytes(int64_t weights, int64_t source_bytes) {
  int64_t most = 0;
  for (const codec::Profile& profile : codec::kProfiles) {
    const int64_t blocks = profile.blocks_per_row(weights);
    const int64_t codes = blocks * static_cast<int64_t>(sizeof(uint32_t) + 1);
    most = std::max(most, codes + backend::PlannedMemory("cpu", profile, blocks).call);
  }
  return source_bytes + most + kBuffer;
}

int64_t WorkerBytes(int64_t shards_together) {
  // Of types of two bytes, which have most weights; and a row of float32, which is worked on whole.
  const int64_t bytes = shards_together * kDefaultShardWeights * int64_t{sizeof(float)};
  return WithAllocator(
      std::max(PieceBytes(bytes / 2, bytes),
               PieceBytes(kMaxRowWeights, kMaxRowWeights * int64_t{sizeof(float)})));
}

constexpr int64_t kShared = kAtRest + kTables;

MemoryPlan Plan(int64_t index, int64_t workers, int64_t together) {
  return {index, static_cast<int>(workers), together,
          kShared + index + workers * WorkerBytes(together)};
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
  for (int64_t together = kShardsTogether; together >= 1; --together) {
    const MemoryPlan whole = Plan(wanted.index, wanted.workers, together);
    if (whole.bytes <= wanted.bytes) return whole;
  }
  const int64_t for_work = wanted.bytes - kShared;
  const int64_t least_index = std::min(wanted.index, std::max<int64_t>(0, for_work / 4));
  const int64_t workers =
      std::clamp<int64_t>((for_work - least_index) / WorkerBytes(1), 1, wanted.workers);
  const int64_t left = for_work - workers * WorkerBytes(1);
  if (left >= 0) return Plan(std::min(wanted.index, left), workers, 1);
  return absl::ResourceExhaustedError(
      absl::StrCat(Text(wanted.bytes), " of memory are too little; one thread takes up to ",
                   Text(LeastPlan().bytes), " without an index"));
}

}  // namespace seedlm::server
