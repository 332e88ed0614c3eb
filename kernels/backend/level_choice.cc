#include "kernels/backend/level_choice.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "kernels/codec/bitpack.h"
#include "kernels/codec/objective.h"

namespace seedlm::backend {
namespace {

using codec::LevelTable;
using codec::NormHistogram;
using codec::Profile;

// Blocks of one bin of norms, and how many blocks of the tensor each stands for.
struct Stratum {
  double weight = 0;
  std::vector<float> blocks;  // [count, C]
  int64_t count = 0;
};

// Squared norm times count: proportional to the energy of a bin's blocks.
double Energy(const NormHistogram& histogram, int bin) {
  const double norm = codec::PowerAt(bin);
  return static_cast<double>(histogram.count(bin)) * norm * norm;
}

std::vector<Stratum> DrawSample(const Profile& profile, const NormHistogram& histogram) {
  constexpr double kShare = 0.005;  // of the blocks, for each of the two tables
  constexpr double kLeast = 64;
  constexpr double kNegligible = 1e-3;  // share of the energy
  double total = 0;
  for (int k = 0; k < NormHistogram::kBins; ++k) {
    total += Energy(histogram, NormHistogram::kFirstBin + k);
  }
  const double budget = std::max(kLeast, kShare * static_cast<double>(histogram.total()));
  std::vector<Stratum> strata;
  for (int k = 0; k < NormHistogram::kBins; ++k) {
    const int bin = NormHistogram::kFirstBin + k;
    const double share = Energy(histogram, bin) / total;
    if (share < kNegligible) continue;
    const auto& kept = histogram.kept(bin);
    const double wanted = std::max(2.0, std::ceil(budget * share));
    const size_t count =
        wanted < static_cast<double>(kept.size()) ? static_cast<size_t>(wanted) : kept.size();
    Stratum stratum;
    stratum.count = static_cast<int64_t>(count);
    stratum.weight = static_cast<double>(histogram.count(bin)) / static_cast<double>(count);
    for (size_t i = 0; i < count; ++i) {
      stratum.blocks.insert(stratum.blocks.end(), kept[i].weights.begin(),
                            kept[i].weights.begin() + profile.block);
    }
    strata.push_back(std::move(stratum));
  }
  return strata;
}

// The objective of each sampled block under a table.
std::vector<double> Errors(const EncodeSpec& spec, const Stratum& stratum,
                           const EncodedShard& shard) {
  const Profile& profile = spec.profile;
  const auto level_bytes = static_cast<size_t>(codec::LevelRowBytes(profile, 1));
  std::vector<double> errors;
  for (size_t i = 0; i < shard.words.size(); ++i) {
    const uint32_t level =
        level_bytes == 0 ? 0 : codec::GetLevelNibble(&shard.levels[i * level_bytes], 0);
    const codec::BlockCode code = codec::UnpackWord(profile, shard.words[i], level);
    errors.push_back(codec::BlockError(
        profile, &stratum.blocks[i * static_cast<size_t>(profile.block)],
        codec::MakeBasis(profile, code.seed), code.q, spec.levels.scale[code.level]));
  }
  return errors;
}

// Whether `fitted` has the smaller error on the tensor, beyond doubt. Stratified estimate of the
// difference, its variance from the spread within the strata; strata that hold all their blocks
// (weight 1) are exact.
absl::StatusOr<bool> IsBetter(const Backend& backend, const EncodeSpec& fitted,
                              const EncodeSpec& pow2, const std::vector<Stratum>& strata,
                              std::stop_token stop, std::string* warning) {
  std::vector<ShardTask> tasks;  // of each stratum two
  for (const Stratum& stratum : strata) {
    const WeightRows blocks{WeightType::kF32, stratum.count, fitted.profile.block,
                            reinterpret_cast<const std::byte*>(stratum.blocks.data())};
    tasks.push_back({&fitted, blocks});
    tasks.push_back({&pow2, blocks});
  }
  const Backend::Results shards = backend.EncodeAll(tasks, std::move(stop));
  for (const auto& shard : shards) {
    if (!shard.ok()) return shard.status();
    if (warning != nullptr && !shard->warning.empty()) *warning = shard->warning;
  }
  double difference = 0;
  double variance = 0;
  for (size_t s = 0; s < strata.size(); ++s) {
    const Stratum& stratum = strata[s];
    const std::vector<double> a = Errors(fitted, stratum, *shards[2 * s]);
    const std::vector<double> b = Errors(pow2, stratum, *shards[2 * s + 1]);
    const double n = static_cast<double>(stratum.count);
    double sum = 0, sum_of_squares = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      const double d = a[i] - b[i];
      sum += d;
      sum_of_squares += d * d;
    }
    difference += stratum.weight * sum;
    if (stratum.weight > 1 && n > 1) {
      const double spread = std::max(0.0, sum_of_squares - sum * sum / n) / (n - 1);
      variance += stratum.weight * stratum.weight * n * spread;
    }
  }
  constexpr double kStandardErrors = 2;
  return difference < -kStandardErrors * std::sqrt(variance);
}

// The sixteen levels of a table of octaves, ascending as those of a fitted table are.
LevelTable AsFitted(const LevelTable& octaves) {
  LevelTable ascending;
  ascending.rule = codec::ScaleRule::kFitted;
  ascending.scale = octaves.scale;
  std::sort(ascending.scale.begin(), ascending.scale.end());
  return ascending;
}

}  // namespace

absl::StatusOr<LevelTable> ChooseLevels(const Backend& backend, const Profile& profile,
                                        codec::Fit fit, codec::ScaleRule rule,
                                        const NormHistogram& histogram, std::stop_token stop,
                                        int64_t blocks_to_come, std::string* warning) {
  const LevelTable proposed = codec::DesignLevels(profile, rule, histogram);
  if (rule != codec::ScaleRule::kFitted || histogram.empty()) return proposed;
  const LevelTable octaves = codec::DesignLevels(profile, codec::ScaleRule::kPow2, histogram);
  const auto better = IsBetter(backend, {profile, fit, proposed, blocks_to_come},
                               {profile, fit, octaves, blocks_to_come},
                               DrawSample(profile, histogram), stop, warning);
  if (!better.ok()) return better.status();
  return *better ? proposed : AsFitted(octaves);
}

bool CanBeChosen(const Profile& profile, codec::ScaleRule rule, const NormHistogram& histogram,
                 const std::array<float, codec::kLevels>& scale) {
  if (codec::DesignLevels(profile, rule, histogram).scale == scale) return true;
  if (rule != codec::ScaleRule::kFitted || histogram.empty()) return false;
  return AsFitted(codec::DesignLevels(profile, codec::ScaleRule::kPow2, histogram)).scale == scale;
}

}  // namespace seedlm::backend
