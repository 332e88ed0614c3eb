#include "kernels/bench/cuda_check_correct.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "kernels/bench/bench_support.h"
#include "kernels/bench/cuda_check_cublas.h"
#include "kernels/bench/cuda_check_reference.h"
#include "kernels/bench/cuda_check_search.h"
#include "kernels/codec/seed_search.h"

namespace seedlm::bench {
namespace {

using codec::Fit;
using codec::Profile;
using codec::ScaleRule;
using cuda::CodeWord;
using cuda::SearchMethod;
using cuda::SearchPlan;
using nlohmann::ordered_json;

void Report(const Context& context, const std::string& check, const Problem& problem,
            ordered_json more) {
  ordered_json record{{"check", check},
                      {"profile", std::string(problem.profile.name)},
                      {"fit", codec::Name(problem.fit)},
                      {"scale", codec::Name(problem.levels.rule)}};
  record.update(more);
  context.emit("checks", record);
}

// Grids that no device would choose.
SearchPlan OddGrid(SearchPlan plan) {
  plan.scan_parts = 13;
  plan.wide = 61;
  plan.hard = 17;
  return plan;
}
// One of them that uses the whole device.
SearchPlan LargeOddGrid(SearchPlan plan, int processors) {
  plan.scan_parts = 13;
  plan.wide = plan.hard = 2 * processors + 3;
  return plan;
}
SearchPlan NarrowGrid(SearchPlan plan) {
  plan.scan_parts = plan.wide = plan.hard = 1;
  return plan;
}
// Nearly every block is a hard one.
SearchPlan ShortQueue(SearchPlan plan) {
  plan = OddGrid(plan);
  plan.queue_limit = 64;
  return plan;
}

}  // namespace

absl::Status CheckRung(Context& context, const Profile& profile, SearchMethod method) {
  struct Size {
    const char* plan;
    SearchPlan (*change)(SearchPlan);
    int64_t blocks;
  };
  const auto usual = [](SearchPlan plan) { return plan; };
  // Up to 32 blocks are one tile a warp for the tensor kernel; more are several, the last one
  // short.
  const bool modelled = kEmulated && method == SearchMethod::kTensor;
  std::vector<Size> sizes{{"usual", usual, 3}, {"short queue", ShortQueue, modelled ? 40 : 70}};
  if (modelled && profile.name != codec::k4bit.name) sizes.pop_back();
  if (!context.small) {
    sizes.insert(sizes.end(), {{"usual", usual, 2048}, {"narrow", NarrowGrid, 515}});
  }
  const bool naive = method == SearchMethod::kNaive;
  if (naive) {
    for (Size& size : sizes) size.plan = "none";
  }
  for (const auto& [fit, rule] : kCombinations) {
    const bool usual_rule = rule == (fit == Fit::kOptimal ? ScaleRule::kFitted : ScaleRule::kPaper);
    if (context.small && !usual_rule) continue;
    if (modelled && fit != Fit::kOptimal) continue;
    const int64_t most = context.small ? 70 : 2048;
    const Problem whole =
        MakeProblem(profile, fit, rule, most, 1, naive ? Edges::kZeros : Edges::kZerosAndTiny);
    const std::vector<CodeWord> expected = ReferenceCodes(whole, context.threads);
    DeviceSearch device(profile, most, context.processors);
    for (const Size& size : sizes) {
      Problem some = whole;
      some.blocks.resize(static_cast<size_t>(size.blocks * profile.block));
      const SearchPlan plan =
          size.change(cuda::MakeSearchPlan(device.tables(), size.blocks, context.processors));
      const auto codes = device.Codes(method, some, plan);
      if (!device.status().ok()) return device.status();
      Report(context, absl::StrCat(Name(method), " = reference"), some,
             {{"rung", Rung(method)},
              {"plan", size.plan},
              {"blocks", size.blocks},
              {"differences", Differences(codes, expected)}});
    }
  }
  return absl::OkStatus();
}

absl::Status CheckMany(Context& context, const Profile& profile, Fit fit, ScaleRule rule) {
  constexpr double kHostShare = 0.5;  // of the time
  const Problem problem = MakeProblem(profile, fit, rule, context.blocks, 2, Edges::kZeros);
  const auto host = EncodeOnHost(problem, context.threads, kHostShare * context.seconds);
  if (!host.ok()) return host.status();
  DeviceSearch device(profile, problem.count(), context.processors);
  std::vector<CodeWord> naive;
  const auto search = [&](SearchMethod method, const char* name, const SearchPlan& plan) {
    const Stopwatch timer;
    auto codes = device.Codes(method, problem, plan);
    const double seconds = timer.seconds();
    if (!device.status().ok()) return;
    Report(context, absl::StrCat(Name(method), " = host"), problem,
           {{"rung", Rung(method)},
            {"plan", name},
            {"blocks", static_cast<int64_t>(host->codes.size())},
            {"of", problem.count()},
            {"differences", Differences(codes, host->codes)},
            {"host", host->search},
            {"host_seconds", host->seconds},
            {"seconds", seconds}});
    if (method == SearchMethod::kNaive) {
      naive = std::move(codes);
    } else if (!naive.empty()) {
      Report(context, absl::StrCat(Name(method), " = naive"), problem,
             {{"rung", Rung(method)},
              {"plan", name},
              {"blocks", problem.count()},
              {"differences", Differences(codes, naive)}});
    }
  };
  for (const SearchMethod method : kRungs) {
    if (!HasRung(profile, method) || !context.IsRight(profile, method)) continue;
    if (method == SearchMethod::kTensor && (kEmulated || !cuda::TensorsNext(profile))) continue;
    search(method, "usual", device.plan());
    if (method != SearchMethod::kNaive) {
      search(method, "odd", LargeOddGrid(device.plan(), context.processors));
    }
    if (!device.status().ok()) return device.status();
  }
  return absl::OkStatus();
}

absl::Status CheckByGemm(Context& context, const Profile& profile) {
  const Problem problem =
      MakeProblem(profile, Fit::kOptimal, ScaleRule::kFitted, context.small ? 2 : 4096, 3);
  GemmResult gemm;
  const cudaError_t error = ScoreByGemm(profile, problem.blocks, gemm);
  if (error != cudaSuccess) return cuda::ToStatus(error, "multiplying");
  if (!gemm.skipped.empty()) {
    context.emit("checks", {{"check", "no better code by GEMM"},
                            {"profile", std::string(profile.name)},
                            {"skipped", gemm.skipped}});
    return absl::OkStatus();
  }
  DeviceSearch device(profile, problem.count(), context.processors);
  const auto codes = device.Codes(SearchMethod::kSliding, problem, device.plan());
  if (!device.status().ok()) return device.status();
  constexpr double kTolerance = 1e-5;  // of the product in float32
  int64_t wrong = 0;
  for (size_t i = 0; i < codes.size(); ++i) {
    const codec::BlockTask task = codec::MakeTask(profile, problem.block(static_cast<int64_t>(i)));
    const codec::BlockCode code =
        codec::FromSeedAndRemainder(profile, cuda::SeedOf(codes[i]), cuda::RemainderOf(codes[i]));
    const double found =
        codec::BlockError(profile, task.weights, codec::MakeBasis(profile, code.seed), code.q,
                          problem.levels.scale[code.level]);
    codec::Candidate preferred = codec::InitialCandidate(problem.fit, task);
    codec::EvaluateSeed(profile, problem.fit, task, problem.levels, gemm.seeds[i], preferred);
    const double bound = task.squared_norm * (1 - double{gemm.scores[i]} - kTolerance);
    wrong += preferred.error < found || found < bound;
  }
  Report(context, "no better code by GEMM", problem,
         {{"rung", Rung(SearchMethod::kSliding)},
          {"blocks", problem.count()},
          {"differences", wrong}});
  return absl::OkStatus();
}

}  // namespace seedlm::bench
