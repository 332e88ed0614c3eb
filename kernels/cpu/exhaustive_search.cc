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

absl::Status Stopped() { return absl::CancelledError("encoding was stopped"); }

// Blocks that are scanned together: enough to share a pass over the seed tables.
constexpr size_t kTogether = 64;

// Seeds that are finished together: the threshold of the others falls with each lot.
constexpr size_t kLot = 8;

double LowestLevel(const codec::LevelTable& levels) {
  return *std::min_element(levels.scale.begin(), levels.scale.end());
}

}  // namespace

double LargestScannedNorm(const backend::EncodeSpec& spec) {
  constexpr double kFar = 4;
  return kFar * codec::LargestLevel(spec.levels) * spec.profile.rank *
         std::sqrt(spec.profile.block) * 0x1p15;
}

// From below a block that few seeds have codes short enough for, to above one so far over the
// highest level that no code reaches its projections: of others, nearly all seeds would survive.
NormRange ScannedNorms(const backend::EncodeSpec& spec) {
  if (spec.fit != codec::Fit::kOptimal) return {0, HUGE_VAL};
  const search::BoundTable& table = search::BoundTable::For(spec.profile);
  const double least =
      table.shortest_codes()[kDirectSeeds].norm * LowestLevel(spec.levels) / kReach;
  const double most = LargestScannedNorm(spec);
  return {least * least, most * most};
}

ExhaustiveSearch::ExhaustiveSearch(const SearchKernels& kernels, const backend::EncodeSpec& spec)
    : kernels_(kernels),
      profile_(spec.profile),
      fit_(spec.fit),
      table_(search::BoundTable::For(spec.profile)),
      seed_table_(search::SeedTable::For(spec.profile)) {}

absl::Status ExhaustiveSearch::Run(const Batch& batch, std::span<const Section> sections,
                                   std::stop_token stop) {
  blocks_.clear();
  unit_.clear();
  for (const auto& [spec, places] : sections) {
    const NormRange scanned = ScannedNorms(*spec);
    for (const uint32_t place : places) {
      if (stop.stop_requested()) return Stopped();
      Add(batch, *spec, scanned, place);
      if (blocks_.size() < kTogether) continue;
      if (absl::Status status = Scan(batch, stop); !status.ok()) return status;
    }
  }
  return Scan(batch, stop);
}

// Searches for a block that needs no scan; others wait for it.
void ExhaustiveSearch::Add(const Batch& batch, const backend::EncodeSpec& spec,
                           const NormRange& scanned, uint32_t place) {
  const auto width = static_cast<size_t>(profile_.block);
  const Block block{codec::MakeTask(profile_, batch.weights + place * width), &spec.levels, place};
  const BlockTask& task = block.task;
  if (!scanned.Contains(task.squared_norm)) {
    if (codec::IsOutOfReach(profile_, task, spec.levels)) return;
    task.squared_norm > scanned.most ? SearchFar(block, batch.best[place])
                                     : SearchTiny(block, batch.best[place]);
    return;
  }
  blocks_.push_back(block);
  const double scale = table_.block_unit() / std::sqrt(task.squared_norm);
  for (size_t c = 0; c < width; ++c) {
    unit_.push_back(static_cast<int16_t>(std::lrint(task.weights[c] * scale)));
  }
}

// The blocks that wait.
absl::Status ExhaustiveSearch::Scan(const Batch& batch, const std::stop_token& stop) {
  if (blocks_.empty()) return absl::OkStatus();
  const auto width = static_cast<size_t>(profile_.block);
  const auto chunks = static_cast<size_t>(table_.chunks());
  maxima_.resize(blocks_.size() * chunks);
  kernels_.chunk_maxima(table_, unit_.data(), static_cast<int>(blocks_.size()), maxima_.data());
  for (size_t i = 0; i < blocks_.size(); ++i) {
    if (stop.stop_requested()) return Stopped();
    Finish(blocks_[i], &unit_[i * width], &maxima_[i * chunks], batch.best[blocks_[i].place]);
  }
  blocks_.clear();
  unit_.clear();
  return absl::OkStatus();
}

// The seeds by the least error that their largest coefficients can reach.
void ExhaustiveSearch::SearchFar(const Block& block, Candidate& best) {
  const double highest = codec::LargestLevel(*block.levels);
  by_bound_.clear();
  for (uint32_t seed = 1; seed <= profile_.seed_count(); ++seed) {
    const codec::Basis basis = codec::MakeBasis(profile_, seed);
    by_bound_.emplace_back(codec::LinearBound(profile_, block.task, basis).LeastError(highest),
                           seed);
  }
  std::sort(by_bound_.begin(), by_bound_.end());
  for (const auto& [least, seed] : by_bound_) {
    if (least > best.error) break;
    codec::EvaluateSeed(profile_, fit_, block.task, *block.levels, seed, best);
  }
}

void ExhaustiveSearch::SearchTiny(const Block& block, Candidate& best) const {
  const auto& codes = table_.shortest_codes();
  const double reach = kReach * std::sqrt(block.task.squared_norm) / LowestLevel(*block.levels);
  for (size_t i = 0; codes[i].norm <= reach; ++i) {
    codec::EvaluateSeed(profile_, fit_, block.task, *block.levels, codes[i].seed, best);
  }
}

// The seed with the largest score first: its error is close to the best, so that only a few
// others are left to look at.
void ExhaustiveSearch::Finish(const Block& block, const int16_t* unit, const float* maxima,
                              Candidate& best) {
  const BlockTask& task = block.task;
  if (fit_ == codec::Fit::kOptimal) {
    kernels_.prepare(profile_, *block.levels, seed_table_, task.weights, finish_);
  }
  const int first = static_cast<int>(std::max_element(maxima, maxima + table_.chunks()) - maxima);
  kernels_.chunk_scores(table_, unit, 1, first, scores_);
  const auto top = std::max_element(scores_, scores_ + kChunk) - scores_;
  seeds_.assign(1, table_.SeedAt(first, static_cast<int>(top)));
  Evaluate(block, best);
  float threshold = Threshold(task, best);
  for (int chunk = 0; chunk < table_.chunks(); ++chunk) {
    if (maxima[chunk] < threshold) continue;
    kernels_.chunk_scores(table_, unit, 1, chunk, scores_);
    for (int i = 0; i < kChunk; ++i) {
      if (scores_[i] < threshold || table_.SeedAt(chunk, i) == 0) continue;
      seeds_.push_back(table_.SeedAt(chunk, i));
      if (seeds_.size() < kLot) continue;
      Evaluate(block, best);
      threshold = Threshold(task, best);
    }
  }
  Evaluate(block, best);
}

// The seeds that wait.
void ExhaustiveSearch::Evaluate(const Block& block, Candidate& best) {
  if (fit_ == codec::Fit::kOptimal) {
    kernels_.finish(finish_, seeds_.data(), static_cast<int>(seeds_.size()), best);
  } else {
    for (const uint32_t seed : seeds_) {
      codec::EvaluateSeed(profile_, fit_, block.task, *block.levels, seed, best);
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
