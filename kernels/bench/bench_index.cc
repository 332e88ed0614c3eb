// The search through the cell index against the exhaustive scan and the plain algorithm, on one
// machine in one run: blocks/s on 1 and 2 threads (a whole batch each), with the lists built on the
// way and with the lists there; what a block costs in seeds fetched, pairs scored and codes
// searched; what a list costs. Gaussian weights, optimal fit, fitted levels. The codes of all
// searches are compared first. JSON goes to stdout, a table to stderr.
// Usage: bench_index [--commit ID] [--blocks N]   (N: blocks a round of the index, default 2000000,
// about as many as a worker is given of bfloat16 at a time)
//
// The floor of scoring: a (block, seed) pair is C P / 2 multiply-adds of 16-bit pairs and P of
// float32, 12 + 3 for 4bit, over the lanes of a vector; where bytes are scored (3bit), C P / 4 of
// fours, each two without VNNI, P and 2: 12 + 4 + 2 with it. Two such instructions a cycle, 16
// lanes with AVX-512: 15 / 32 of a cycle at 4bit, 18 / 32 at 3bit. The clock rate is measured. A
// candidate is C P words of 16 bits, or bytes, fetched once for all blocks of a visit: 48 at 4bit
// and 3bit, in a line of 64. Shares of time come from one more round with a clock in every kernel.
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <nlohmann/json.hpp>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "kernels/backend/level_choice.h"
#include "kernels/backend/weight_blocks.h"
#include "kernels/bench/bench_support.h"
#include "kernels/bench/kernel_clock.h"
#include "kernels/bench/plain_search.h"
#include "kernels/cpu/backends.h"
#include "kernels/cpu/index_search.h"
#include "kernels/search/index_store.h"

namespace {

using namespace seedlm;
using bench::Stopwatch;
using codec::Candidate;
using nlohmann::ordered_json;

constexpr int kRounds = 5;
constexpr int64_t kManyBlocks = 25'000'000;  // of the job that the blocks stand for

struct Workload {
  std::vector<float> weights;
  backend::EncodeSpec spec;
  std::vector<uint32_t> places;
  std::vector<Candidate> best;

