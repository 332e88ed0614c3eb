// Where a search spends its time: kernels that sum up their own time as they run, and the floor
// that the processor sets for scoring.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <string>
#include <vector>

#include "kernels/bench/bench_support.h"
#include "kernels/cpu/search_kernels.h"

namespace seedlm::bench {

// Kernels of a search in one thread, each with a clock. One at a time: the clocks are global, as
// the kernels are plain functions.
class KernelClock {
 public:
  enum Stage { kFetch, kScore, kSelect, kFinish, kStages };

  explicit KernelClock(const cpu::SearchKernels& kernels) : timed_(kernels) {
    Plain() = kernels;
    for (Sum& sum : Sums()) sum = {};
    timed_.fetch_rows = [](const search::SeedTable& table, const uint16_t* seeds, int count,
                           int32_t* tiles) {
      const Timer timer(kFetch);
      Plain().fetch_rows(table, seeds, count, tiles);
    };
    timed_.score_rows = [](const codec::Profile& profile, const int32_t* tiles, int count,
                           const int16_t* blocks, int block_count, const cpu::Scores& out) {
      const Timer timer(kScore);
      Plain().score_rows(profile, tiles, count, blocks, block_count, out);
    };
    if (kernels.score_byte_rows != nullptr) {
      timed_.fetch_byte_rows = [](const search::SeedTable& table, const uint16_t* seeds, int count,
                                  int32_t* tiles) {
        const Timer timer(kFetch);
        Plain().fetch_byte_rows(table, seeds, count, tiles);
      };
      timed_.score_byte_rows = [](const codec::Profile& profile, const int32_t* tiles, int count,
                                  const cpu::ByteBlock* blocks, int block_count,
                                  const cpu::Scores& out) {
        const Timer timer(kScore);
        Plain().score_byte_rows(profile, tiles, count, blocks, block_count, out);
      };
    }
    timed_.largest = [](const cpu::Scores& scores, int count) {
      const Timer timer(kSelect);
      return Plain().largest(scores, count);
    };
    timed_.select = [](const cpu::Scores& scores, int count, float threshold, uint32_t* places) {
      const Timer timer(kSelect);
      return Plain().select(scores, count, threshold, places);
    };
    timed_.finish = [](const cpu::FinishTask& task, const uint32_t* seeds, int count,
                       codec::Candidate& best) {
      const Timer timer(kFinish);
      Plain().finish(task, seeds, count, best);
    };
  }

  const cpu::SearchKernels& kernels() const { return timed_; }

  // Seconds of a stage, without what the clock itself takes.
  double Seconds(Stage stage) const {
    return std::max(0.0, Sums()[stage].seconds - static_cast<double>(Sums()[stage].calls) * Cost());
  }
  // Seconds that the clocks took of the whole search.
  double Overhead() const {
    int64_t calls = 0;
    for (int stage = 0; stage < kStages; ++stage) calls += Sums()[stage].calls;
    return 2 * static_cast<double>(calls) * Cost();  // a reading lies outside, one inside
  }

 private:
  using Clock = std::chrono::steady_clock;
  struct Sum {
    double seconds = 0;
    int64_t calls = 0;
  };
  class Timer {
   public:
    explicit Timer(Stage stage) : stage_(stage) {}
    ~Timer() {
      Sum& sum = Sums()[stage_];
      sum.seconds += std::chrono::duration<double>(Clock::now() - start_).count();
      ++sum.calls;
    }
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;

   private:
    Stage stage_;
    Clock::time_point start_ = Clock::now();
  };

  static cpu::SearchKernels& Plain() {
    static cpu::SearchKernels kernels;
    return kernels;
  }
  static Sum (&Sums())[kStages] {
    static Sum sums[kStages];
    return sums;
  }
  // Of one reading.
  static double Cost() {
    static const double cost = [] {
      constexpr int kReadings = 100'000;
      const Stopwatch watch;
      for (int i = 0; i < kReadings; ++i) (void)Clock::now();
      return watch.seconds() / kReadings;
    }();
    return cost;
  }

