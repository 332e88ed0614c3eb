// The ladder of searches on one machine in one run: the paper's algorithm written plainly, the
// reference backend, the SIMD backend for each instruction set, on 1 and 2 threads. Gaussian
// weights, optimal fit, fitted levels (the plain algorithm: nearest, powers of two). Every rung is
// checked before it is timed. JSON goes to stdout, a table to stderr. Usage: bench_search [--commit
// ID] [--blocks N]   (N: SIMD blocks a round, default 8000)
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "kernels/backend/level_choice.h"
#include "kernels/backend/weight_blocks.h"
#include "kernels/bench/bench_support.h"
#include "kernels/bench/plain_search.h"
#include "kernels/cpu/backends.h"

namespace seedlm {
namespace {

using backend::Backend;
using backend::WeightRows;

constexpr int kRounds = 5;  // rungs take turns; the median counts

struct Workload {
  codec::Profile profile;
  std::vector<float> weights;
  WeightRows rows;  // one block a row
  backend::EncodeSpec spec;
};

Workload MakeWorkload(const codec::Profile& profile, int blocks) {
  Workload load{profile, std::vector<float>(static_cast<size_t>(blocks * profile.block)), {}, {}};
  std::mt19937 bits(1);
  std::normal_distribution<float> normal(0, 0.02f);
  for (float& w : load.weights) w = normal(bits);
  load.rows = {backend::WeightType::kF32, blocks, profile.block,
               reinterpret_cast<const std::byte*>(load.weights.data())};
  codec::NormHistogram histogram;
  if (!backend::AddBlockNorms(profile, load.rows, histogram).ok()) std::exit(1);
  const auto levels = backend::ChooseLevels(**cpu::MakeSimdBackend(), profile, codec::Fit::kOptimal,
                                            codec::ScaleRule::kFitted, histogram, {});
  load.spec = {profile, codec::Fit::kOptimal, *levels};
  return load;
}

WeightRows First(const WeightRows& rows, int64_t count) {
  WeightRows part = rows;
  part.rows = std::min(count, rows.rows);
  return part;
}

// One rung: its name, threads, blocks a round, and what it does with them.
struct Rung {
  std::string name;
  int threads;
  int blocks;  // over all threads
  std::function<void(int thread)> run;
  std::vector<double> rates = {};  // blocks/s of each round

