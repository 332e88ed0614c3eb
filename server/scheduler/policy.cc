#include "server/scheduler/policy.h"

#include <algorithm>

namespace seedlm::server {

std::optional<size_t> PickJob(std::span<const JobView> jobs) {
  std::optional<size_t> best;
  for (size_t i = 0; i < jobs.size(); ++i) {
    if (!jobs[i].has_work) continue;
    if (!best.has_value() || jobs[i].priority > jobs[*best].priority ||
        (jobs[i].priority == jobs[*best].priority && jobs[i].order < jobs[*best].order)) {
      best = i;
    }
  }
  return best;
}

Pieces RowPieces(int64_t rows, int64_t columns, int64_t weights) {
  return {rows, std::clamp<int64_t>(weights / columns, 1, rows)};
}

}  // namespace seedlm::server
