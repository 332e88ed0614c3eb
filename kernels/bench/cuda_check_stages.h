// What cuda_check does, in its order.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kernels/bench/cuda_check_ceilings.h"
#include "kernels/bench/cuda_check_stage.h"

namespace seedlm::bench {

struct Stage {
  std::string name;  // "check 4bit tensor"
  double seconds;    // that it may take
  StageWork work;
  // The rung that it is about: left out once that is wrong, which it is, too, when the stage fails
  // or, as stages look at their time, hangs.
  std::optional<std::pair<codec::Profile, cuda::SearchMethod>> rung;
};

// First what every rung does on few blocks, then the figures of 4bit, then codes on many blocks of
// each profile, then all else: where time runs out, the least is lost. `ceilings` is read when a
// stage begins; whoever runs them sets it.
std::vector<Stage> MakeStages(bool small, const Ceilings& ceilings);

}  // namespace seedlm::bench
