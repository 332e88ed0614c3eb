// A stage of cuda_check, in a process of its own: a kernel that ruins the context, crashes or never
// ends takes nothing with it but its own stage.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "kernels/codec/profile.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/seed_search.h"

namespace seedlm::bench {

// Tensor cores are a scalar model there: what takes minutes is left out, by name.
#if defined(SEEDLM_CUDA_EMULATION)
inline constexpr bool kEmulated = true;
#else
inline constexpr bool kEmulated = false;
#endif

using Emit = std::function<void(std::string_view section, nlohmann::ordered_json record)>;

// What a stage is given.
struct Context {
  int device = 0;
  int processors = 0;  // of the device
  int threads = 1;     // of the host
  bool small = false;
  int64_t blocks = 0;  // of a large problem
  double seconds = 0;  // that the stage may take
  std::chrono::steady_clock::time_point begin;
  // Rungs that have been found wrong, or have failed: profile and method.
  std::set<std::pair<std::string, cuda::SearchMethod>> wrong;
  Emit emit;

  double SecondsLeft() const {
    return seconds -
           std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  }
  bool IsRight(const codec::Profile& profile, cuda::SearchMethod method) const {
    return !wrong.contains({std::string(profile.name), method});
  }
};

using StageWork = std::function<absl::Status(Context&)>;

// Runs the stage on the context's device; its records come in as they are made. Errors: those of
// the stage, and DEADLINE_EXCEEDED or INTERNAL if its process had to be, or was, ended. `fork`:
// false runs it in this process, which then can neither survive nor end it.
absl::Status RunStage(const StageWork& work, Context context, bool fork, const Emit& emit);

}  // namespace seedlm::bench