  double Median() const {
    std::vector<double> sorted = rates;
    std::sort(sorted.begin(), sorted.end());
    return sorted[sorted.size() / 2];
  }
};

void Time(Rung& rung) {
  const auto start = std::chrono::steady_clock::now();
  {
    std::vector<std::jthread> threads;
    for (int t = 1; t < rung.threads; ++t) threads.emplace_back(rung.run, t);
    rung.run(0);
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  rung.rates.push_back(rung.blocks / seconds.count());
}

Rung PlainRung(const Workload& load, const bench::PlainSearch& plain, int blocks) {
  return {"plain", 1, blocks, [&load, &plain, blocks](int) {
            double total = 0;
            for (int b = 0; b < blocks; ++b) {
              uint32_t seed = 0;
              total += plain.Encode(&load.weights[static_cast<size_t>(b * load.profile.block)], -10,
                                    &seed);
            }
            if (!(total > 0)) std::exit(1);
          }};
}

Rung BackendRung(const std::string& name, std::shared_ptr<const Backend> backend,
                 const Workload& load, int threads, int blocks) {
  return {name, threads, blocks * threads, [&load, backend, blocks](int) {
            const auto shard = backend->Encode(load.spec, First(load.rows, blocks), {});
            if (!shard.ok()) std::exit(1);
          }};
}

// Every backend must make the reference's bytes, and the plain search its nearest codes.
void Check(const Workload& load, const bench::PlainSearch& plain) {
  const WeightRows rows = First(load.rows, 100);
  const auto reference = cpu::MakeReferenceBackend();
  const auto expected = reference->Encode(load.spec, rows, {});
  backend::EncodeSpec nearest = load.spec;
  nearest.fit = codec::Fit::kNearest;
  nearest.levels = codec::Pow2Levels(load.profile, -10);
  const auto rounded = reference->Encode(nearest, rows, {});
  bool same = true;
  for (const std::string& target : cpu::SimdTargets()) {
    const auto got = (*cpu::MakeSimdBackend(target))->Encode(load.spec, rows, {});
    same &= got->words == expected->words && got->levels == expected->levels;
  }
  for (size_t b = 0; b < 20; ++b) {
    uint32_t seed = 0;
    plain.Encode(&load.weights[b * static_cast<size_t>(load.profile.block)], -10, &seed);
    same &= seed == (rounded->words[b] & 0xFFFFu);
  }
  if (same) return;
  std::cerr << "bench_search: the rungs of " << load.profile.name << " disagree\n";
  std::exit(1);
}

nlohmann::ordered_json RunProfile(const codec::Profile& profile, int blocks) {
  const Workload load = MakeWorkload(profile, blocks);
  const bench::PlainSearch plain(profile);
  Check(load, plain);
  const auto best = *cpu::MakeSimdBackend();
  std::vector<Rung> rungs;
  rungs.push_back(PlainRung(load, plain, 40));
  rungs.push_back(BackendRung("reference", cpu::MakeReferenceBackend(), load, 1, 200));
  for (const std::string& target : cpu::SimdTargets()) {
    const bool is_best = target == cpu::SimdTargets().front();
    rungs.push_back(BackendRung("cpu " + target, *cpu::MakeSimdBackend(target), load, 1,
                                is_best ? blocks : blocks / 8));
  }
  rungs.push_back(BackendRung("cpu " + cpu::SimdTargets().front(), best, load, 2, blocks));
  for (int round = 0; round < kRounds; ++round) {
    for (Rung& rung : rungs) Time(rung);
  }
  nlohmann::ordered_json rows;
  for (const Rung& rung : rungs) {
    const double rate = rung.Median();
    rows.push_back(
        {{"profile", profile.name},
         {"search", rung.name},
         {"threads", rung.threads},
         {"blocks_per_second", std::round(rate)},
         {"weights_per_second", std::round(rate * profile.block)},
         {"times_plain", std::round(10 * rate / rungs[0].Median()) / 10},
         {"slowest_round", std::round(*std::min_element(rung.rates.begin(), rung.rates.end()))},
         {"fastest_round", std::round(*std::max_element(rung.rates.begin(), rung.rates.end()))}});
    std::fprintf(stderr, "%-7s %-14s %d thread%s %12.0f blocks/s %12.0f weights/s %9.1f x plain\n",
                 std::string(profile.name).c_str(), rung.name.c_str(), rung.threads,
                 rung.threads == 1 ? " " : "s", rate, rate * profile.block,
                 rate / rungs[0].Median());
  }
  return rows;
}

}  // namespace

}  // namespace seedlm

int main(int argc, char** argv) {
  std::string commit = "unknown";
  int blocks = 8000;
  for (int i = 1; i < argc; i += 2) {
    const std::string flag = argv[i];
    if (i + 1 < argc && flag == "--commit") {
      commit = argv[i + 1];
    } else if (i + 1 < argc && flag == "--blocks" && std::atoi(argv[i + 1]) >= 800) {
      blocks = std::atoi(argv[i + 1]);
    } else {
      std::cerr << "usage: bench_search [--commit ID] [--blocks N >= 800]\n";
      return 2;
    }
  }
  nlohmann::ordered_json result = {{"date", seedlm::bench::Today()},
                                   {"commit", commit},
                                   {"machine", seedlm::bench::CpuModel()},
                                   {"hardware_threads", std::thread::hardware_concurrency()},
                                   {"weights", "Gaussian, sigma 0.02"},
                                   {"rows", nlohmann::ordered_json::array()}};
  for (const seedlm::codec::Profile& profile : seedlm::codec::kProfiles) {
    for (auto& row : seedlm::RunProfile(profile, blocks)) result["rows"].push_back(row);
  }
  std::cout << result.dump(1) << '\n';
}
