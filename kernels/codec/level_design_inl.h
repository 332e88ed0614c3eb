// Implementation of level_design.h.
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>

#include "kernels/codec/level_curve.h"
#include "kernels/codec/level_design.h"
#include "kernels/codec/squared_norms.h"

namespace seedlm::codec {

inline int NormHistogram::BinOf(double squared_norm) {
  constexpr double kQuarters[3] = {0x1.306fe0a31b715p-1, 0x1.6a09e667f3bcdp-1,
                                   0x1.ae89f995ad3adp-1};  // 2^(-3/4), 2^(-1/2), 2^(-1/4)
  // squared_norm = mantissa * 2^exponent; what is not a normal number is far outside the bins.
  constexpr int kMantissaBits = 52, kHalf = 1022;
  const auto bits = std::bit_cast<uint64_t>(squared_norm);
  const int exponent = static_cast<int>(bits >> kMantissaBits & 0x7FF) - kHalf;
  const uint64_t fraction = bits & ((uint64_t{1} << kMantissaBits) - 1);
  const auto mantissa =  // [1/2, 1)
      std::bit_cast<double>(uint64_t{kHalf} << kMantissaBits | fraction);
  int quarter = 0;  // without branches: nobody can guess them
  for (const double limit : kQuarters) quarter += mantissa >= limit;
  const int bin = 4 * (exponent - 1) + quarter;
  return std::clamp(bin, kFirstBin, kFirstBin + kBins - 1);
}

namespace internal {

// splitmix64 (Steele, Lea, Flood 2014): spreads consecutive indices.
inline uint64_t Hash(uint64_t x) {
  x += 0x9E3779B97F4A7C15u;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

}  // namespace internal

inline void NormHistogram::Add(const Profile& profile, const float* weights, int64_t index,
                               int64_t count) {
  constexpr int64_t kTogether = 64;
  double squared[kTogether];
  for (int64_t first = 0; first < count; first += kTogether) {
    const int64_t some = std::min(kTogether, count - first);
    const float* blocks = weights + first * profile.block;
    SquaredNorms(profile, blocks, some, squared);
    for (int64_t i = 0; i < some; ++i) {
      AddBlock(profile, blocks + i * profile.block, index + first + i, squared[i]);
    }
  }
}

inline void NormHistogram::AddBlock(const Profile& profile, const float* weights, int64_t index,
                                    double squared_norm) {
  if (!(squared_norm > 0)) return;
  const int bin = BinOf(squared_norm);
  ++counts_[static_cast<size_t>(bin - kFirstBin)];
  ++total_;
  KeptBlock block{internal::Hash(static_cast<uint64_t>(index)), {}};
  if (block.hash > furthest_[static_cast<size_t>(bin - kFirstBin)]) return;  // nearly all of them
  const std::vector<KeptBlock>& kept = kept_[bin];
  if (kept.size() == kKept && kept.back().hash <= block.hash) return;
  std::copy(weights, weights + profile.block, block.weights.begin());
  Keep(bin, block);
}

inline void NormHistogram::Keep(int bin, const KeptBlock& block) {
  std::vector<KeptBlock>& kept = kept_[bin];
  const auto at =
      std::upper_bound(kept.begin(), kept.end(), block,
                       [](const KeptBlock& a, const KeptBlock& b) { return a.hash < b.hash; });
  kept.insert(at, block);
  if (kept.size() > kKept) kept.pop_back();
  if (kept.size() == kKept) furthest_[static_cast<size_t>(bin - kFirstBin)] = kept.back().hash;
}

inline const std::vector<NormHistogram::KeptBlock>& NormHistogram::kept(int bin) const {
  static const std::vector<KeptBlock> none;
  const auto found = kept_.find(bin);
  return found == kept_.end() ? none : found->second;
}

inline void NormHistogram::Merge(const NormHistogram& other) {
  for (size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
  total_ += other.total_;
  for (const auto& [bin, blocks] : other.kept_) {
    for (const KeptBlock& block : blocks) Keep(bin, block);
  }
}

namespace internal {

// x^(1/8): square roots are correctly rounded everywhere.
inline double EighthRoot(double x) { return std::sqrt(std::sqrt(std::sqrt(x))); }

// gain(k) = e(k)^-8 - 1 of one level, k = norm bin - level position (see the header).
class LevelGain {
 public:
  explicit LevelGain(const Profile& profile) {
    const std::array<double, kCurveOffsets>& curve = CurveOf(profile);
    for (int k = 0; k < kCount; ++k) {
      const double error = k < kCurveOffsets ? curve[static_cast<size_t>(k)]
                                             : Clipped(curve.back(), k - (kCurveOffsets - 1));
      const double inverse = 1 / error;
      const double squared = inverse * inverse;
      const double fourth = squared * squared;
      gain_[static_cast<size_t>(k)] = fourth * fourth - 1;
    }
  }

  double At(int offset) const {
    const int k = offset - kCurveFirst;
    return k < 0 || k >= kCount ? 0.0 : gain_[static_cast<size_t>(k)];
  }

 private:
  static constexpr int kCount = kCurveOffsets + 160;  // 20 octaves of clipping: e is 1 beyond

  // A block 2^(beyond/8) times as long as one whose relative error is `error`, when both clip to
  // the same code point.
  static double Clipped(double error, int beyond) {
    const double kept = (1 - std::sqrt(error)) / PowerAt(beyond);
    return (1 - kept) * (1 - kept);
  }

  std::array<double, kCount> gain_{};
};

// The modelled error of a table on a histogram.
class ErrorModel {
 public:
  ErrorModel(const Profile& profile, const NormHistogram& histogram) : gain_(profile) {
    for (int k = 0; k < NormHistogram::kBins; ++k) {
      const int bin = NormHistogram::kFirstBin + k;
      if (const int64_t count = histogram.count(bin); count > 0) {
        const double norm = 0x1.0b5586cf9890fp+0 * PowerAt(bin);  // mid-bin: 2^((bin + 1/2) / 8)
        bins_.push_back({bin, static_cast<double>(count) * norm * norm});
      }
    }
  }

  int first_bin() const { return bins_.front().bin; }
  int last_bin() const { return bins_.back().bin; }

  // The modelled sum of squared errors of levels at these positions.
  double Error(const std::array<int, kLevels>& positions) const {
    double total = 0;
    for (const Bin& b : bins_) {
      double gain = 1;
      for (const int position : positions) gain += gain_.At(b.bin - position);
      total += b.energy / EighthRoot(gain);
    }
    return total;
  }

 private:
  struct Bin {
    int bin;
    double energy;  // sum of squared norms
  };
  LevelGain gain_;
  std::vector<Bin> bins_;
};

// A member of the family: `low` coarse steps, then fine ones, then `high` coarse steps, 15 in all.
struct TableShape {
  int base = 0;
  int low = 0, high = 0;                           // numbers of steps
  int low_step = 2, fine_step = 2, high_step = 2;  // in 1/8 octave, coarse >= fine

  bool Valid() const {
    return low >= 0 && high >= 0 && low + high <= kLevels - 1 && low_step >= fine_step &&
           high_step >= fine_step;
  }

  // Ascending, and inside the exponents that levels may have.
  std::array<int, kLevels> Positions() const {
    std::array<int, kLevels> positions{};
    int position = base;
    for (int i = 0; i < kLevels; ++i) {
      positions[static_cast<size_t>(i)] = position;
      position += i < low ? low_step : i < kLevels - 1 - high ? fine_step : high_step;
    }
    const int top = kMaxLevelExponent * kPositionsPerOctave;
    const int bottom = kMinLevelExponent * kPositionsPerOctave;
    const int down = std::max(0, positions[kLevels - 1] - top);
    const int up = std::max(0, bottom - positions[0]);
    for (int& p : positions) p += up - down;
    return positions;
  }
};

struct Designed {
  TableShape shape;
  double error = HUGE_VAL;
};

inline constexpr std::array<int, 5> kSteps = {2, 3, 4, 6, 8};  // 1/4, 3/8, 1/2, 3/4, 1 octave

// The best base of a shape, in steps of `stride` over all bases that can matter.
inline Designed SweepBase(const ErrorModel& model, TableShape shape, int from, int to, int stride) {
  Designed best;
  for (shape.base = from; shape.base <= to; shape.base += stride) {
    if (const double error = model.Error(shape.Positions()); error < best.error) {
      best = {shape, error};
    }
  }
  return best;
}

// All neighbours of a shape, best first taken, until none is better.
inline Designed Improve(const ErrorModel& model, Designed current) {
  const auto next_step = [](int step, int direction) {
    const auto at = std::find(kSteps.begin(), kSteps.end(), step) - kSteps.begin() + direction;
    return at < 0 || at >= static_cast<int>(kSteps.size()) ? 0 : kSteps[static_cast<size_t>(at)];
  };
  while (true) {
    Designed best = current;
    const auto consider = [&](const TableShape& shape) {
      if (!shape.Valid()) return;
      if (const double error = model.Error(shape.Positions()); error < best.error) {
        best = {shape, error};
      }
    };
    for (const int direction : {-1, 1}) {
      for (const int base_move : {-4, -2, -1, 0, 1, 2, 4}) {
        TableShape s = current.shape;
        s.base += base_move;
        if (direction > 0) consider(s);
        TableShape t = s;
        t.low += direction;
        consider(t);
        t = s;
        t.high += direction;
        consider(t);
        t = s;
        if ((t.low_step = next_step(s.low_step, direction)) != 0) consider(t);
        t = s;
        if ((t.high_step = next_step(s.high_step, direction)) != 0) consider(t);
      }
    }
    if (!(best.error < current.error)) return current;
    current = best;
  }
}

}  // namespace internal

inline LevelTable DesignLevels(const Profile& profile, ScaleRule rule,
                               const NormHistogram& histogram, double* predicted_error) {
  using internal::Designed;
  using internal::TableShape;
  if (predicted_error != nullptr) *predicted_error = 0;
  if (rule == ScaleRule::kPaper) return PaperLevels(profile);
  const bool pow2 = rule == ScaleRule::kPow2;
  Designed best;
  if (!histogram.empty()) {
    const internal::ErrorModel model(profile, histogram);
    // A level serves norms around kBestOffset over its position: tables whose top is below the
    // smallest block, or whose bottom is above the largest, need not be tried.
    const int first = model.first_bin() - internal::kBestOffset;
    const int last = model.last_bin() - internal::kBestOffset;
    if (pow2) {
      const TableShape octaves{0, 0, 0, 8, 8, 8};
      const int from = (first / 8 - 16) * 8, to = (last / 8 + 1) * 8;
      best = internal::SweepBase(model, octaves, from, to, 8);
    } else {
      for (const int step : internal::kSteps) {
        const TableShape uniform{0, 0, 0, step, step, step};
        const Designed start = internal::SweepBase(model, uniform, first - 15 * step, last + 8, 4);
        const Designed improved = internal::Improve(model, start);
        if (improved.error < best.error) best = improved;
      }
    }
    if (predicted_error != nullptr) *predicted_error = best.error;
  }
  const std::array<int, kLevels> positions = best.shape.Positions();
  if (pow2) return Pow2Levels(profile, positions[0] / kPositionsPerOctave - kMinCoefficient);
  LevelTable table;
  table.rule = ScaleRule::kFitted;
  for (size_t i = 0; i < positions.size(); ++i) {
    table.scale[i] = LevelAt(positions[i], profile.unit());
  }
  return table;
}

}  // namespace seedlm::codec