  cpu::SearchKernels timed_;
};

// A stopwatch of the thread's own time: what other processes take of the core does not count.
class ThreadStopwatch {
 public:
  double seconds() const { return Now() - start_; }

 private:
  static double Now() {
    std::timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
  }
  double start_ = Now();
};

// Cycles a second, by a chain of additions that takes one each.
inline double MeasureClockRate() {
  constexpr int64_t kSteps = 50'000'000;
  double best = 0;
  for (int round = 0; round < 3; ++round) {
    uint64_t value = static_cast<uint64_t>(round);
    const ThreadStopwatch watch;
    const auto add = [&] {
      value += 0x9E37u;
      asm volatile("" : "+r"(value));  // one by one
    };
    for (int64_t i = 0; i < kSteps; i += 8) {
      add(), add(), add(), add(), add(), add(), add(), add();
    }
    best = std::max(best, static_cast<double>(kSteps) / watch.seconds());
  }
  return best;
}

// Lanes of 32 bits of an instruction set.
inline int Lanes(const std::string& target) {
  if (target.rfind("AVX3", 0) == 0) return 16;
  return target == "AVX2" ? 8 : 4;
}

// Whether the index scores rows of bytes.
inline bool ScoresBytes(const cpu::SearchKernels& kernels, const codec::Profile& profile) {
  return kernels.score_byte_rows != nullptr && search::SeedTable::For(profile).has_byte_rows();
}

// Multiplications, of which a processor begins two a cycle, for the pairs of a block and a vector
// of seeds. Four bytes are one with VNNI, else two.
inline int ScoringInstructions(const std::string& target, const cpu::SearchKernels& kernels,
                               const codec::Profile& profile) {
  const int products = profile.block * profile.rank;
  if (!ScoresBytes(kernels, profile)) return products / 2 + profile.rank;
#if defined(__clang__)  // as in cpu/byte_products_inl.h
  constexpr bool kUsesVnni = false;
#else
  constexpr bool kUsesVnni = true;
#endif
  const bool fused = kUsesVnni && target == "AVX3_DL";
  return products / 4 * (fused ? 1 : 2) + profile.rank + 2;
}

// (block, seed) pairs a second that are scored on tiles in the cache.
inline double MeasureScoring(const cpu::SearchKernels& kernels, const codec::Profile& profile) {
  constexpr int kSeeds = 256, kBlocks = 4, kRepeats = 20'000;
  const bool bytes = ScoresBytes(kernels, profile);
  const search::SeedTable& table = search::SeedTable::For(profile);
  std::vector<uint16_t> seeds;
  for (int i = 0; i < kSeeds; ++i) seeds.push_back(static_cast<uint16_t>(1 + 255 * i));
  search::AlignedWords tiles(std::max(cpu::TileWords(profile, kSeeds), cpu::ByteTileWords(kSeeds)));
  (bytes ? kernels.fetch_byte_rows : kernels.fetch_rows)(table, seeds.data(), kSeeds, tiles.data());
  const std::vector<int16_t> blocks(static_cast<size_t>(kBlocks * profile.block), 9000);
  const std::vector<cpu::ByteBlock> byte_blocks(kBlocks);
  search::AlignedFloats scores(kSeeds * kBlocks), peaks(scores.size() / cpu::Scores::kRun);
  const cpu::Scores out{scores.data(), peaks.data(), kSeeds};
  double best = 0;
  for (int round = 0; round < 3; ++round) {
    const ThreadStopwatch watch;
    for (int i = 0; i < kRepeats; ++i) {
      if (bytes) {
        kernels.score_byte_rows(profile, tiles.data(), kSeeds, byte_blocks.data(), kBlocks, out);
      } else {
        kernels.score_rows(profile, tiles.data(), kSeeds, blocks.data(), kBlocks, out);
      }
    }
    best = std::max(best, static_cast<double>(kRepeats) * kSeeds * kBlocks / watch.seconds());
  }
  return best;
}

}  // namespace seedlm::bench
