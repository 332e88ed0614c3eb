// Row ranges of a matrix on several cores, results in the order of the rows.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <stop_token>
#include <thread>
#include <vector>

namespace seedlm::verify {

// Ranges of about this many weights: enough work for a thread, little memory.
inline constexpr int64_t kWeightsAtATime = int64_t{1} << 18;

// Calls `work(first, count, result)` for ranges of `step` items, the last one perhaps shorter, that
// cover `items`, on `threads` (0: one for each core), and returns the results in order: what is
// summed from them does not depend on the threads. After `stop` the remaining ranges are left out.
// REQUIRES: `work` is thread-safe.
template <typename Result>
std::vector<Result> ForRanges(
    int64_t items, int64_t step, int threads, const std::stop_token& stop,
    const std::function<void(int64_t first, int64_t count, Result& result)>& work) {
  const int64_t ranges = items / step + (items % step != 0);
  std::vector<Result> results(static_cast<size_t>(ranges));
  std::atomic<int64_t> next{0};
  const auto loop = [&] {
    for (int64_t i = next++; i < ranges && !stop.stop_requested(); i = next++) {
      work(i * step, std::min(step, items - i * step), results[static_cast<size_t>(i)]);
    }
  };
  const int64_t most =
      threads > 0 ? threads : std::max<int64_t>(1, std::thread::hardware_concurrency());
  {
    std::vector<std::jthread> helpers;
    for (int64_t i = 1; i < std::min(most, ranges); ++i) helpers.emplace_back(loop);
    loop();
  }
  return results;
}

// The rows of a matrix in ranges of about kWeightsAtATime weights.
template <typename Result>
std::vector<Result> ForRowRanges(
    int64_t rows, int64_t columns, int threads, const std::stop_token& stop,
    const std::function<void(int64_t first_row, int64_t row_count, Result& result)>& work) {
  const int64_t step = std::max<int64_t>(1, kWeightsAtATime / std::max<int64_t>(1, columns));
  return ForRanges<Result>(rows, step, threads, stop, work);
}

}  // namespace seedlm::verify
