#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernels/codec/seed_search.h"
#include "kernels/cpu/backends.h"
#include "kernels/cpu/encode_shard.h"
#include "kernels/cpu/scan.h"
#include "kernels/search/bound_table.h"

namespace seedlm::cpu {
namespace {

using codec::BlockTask;
using codec::Candidate;
using search::BoundTable;
using search::kChunk;

// Finds the exact best codes of a batch: all seeds are scored in float32 with a proven margin, and
// those that can matter are evaluated by the codec's one exact routine.
class BatchSearch {
  // Where no more seeds than these can have a code that helps, they are evaluated without a scan,
  // which would let nearly all seeds survive.
  static constexpr size_t kDirectSeeds = 8192;

 public:
  BatchSearch(const ScanKernels& kernels, const backend::EncodeSpec& spec)
      : kernels_(kernels), spec_(spec), table_(BoundTable::For(spec.profile)) {}

  void Run(std::span<const float* const> blocks, std::span<Candidate> best) {
    tasks_.clear();
    places_.clear();
    unit_.clear();
    for (size_t b = 0; b < blocks.size(); ++b) {
      const BlockTask task = codec::MakeTask(spec_.profile, blocks[b]);
      best[b] = codec::InitialCandidate(spec_.fit, task);
      if (spec_.fit == codec::Fit::kOptimal &&
          (codec::IsOutOfReach(spec_.profile, task, spec_.levels) || SearchTiny(task, best[b]))) {
        continue;
      }
      tasks_.push_back(task);
      places_.push_back(b);
      const double scale = table_.block_unit() / std::sqrt(task.squared_norm);
      for (int c = 0; c < spec_.profile.block; ++c) {
        unit_.push_back(static_cast<int16_t>(std::lrint(blocks[b][c] * scale)));
      }
    }
    maxima_.resize(tasks_.size() * static_cast<size_t>(table_.chunks()));
    kernels_.chunk_maxima(table_, unit_.data(), static_cast<int>(tasks_.size()), maxima_.data());
    for (size_t i = 0; i < tasks_.size(); ++i) {
      best[places_[i]] = Finish(tasks_[i], &unit_[i * static_cast<size_t>(spec_.profile.block)],
                                &maxima_[i * static_cast<size_t>(table_.chunks())]);
    }
  }

 private:
  // A block far below the lowest level: a code D improves on the zero code only if |D| <= 2 |w|,
  // and few seeds have codes that short. Without this, every seed would survive the scan.
  bool SearchTiny(const BlockTask& task, Candidate& best) const {
    const auto& codes = table_.shortest_codes();
    const double reach = 2 * std::sqrt(task.squared_norm) / lowest_level_ * (1 + 0x1p-20);
    if (codes[kDirectSeeds].norm <= reach) return false;
    for (size_t i = 0; codes[i].norm <= reach; ++i) {
      codec::EvaluateSeed(spec_.profile, spec_.fit, task, spec_.levels, codes[i].seed, best);
    }
    return true;
  }

  // The seed with the largest score first: its error is close to the best, so that only a few
  // others are left to look at.
  Candidate Finish(const BlockTask& task, const int16_t* unit, const float* maxima) {
    Candidate best = codec::InitialCandidate(spec_.fit, task);
    const int first = static_cast<int>(std::max_element(maxima, maxima + table_.chunks()) - maxima);
    kernels_.chunk_scores(table_, unit, first, scores_);
    const auto top = std::max_element(scores_, scores_ + kChunk) - scores_;
    Evaluate(task, first, static_cast<int>(top), best);
    float threshold = Threshold(task, best);
    for (int chunk = 0; chunk < table_.chunks(); ++chunk) {
      if (maxima[chunk] < threshold) continue;
      kernels_.chunk_scores(table_, unit, chunk, scores_);
      for (int i = 0; i < kChunk; ++i) {
        if (scores_[i] < threshold) continue;
        Evaluate(task, chunk, i, best);
        threshold = Threshold(task, best);
      }
    }
    return best;
  }

  void Evaluate(const BlockTask& task, int chunk, int index, Candidate& best) {
    const uint32_t seed = table_.SeedAt(chunk, index);
    if (seed != 0) codec::EvaluateSeed(spec_.profile, spec_.fit, task, spec_.levels, seed, best);
  }

  // A seed whose computed score is below this cannot improve on `best`.
  float Threshold(const BlockTask& task, const Candidate& best) const {
    const double budget = codec::ErrorBudget(task.squared_norm, best.error) / task.squared_norm;
    return static_cast<float>(1 - budget) - table_.margin();
  }

  const ScanKernels& kernels_;
  const backend::EncodeSpec& spec_;
  const BoundTable& table_;
  const double lowest_level_ =
      *std::min_element(spec_.levels.scale.begin(), spec_.levels.scale.end());
  std::vector<BlockTask> tasks_;
  std::vector<size_t> places_;  // of the tasks in the batch
  std::vector<int16_t> unit_;   // [tasks, C], scaled to BoundTable::block_unit()
  std::vector<float> maxima_;
  float scores_[kChunk];
};

class SimdBackend : public backend::Backend {
 public:
  explicit SimdBackend(const std::string& target) : target_(target), kernels_(KernelsFor(target)) {}

  std::string_view name() const override { return "cpu"; }
  std::string description() const override {
    return absl::StrCat(target_, ", scan of all seeds by sliding correlation");
  }

  absl::StatusOr<backend::EncodedShard> Encode(const backend::EncodeSpec& spec,
                                               const backend::WeightRows& weights,
                                               std::stop_token stop) const override {
    BatchSearch batch_search(kernels_, spec);
    return EncodeShard(spec, weights, stop,
                       [&](std::span<const float* const> blocks, std::span<Candidate> best) {
                         batch_search.Run(blocks, best);
                       });
  }

 private:
  std::string target_;
  ScanKernels kernels_;
};

}  // namespace

std::vector<std::string> SimdTargets() { return SupportedTargets(); }

absl::StatusOr<std::shared_ptr<const backend::Backend>> MakeSimdBackend(const std::string& wanted) {
  const std::vector<std::string> targets = SimdTargets();
  const std::string target = wanted.empty() ? targets.front() : wanted;
  if (std::find(targets.begin(), targets.end(), target) == targets.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("instruction set '", target,
                     "' is not one of this machine's: ", absl::StrJoin(targets, ", ")));
  }
  return std::make_shared<SimdBackend>(target);
}

}  // namespace seedlm::cpu