  size_t width() const { return static_cast<size_t>(spec.profile.block); }
};

Workload MakeWorkload(const codec::Profile& profile, int blocks) {
  Workload load{bench::GaussianWeights(profile, blocks), {}, {}, {}};
  load.places.resize(static_cast<size_t>(blocks));
  load.best.resize(static_cast<size_t>(blocks));
  std::iota(load.places.begin(), load.places.end(), 0u);
  const backend::WeightRows rows{backend::WeightType::kF32, blocks, profile.block,
                                 reinterpret_cast<const std::byte*>(load.weights.data())};
  codec::NormHistogram histogram;
  if (!backend::AddBlockNorms(profile, rows, histogram).ok()) std::exit(1);
  load.spec = {profile, codec::Fit::kOptimal,
               codec::DesignLevels(profile, codec::ScaleRule::kFitted, histogram), kManyBlocks};
  return load;
}

// Runs a search over the first `count` blocks on each of `threads` threads, as a server's workers
// do: the batch of a thread is as large whether others run or not. Returns blocks/s of all threads
// together and adds up what the searches say. All threads but one write into copies.
template <typename Search, typename Make, typename Say>
double Time(Workload& load, int threads, size_t count, const Make& make, const Say& say) {
  for (size_t i = 0; i < load.best.size(); ++i) {
    load.best[i] = codec::InitialCandidate(
        load.spec.fit, codec::MakeTask(load.spec.profile, &load.weights[i * load.width()]));
  }
  std::vector<std::unique_ptr<Search>> searches;
  for (int t = 0; t < threads; ++t) searches.push_back(make());
  std::vector<std::vector<Candidate>> copies(static_cast<size_t>(threads) - 1, load.best);
  const Stopwatch watch;
  {
    std::vector<std::jthread> running;
    for (size_t t = 0; t < searches.size(); ++t) {
      running.emplace_back([&, t] {
        const cpu::Batch batch{load.weights.data(),
                               t == 0 ? load.best.data() : copies[t - 1].data()};
        const cpu::Section section{&load.spec, std::span(load.places).first(count)};
        if (!searches[t]->Run(batch, {&section, 1}, {}).ok()) std::exit(1);
      });
    }
  }
  const double rate = static_cast<double>(count) * threads / watch.seconds();
  for (const auto& search : searches) say(*search);
  return rate;
}

double TimeScan(Workload& load, const cpu::SearchKernels& kernels, int threads, size_t count) {
  return Time<cpu::ExhaustiveSearch>(
      load, threads, count,
      [&] { return std::make_unique<cpu::ExhaustiveSearch>(kernels, load.spec); },
      [](const cpu::ExhaustiveSearch&) {});
}

double TimeIndex(Workload& load, const cpu::SearchKernels& kernels, search::CellIndex& index,
                 int threads, cpu::IndexStatistics* statistics = nullptr) {
  return Time<cpu::IndexSearch>(
      load, threads, load.places.size(),
      [&] { return std::make_unique<cpu::IndexSearch>(kernels, load.spec, index); },
      [&](const cpu::IndexSearch& search) {
        if (statistics != nullptr) *statistics = search.statistics();
      });
}

double TimePlain(const Workload& load, const bench::PlainSearch& plain, size_t count) {
  const Stopwatch watch;
  double total = 0;
  for (size_t b = 0; b < count; ++b) {
    uint32_t seed = 0;
    total += plain.Encode(&load.weights[b * load.width()], -10, &seed);
  }
  if (!(total > 0)) std::exit(1);
  return static_cast<double>(count) / watch.seconds();
}

// Both searches must give the same codes.
void Check(Workload& load, const cpu::SearchKernels& kernels, search::CellIndex& index,
           size_t count) {
  TimeIndex(load, kernels, index, 1);
  const std::vector<Candidate> by_index = load.best;
  TimeScan(load, kernels, 1, count);
  for (size_t i = 0; i < count; ++i) {
    const Candidate &a = by_index[i], &b = load.best[i];
    if (a.error == b.error && a.seed == b.seed && a.remainder == b.remainder) continue;
    std::cerr << "bench_index: block " << i << " of " << load.spec.profile.name << " disagrees\n";
    std::exit(1);
  }
}

ordered_json RunProfile(const codec::Profile& profile, int blocks) {
  const auto kernels = cpu::KernelsFor(cpu::SupportedTargets().front());
  Workload load = MakeWorkload(profile, blocks);
  search::IndexStore store, cold_store;
  const search::Workload work{blocks, kManyBlocks};
  search::CellIndex* index = store.Choose(profile, work);
  if (index == nullptr) return {{"profile", profile.name}, {"index", "none: scanned exhaustively"}};
  const size_t scanned = std::min<size_t>(20'000, load.places.size());

  cpu::IndexStatistics built, warm;
  const double cold = TimeIndex(load, kernels, *cold_store.Choose(profile, work), 1, &built);
  Check(load, kernels, *index, scanned);
  const bench::PlainSearch plain(profile);
  std::vector<double> rates[5];
  for (int round = 0; round < kRounds; ++round) {
    rates[0].push_back(TimePlain(load, plain, 40));
    rates[1].push_back(TimeScan(load, kernels, 1, scanned));
    rates[2].push_back(TimeScan(load, kernels, 2, scanned));
    rates[3].push_back(TimeIndex(load, kernels, *index, 1, &warm));
    rates[4].push_back(TimeIndex(load, kernels, *index, 2));
  }
  double median[5];
  for (int i = 0; i < 5; ++i) median[i] = bench::Median(rates[i]);
  const double count = static_cast<double>(blocks);
  const bench::KernelClock clock(kernels);
  const double clocked =
      count / TimeIndex(load, clock.kernels(), *index, 1) - clock.Overhead();  // seconds
  const auto share = [&](bench::KernelClock::Stage stage) {
    return std::round(1000 * clock.Seconds(stage) / clocked) / 1000;
  };
  const std::string target = cpu::SupportedTargets().front();
  const double floor = bench::MeasureClockRate() * 2 * bench::Lanes(target) /
                       bench::ScoringInstructions(target, kernels, profile);
  const double scoring = bench::MeasureScoring(kernels, profile);
  const double list_us = built.lists_built == 0 ? 0
                                                : 1e6 * (count / cold - count / median[3]) /
                                                      static_cast<double>(built.lists_built);
  ordered_json row = {
      {"profile", profile.name},
      {"instructions", cpu::SupportedTargets().front()},
      {"radius", index->resolution().radius},
      {"plain_1_thread", std::round(median[0])},
      {"exhaustive_1_thread", std::round(median[1])},
      {"exhaustive_2_threads", std::round(median[2])},
      {"index_1_thread", std::round(median[3])},
      {"index_2_threads", std::round(median[4])},
      {"index_1_thread_slowest", std::round(*std::min_element(rates[3].begin(), rates[3].end()))},
      {"index_1_thread_fastest", std::round(*std::max_element(rates[3].begin(), rates[3].end()))},
      {"index_1_thread_lists_built_on_the_way", std::round(cold)},
      {"weights_per_second_1_thread", std::round(median[3] * profile.block)},
      {"index_times_exhaustive", std::round(10 * median[3] / median[1]) / 10},
      {"index_times_plain", std::round(median[3] / median[0])},
      {"two_threads_times_one", std::round(100 * median[4] / median[3]) / 100},
      {"lists", index->lists()},
      {"list_bytes", (store.memory() - store.memory_left()) / index->lists()},
      {"list_microseconds", std::round(10 * list_us) / 10},
      {"blocks_a_visit", count / static_cast<double>(warm.visits)},
      {"seeds_fetched_a_block", static_cast<double>(warm.fetched) / count},
      {"pairs_scored_a_block", static_cast<double>(warm.scored) / count},
      {"seeds_finished_a_block", static_cast<double>(warm.finished) / count},
      {"share_scanned_exhaustively", static_cast<double>(warm.exhaustive) / count},
      {"pairs_scored_per_second", std::round(scoring)},
      {"pairs_per_second_floor", std::round(floor)},
      {"scoring_share_of_floor", std::round(1000 * scoring / floor) / 1000},
      {"candidate_bytes",
       (bench::ScoresBytes(kernels, profile) ? 1 : 2) * profile.block * profile.rank},
      {"share_of_time_fetching", share(bench::KernelClock::kFetch)},
      {"share_of_time_scoring", share(bench::KernelClock::kScore)},
      {"share_of_time_selecting", share(bench::KernelClock::kSelect)},
      {"share_of_time_finishing", share(bench::KernelClock::kFinish)}};
  std::cerr << row.dump(1) << '\n';
  return row;
}

}  // namespace

int main(int argc, char** argv) {
  std::string commit = "unknown";
  int blocks = 2'000'000;  // about as many as a worker has at a time
  for (int i = 1; i < argc; i += 2) {
    const std::string flag = argv[i];
    if (i + 1 < argc && flag == "--commit") {
      commit = argv[i + 1];
    } else if (i + 1 < argc && flag == "--blocks" && std::atoi(argv[i + 1]) >= 1000) {
      blocks = std::atoi(argv[i + 1]);
    } else {
      std::cerr << "usage: bench_index [--commit ID] [--blocks N >= 1000]\n";
      return 2;
    }
  }
  ordered_json result = {{"date", bench::Today()},
                         {"commit", commit},
                         {"machine", bench::CpuModel()},
                         {"hardware_threads", std::thread::hardware_concurrency()},
                         {"weights", "Gaussian, sigma 0.02"},
                         {"blocks", blocks},
                         {"unit", "blocks/s, median of " + std::to_string(kRounds) + " rounds"},
                         {"rows", ordered_json::array()}};
  for (const codec::Profile& profile : codec::kProfiles) {
    result["rows"].push_back(RunProfile(profile, blocks));
  }
  std::cout << result.dump(1) << '\n';
}
