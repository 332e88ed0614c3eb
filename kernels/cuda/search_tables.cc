#include "kernels/cuda/search_tables.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/codec/basis.h"
#include "kernels/codec/lfsr.h"
#include "kernels/codec/narrow.h"
#include "kernels/codec/seed_search.h"
#include "kernels/cuda/tensor_terms.h"
#include "kernels/cuda/tuning.h"
#include "kernels/search/bound_table.h"
#include "kernels/search/per_profile.h"

namespace seedlm::cuda {
namespace {

constexpr size_t kAlignment = 256;

int Segments(size_t seeds, int length) {
  return static_cast<int>((seeds + static_cast<size_t>(length) - 1) / static_cast<size_t>(length));
}

// v[0 .. count).
std::vector<float> Sequence(const codec::Profile& profile, size_t count) {
  std::vector<float> sequence(count);
  uint32_t state = 1;
  for (float& v : sequence) {
    state = codec::NextState(state, profile.lfsr_width);
    v = static_cast<float>(static_cast<int32_t>(state) - profile.centre());
  }
  return sequence;
}

std::vector<float> Records(const search::BoundTable& table, const std::vector<float>& sequence,
                           size_t positions) {
  const codec::Profile& profile = table.profile();
  const auto stride = static_cast<size_t>(RecordFloats(profile.block, profile.rank));
  const size_t lead = static_cast<size_t>(profile.rank) - 1;
  std::vector<float> records((lead + positions) * stride);
  for (size_t i = 0; i < lead + positions;
       ++i) {  // position n = i - lead; v[n + P - 1 ..] = v[i ..]
    float* record = &records[i * stride];
    for (int c = 0; c < profile.block; ++c) {
      record[c] = sequence[i + static_cast<size_t>(c * profile.rank)];
    }
    if (i < lead || i - lead >= profile.seed_count()) continue;
    for (int e = 0; e < table.entries(); ++e)
      record[profile.block + e] = table.inverse(e)[i - lead];
  }
  return records;
}

std::vector<double> Factors(const codec::Profile& profile) {
  std::vector<double> factors(static_cast<size_t>(FactorDoubles(profile.block, profile.rank)));
  factors.reserve(factors.size() * (size_t{profile.seed_count()} + 1));
  for (uint32_t seed = 1; seed <= profile.seed_count(); ++seed) {
    const codec::Factor f = codec::FactorBasis(profile, codec::MakeBasis(profile, seed));
    for (int p = 0; p < profile.rank; ++p) {
      for (int c = 0; c < profile.block; ++c) factors.push_back(f.q[c][p]);
    }
    for (int i = 0; i < profile.rank; ++i) {
      for (int j = i; j < profile.rank; ++j) factors.push_back(f.r[i][j]);
    }
  }
  return factors;
}

std::vector<float> Bases(const codec::Profile& profile, const std::vector<double>& factors,
                         double block_unit) {
  const auto window = static_cast<size_t>(profile.block * profile.rank);
  const auto stride = static_cast<size_t>(FactorDoubles(profile.block, profile.rank));
  std::vector<float> bases;
  bases.reserve(factors.size() / stride * window);
  for (size_t at = 0; at < factors.size(); at += stride) {
    for (size_t i = 0; i < window; ++i) {
      bases.push_back(static_cast<float>(factors[at + i] / block_unit));
    }
  }
  return bases;
}

// P_s in float16, row by row of the upper triangle with off-diagonal entries doubled; then two
// ones. Returns |dA|.
double TensorRow(const codec::Profile& profile, const double* factor, uint16_t* row) {
  double squared = 0;
  for (int i = 0; i < profile.block; ++i) {
    for (int j = i; j < profile.block; ++j) {
      double entry = 0;
      for (int p = 0; p < profile.rank; ++p) {
        entry += factor[p * profile.block + i] * factor[p * profile.block + j];
      }
      const double term = i == j ? entry : 2 * entry;
      *row = codec::ToFloat16(static_cast<float>(term));
      const double error = term - double{codec::FromFloat16(*row++)};
      squared += i == j ? error * error : error * error / 2;
    }
  }
  *row++ = codec::ToFloat16(1);
  *row = codec::ToFloat16(1);
  return std::sqrt(squared);
}

// `rounding` becomes the largest |dA|. Seed 0 has a row of zeros but for the ones.
std::vector<uint32_t> Fragments(const codec::Profile& profile, const std::vector<double>& factors,
                                double& rounding) {
  const auto stride = static_cast<size_t>(FactorDoubles(profile.block, profile.rank));
  const size_t steps = static_cast<size_t>(TensorSteps(profile.block));
  const size_t slots = 16 * steps;
  std::vector<uint32_t> fragments;
  fragments.reserve(factors.size() / stride * slots / 2);
  for (size_t first = 0; first * stride < factors.size(); first += 16) {
    std::vector<uint16_t> rows(16 * slots);
    for (size_t r = 0; r < 16; ++r) {
      rounding =
          std::max(rounding, TensorRow(profile, &factors[(first + r) * stride], &rows[r * slots]));
    }
    const auto pair = [&](size_t row, size_t column) {
      return rows[row * slots + column] | uint32_t{rows[row * slots + column + 1]} << 16;
    };
    for (size_t s = 0; s < steps; ++s) {
      for (size_t lane = 0; lane < 32; ++lane) {
        const size_t g = lane / 4, column = 16 * s + 2 * (lane % 4);
        for (const size_t half : {size_t{0}, size_t{8}}) {
          fragments.push_back(pair(g, column + half));
          fragments.push_back(pair(g + 8, column + half));
        }
      }
    }
  }
  return fragments;
}

}  // namespace

SearchTables::SearchTables(const codec::Profile& profile) : name_(profile.name) {
  const search::BoundTable& table = search::BoundTable::For(profile);
  block_unit_ = table.block_unit();
  const double counted = 2 * profile.rank + 4;
  const double ratio = (counted + 2 * profile.block + 2) / counted;
  const double worst = ratio * double{table.margin()} / 2;
  margin_ = static_cast<float>(2 * worst + worst * worst + 0x1p-20);

  const size_t count = profile.seed_count();
  plain_segments_ = Segments(count, kScan.segment);
  const size_t positions = static_cast<size_t>(plain_segments_ * kScan.segment);
  std::vector<uint16_t> seeds(positions);
  for (size_t n = 0; n < count; ++n) {
    seeds[n] = static_cast<uint16_t>(
        table.SeedAt(static_cast<int>(n / search::kChunk), static_cast<int>(n % search::kChunk)));
  }
  std::vector<float> ill_bases;
  for (int chunk = table.plain_chunks(); chunk < table.chunks(); ++chunk) {
    const int first = (chunk - table.plain_chunks()) * search::kChunk;
    for (int i = 0; i < search::kChunk && table.SeedAt(chunk, i) != 0; ++i) {
      seeds.push_back(static_cast<uint16_t>(table.SeedAt(chunk, i)));
      for (int c = 0; c < profile.block; ++c) {
        for (int p = 0; p < profile.rank; ++p)
          ill_bases.push_back(table.ill_basis(c, p)[first + i]);
      }
    }
  }
  ill_segments_ = Segments(seeds.size() - positions, kScan.ill_segment);
  const auto ill = static_cast<size_t>(ill_segments_ * kScan.ill_segment);
  seeds.resize(positions + ill);
  ill_bases.resize(ill * static_cast<size_t>(profile.block * profile.rank));

  std::vector<double> shortest(count + 1);
  for (const auto& code : table.shortest_codes()) shortest[code.seed] = code.norm;

  const auto window = static_cast<size_t>(profile.block * profile.rank);
  const std::vector<float> sequence = Sequence(profile, positions + 2 * window);
  records_ = Append(Records(table, sequence, positions));
  sequence_ = Append(sequence);
  ill_bases_ = Append(ill_bases);
  seeds_ = Append(seeds);
  const std::vector<double> factors = Factors(profile);
  factors_ = Append(factors);
  bases_ = Append(Bases(profile, factors, block_unit_));
  fragments_ = Append(Fragments(profile, factors, tensor_rounding_));
  shortest_ = Append(shortest);
}

size_t SearchTables::UpperBoundBytes(const codec::Profile& profile) {
  const size_t places = size_t{1} << profile.lfsr_width;
  const auto window = static_cast<size_t>(profile.block * profile.rank);
  const size_t ill = kMostIllSeeds + kScan.ill_segment;
  const size_t records = (places + static_cast<size_t>(profile.rank + kScan.segment)) *
                         static_cast<size_t>(RecordFloats(profile.block, profile.rank));
  const size_t sequence = places + static_cast<size_t>(kScan.segment) + 2 * window;
  const size_t factors = places * static_cast<size_t>(FactorDoubles(profile.block, profile.rank));
  const size_t fragments = places * static_cast<size_t>(8 * TensorSteps(profile.block));
  return (records + sequence + (ill + places) * window) * sizeof(float) +
         (places + static_cast<size_t>(kScan.segment) + ill) * sizeof(uint16_t) +
         (factors + places) * sizeof(double) + fragments * sizeof(uint32_t) + 8 * kAlignment;
}

template <typename T>
size_t SearchTables::Append(const std::vector<T>& values) {
  const size_t offset = (bytes_.size() + kAlignment - 1) / kAlignment * kAlignment;
  bytes_.resize(offset + values.size() * sizeof(T));
  if (!values.empty()) std::memcpy(&bytes_[offset], values.data(), values.size() * sizeof(T));
  return offset;
}

const SearchTables& SearchTables::For(const codec::Profile& profile) {
  return search::PerProfile<SearchTables>(profile);
}

TableView SearchTables::ViewAt(const std::byte* base) const {
  return {reinterpret_cast<const float*>(base + records_),
          reinterpret_cast<const float*>(base + sequence_),
          reinterpret_cast<const float*>(base + ill_bases_),
          reinterpret_cast<const float*>(base + bases_),
          reinterpret_cast<const uint16_t*>(base + seeds_),
          reinterpret_cast<const double*>(base + factors_),
          reinterpret_cast<const double*>(base + shortest_),
          reinterpret_cast<const uint32_t*>(base + fragments_),
          tensor_rounding_,
          plain_segments_,
          ill_segments_,
          margin_,
          block_unit_,
          {}};
}

}  // namespace seedlm::cuda
