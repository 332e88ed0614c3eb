#include "kernels/search/seed_table.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "kernels/codec/basis.h"
#include "kernels/search/per_profile.h"

namespace seedlm::search {
namespace {

size_t RoundUp(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

// An upper bound of the norm of a C x P matrix, within 5 %: the 32nd root of the norm of the 16th
// power of E^T E.
double NormBound(const codec::Profile& profile, const double (*error)[codec::kMaxRank]) {
  using Square = std::array<std::array<double, codec::kMaxRank>, codec::kMaxRank>;
  const size_t rank = static_cast<size_t>(profile.rank);
  Square power{};
  for (size_t i = 0; i < rank; ++i) {
    for (size_t j = 0; j < rank; ++j) {
      for (int c = 0; c < profile.block; ++c) power[i][j] += error[c][i] * error[c][j];
    }
  }
  for (int doubling = 0; doubling < 4; ++doubling) {
    Square next{};
    for (size_t i = 0; i < rank; ++i) {
      for (size_t j = 0; j < rank; ++j) {
        for (size_t k = 0; k < rank; ++k) next[i][j] += power[i][k] * power[k][j];
      }
    }
    power = next;
  }
  double squared = 0;
  for (const auto& row : power) {
    for (const double entry : row) squared += entry * entry;
  }
  return std::pow(squared, 1.0 / 64) * (1 + 1e-6);
}

}  // namespace

SeedTable::SeedTable(const codec::Profile& profile)
    : profile_(profile),
      row_stride_(static_cast<size_t>(profile.block * profile.rank)),
      record_stride_(RoundUp(basis_offset() + row_stride_ * sizeof(int16_t), kLine)) {
  if (row_stride_ < 32) row_stride_ = 32;
  const size_t count = size_t{profile.seed_count()} + 1;
  rows_.resize(count * row_stride_);
  records_.resize(count * record_stride_);
  if (profile.name == codec::k3bit.name) {
    byte_rows_.resize(count * kLine);
    SetByteRow(0, {});
  }
  for (uint32_t seed = 1; seed < count; ++seed) {
    const codec::Basis basis = codec::MakeBasis(profile, seed);
    const codec::Factor f = codec::FactorBasis(profile, basis);
    int16_t* row = &rows_[seed * row_stride_];
    float* factor = reinterpret_cast<float*>(&records_[seed * record_stride_]);
    int16_t* a = reinterpret_cast<int16_t*>(&records_[seed * record_stride_ + basis_offset()]);
    if (has_byte_rows()) SetByteRow(seed, f);
    double least = HUGE_VAL;
    for (int p = 0; p < profile.rank; ++p) {
      for (int c = 0; c < profile.block; ++c) {
        row[p * profile.block + c] = static_cast<int16_t>(std::lrint(f.q[c][p] * kRowUnit));
        factor[p * profile.block + c] = static_cast<float>(f.q[c][p]);
        a[c * profile.rank + p] = static_cast<int16_t>(basis.at[c][p]);
      }
      least = std::min(least, f.r[p][p]);
    }
    if (least < kLeastDiagonal) {
      unsound_.push_back(seed);
      exact_factors_.push_back(f);
    }
    float* r = factor + r_offset();
    for (int i = 0; i < profile.rank; ++i) {
      for (int j = i; j < profile.rank; ++j) *r++ = static_cast<float>(f.r[i][j]);
    }
    for (int p = 0; p < profile.rank; ++p) {
      *r++ = least >= kLeastDiagonal ? static_cast<float>(1 / f.r[p][p]) : 0.0f;
    }
  }
}

void SeedTable::SetByteRow(uint32_t seed, const codec::Factor& factor) {
  double largest = 0;
  for (int c = 0; c < profile_.block; ++c) {
    for (int p = 0; p < profile_.rank; ++p) {
      largest = std::max(largest, std::abs(factor.q[c][p]));
    }
  }
  const double unit = largest / kByteUnit;
  double error[codec::kMaxBlock][codec::kMaxRank] = {};
  uint8_t* bytes = &byte_rows_[seed * kLine];
  for (int p = 0; p < profile_.rank; ++p) {
    for (int c = 0; c < profile_.block; ++c) {
      const double rounded = unit > 0 ? std::rint(factor.q[c][p] / unit) : 0;
      error[c][p] = factor.q[c][p] - rounded * unit;
      *bytes++ = static_cast<uint8_t>(128 + static_cast<int>(rounded));
    }
  }
  const float tail[2] = {static_cast<float>(unit * unit),
                         static_cast<float>(2 * kByteBlock * NormBound(profile_, error))};
  std::memcpy(bytes, tail, sizeof tail);
}

const SeedTable& SeedTable::For(const codec::Profile& profile) {
  return PerProfile<SeedTable>(profile);
}

}  // namespace seedlm::search
