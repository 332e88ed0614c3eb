#include "kernels/search/seed_table.h"

#include <algorithm>
#include <cmath>

#include "kernels/codec/basis.h"
#include "kernels/search/per_profile.h"

namespace seedlm::search {
namespace {

size_t RoundUp(size_t n, size_t multiple) { return (n + multiple - 1) / multiple * multiple; }

}  // namespace

SeedTable::SeedTable(const codec::Profile& profile)
    : profile_(profile),
      row_stride_(static_cast<size_t>(profile.block * profile.rank)),
      record_stride_(RoundUp(basis_offset() + row_stride_ * sizeof(int16_t), kLine)) {
  if (row_stride_ < 32) row_stride_ = 32;
  const size_t count = size_t{profile.seed_count()} + 1;
  rows_.resize(count * row_stride_);
  records_.resize(count * record_stride_);
  for (uint32_t seed = 1; seed < count; ++seed) {
    const codec::Basis basis = codec::MakeBasis(profile, seed);
    const codec::Factor f = codec::FactorBasis(profile, basis);
    int16_t* row = &rows_[seed * row_stride_];
    float* factor = reinterpret_cast<float*>(&records_[seed * record_stride_]);
    int16_t* a = reinterpret_cast<int16_t*>(&records_[seed * record_stride_ + basis_offset()]);
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

const SeedTable& SeedTable::For(const codec::Profile& profile) {
  return PerProfile<SeedTable>(profile);
}

}  // namespace seedlm::search
