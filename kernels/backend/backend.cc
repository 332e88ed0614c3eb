#include "kernels/backend/backend.h"

#include <utility>

namespace seedlm::backend {

void Backend::EncodeLost(std::span<const ShardTask> shards, IsLost& is_lost,
                         const std::function<Results(std::span<const ShardTask>)>& encode,
                         Results& results) {
  std::vector<size_t> places;
  std::vector<ShardTask> lost;
  for (size_t i = 0; i < results.size(); ++i) {
    if (!is_lost(results[i].status())) continue;
    places.push_back(i);
    lost.push_back(shards[i]);
  }
  if (lost.empty()) return;
  Results others = encode(lost);
  for (size_t i = 0; i < places.size(); ++i) results[places[i]] = std::move(others[i]);
}

}  // namespace seedlm::backend
