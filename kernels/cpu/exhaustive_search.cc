#include "kernels/cpu/exhaustive_search.h"

#include <algorithm>
#include <cmath>

namespace seedlm::cpu {

using codec::BlockTask;
using codec::Candidate;
using search::kChunk;

namespace {

// Where no more seeds than these can have a code that helps, they are evaluated without a scan,
// which would let nearly all seeds survive.
constexpr size_t kDirectSeeds = 8192;

// A code D improves on the zero code only if |D| <= 2 |w|; this and a little more, of |w|.
constexpr double kReach = 2 * (1 + 0x1p-20);

// Blocks that are scanned together: enough to share a pass over the seed tables.
constexpr size_t kTogether = 64;

// From below a block that few seeds have codes short enough for, to above one so far over the
// highest level that no code reaches its projections: of others, nearly all seeds would survive.
NormRange ScannedNorms(const backend::EncodeSpec& spec, double lowest, double highest) {
  if (spec.fit != codec::Fit::kOptimal) return {0, HUGE_VAL};
  constexpr double kFar = 4;
  const search::BoundTable& table = search::BoundTable::For(spec.profile);
  const double least = table.shortest_codes()[kDirectSeeds].norm * lowest / kReach;
  const double most = kFar * highest * spec.profile.rank * std::sqrt(spec.profile.block) * 0x1p15;
  return {least * least, most * most};
}

// Seeds that are finished together: the threshold of the others falls with each lot.
constexpr size_t kLot = 8;

}  // namespace

ExhaustiveSearch::ExhaustiveSearch(const SearchKernels& kernels, const backend::EncodeSpec& spec)
    : kernels_(kernels),
      spec_(spec),
      table_(search::BoundTable::For(spec.profile)),
      seed_table_(search::SeedTable::For(spec.profile)),
      lowest_level_(*std::min_element(spec.levels.scale.begin(), spec.levels.scale.end())),
      highest_level_(codec::LargestLevel(spec.levels)),
      scanned_(ScannedNorms(spec, lowest_level_, highest_level_)) {}

absl::Status ExhaustiveSearch::Run(const Batch& batch, std::span<const uint32_t> places,
                                   std::stop_token stop) {
  for (size_t i = 0; i < places.size(); i += kTogether) {
    const auto some = places.subspan(i, std::min(kTogether, places.size() - i));
    if (absl::Status status = RunSome(batch, some, stop); !status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status ExhaustiveSearch::RunSome(const Batch& batch, std::span<const uint32_t> places,
                                       std::stop_token stop) {
  const auto cancelled = [] { return absl::CancelledError("encoding was stopped"); };
  const size_t width = static_cast<size_t>(spec_.profile.block);
  blocks_.clear();
  unit_.clear();
  for (const uint32_t place : places) {
    if (stop.stop_requested()) return cancelled();
    const BlockTask task = codec::MakeTask(spec_.profile, batch.weights + place * width);
    if (!scanned_.Contains(task.squared_norm)) {
      TakeShortcut(task, batch.best[place]);
      continue;
    }
    blocks_.push_back({task, place});
    const double scale = table_.block_unit() / std::sqrt(task.squared_norm);
    for (size_t c = 0; c < width; ++c) {
      unit_.push_back(static_cast<int16_t>(std::lrint(task.weights[c] * scale)));
    }
  }
  maxima_.resize(blocks_.size() * static_cast<size_t>(table_.chunks()));
  kernels_.chunk_maxima(table_, unit_.data(), static_cast<int>(blocks_.size()), maxima_.data());
  for (size_t i = 0; i < blocks_.size(); ++i) {
    if (stop.stop_requested()) return cancelled();
    Finish(blocks_[i], &unit_[i * width], &maxima_[i * static_cast<size_t>(table_.chunks())],
           batch.best[blocks_[i].place]);
  }
  return absl::OkStatus();
}

void ExhaustiveSearch::TakeShortcut(const BlockTask& task, Candidate& best) {
  if (codec::IsOutOfReach(spec_.profile, task, spec_.levels)) return;
  task.squared_norm > scanned_.most ? SearchFar(task, best) : SearchTiny(task, best);
}

// The seeds by the least error that their largest coefficients can reach.
void ExhaustiveSearch::SearchFar(const BlockTask& task, Candidate& best) {
  by_bound_.clear();
  for (uint32_t seed = 1; seed <= spec_.profile.seed_count(); ++seed) {
    const codec::Basis basis = codec::MakeBasis(spec_.profile, seed);
    by_bound_.emplace_back(
        codec::LinearBound(spec_.profile, task, basis).LeastError(highest_level_), seed);
  }
  std::sort(by_bound_.begin(), by_bound_.end());
  for (const auto& [least, seed] : by_bound_) {
    if (least > best.error) break;
    codec::EvaluateSeed(spec_.profile, spec_.fit, task, spec_.levels, seed, best);
  }
}

void ExhaustiveSearch::SearchTiny(const BlockTask& task, Candidate& best) const {
  const auto& codes = table_.shortest_codes();
  const double reach = kReach * std::sqrt(task.squared_norm) / lowest_level_;
  for (size_t i = 0; codes[i].norm <= reach; ++i) {
    codec::EvaluateSeed(spec_.profile, spec_.fit, task, spec_.levels, codes[i].seed, best);
  }
}

// The seed with the largest score first: its error is close to the best, so that only a few
// others are left to look at.
void ExhaustiveSearch::Finish(const Block& block, const int16_t* unit, const float* maxima,
                              Candidate& best) {
  const BlockTask& task = block.task;
  if (spec_.fit == codec::Fit::kOptimal) {
    kernels_.prepare(spec_.profile, spec_.levels, seed_table_, task.weights, finish_);
  }
  const int first = static_cast<int>(std::max_element(maxima, maxima + table_.chunks()) - maxima);
  kernels_.chunk_scores(table_, unit, 1, first, scores_);
  const auto top = std::max_element(scores_, scores_ + kChunk) - scores_;
  seeds_.assign(1, table_.SeedAt(first, static_cast<int>(top)));
  Evaluate(task, best);
  float threshold = Threshold(task, best);
  for (int chunk = 0; chunk < table_.chunks(); ++chunk) {
    if (maxima[chunk] < threshold) continue;
    kernels_.chunk_scores(table_, unit, 1, chunk, scores_);
    for (int i = 0; i < kChunk; ++i) {
      if (scores_[i] < threshold || table_.SeedAt(chunk, i) == 0) continue;
      seeds_.push_back(table_.SeedAt(chunk, i));
      if (seeds_.size() < kLot) continue;
      Evaluate(task, best);
      threshold = Threshold(task, best);
    }
  }
  Evaluate(task, best);
}

// The seeds that wait.
void ExhaustiveSearch::Evaluate(const BlockTask& task, Candidate& best) {
  if (spec_.fit == codec::Fit::kOptimal) {
    kernels_.finish(finish_, seeds_.data(), static_cast<int>(seeds_.size()), best);
  } else {
    for (const uint32_t seed : seeds_) {
      codec::EvaluateSeed(spec_.profile, spec_.fit, task, spec_.levels, seed, best);
    }
  }
  seeds_.clear();
}

// A seed whose computed score is below this cannot improve on `best`.
float ExhaustiveSearch::Threshold(const BlockTask& task, const Candidate& best) const {
  const double budget = codec::ErrorBudget(task.squared_norm, best.error) / task.squared_norm;
  return static_cast<float>(1 - budget) - table_.margin();
}

}  // namespace seedlm::cpu
