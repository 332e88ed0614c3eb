#include "kernels/cpu/finish.h"

#include <algorithm>
#include <cmath>

namespace seedlm::cpu {

FinishTask MakeFinishTask(const codec::Profile& profile, const codec::BlockTask& block,
                          const codec::LevelTable& levels, const search::SeedTable& seeds) {
  FinishTask task;
  task.block = block;
  task.profile = &profile;
  task.levels = &levels;
  task.seeds = &seeds;
  task.in_range = true;
  task.inverse_squared_norm = 1 / block.squared_norm;
  const double inverse_norm = 1 / std::sqrt(block.squared_norm);
  for (int c = 0; c < profile.block; ++c) {
    task.unit[c] = static_cast<float>(block.weights[c] * inverse_norm);
  }
  constexpr float kHighest = 2.2f / static_cast<float>(search::SeedTable::kLeastDiagonal);
  for (int i = 0; i < codec::kLevels; ++i) {
    const double sigma = levels.scale[static_cast<size_t>(i)] * inverse_norm;
    task.in_range &= sigma >= 0x1p-60;
    task.sigma[i] = std::min(static_cast<float>(sigma), kHighest);
    task.inverse_sigma[i] = 1 / task.sigma[i];
  }
  return task;
}

}  // namespace seedlm::cpu
