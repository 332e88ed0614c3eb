#include "kernels/verify/rows_check.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

#include "absl/strings/str_format.h"
#include "kernels/codec/bitpack.h"
#include "kernels/verify/code_check.h"
#include "kernels/verify/packed_checkpoint.h"
#include "kernels/verify/weight_rows.h"

namespace seedlm::verify {
namespace {

constexpr int64_t kPieceBlocks = 8192;  // of a row decoded at a time: rows may exceed memory

}  // namespace

// What is wrong with a row: the first of each, or -1.
struct RowsChecker::Faults {
  int64_t zero_seed = -1;   // block
  int64_t bad_code = -1;    // block
  int64_t not_finite = -1;  // column

  static void Note(int64_t place, int64_t& first) {
    if (first < 0) first = place;
  }
};

// Whole rows for the meter: W and W - W', [rows][columns]; blocks that are in no sum stay zeros.
struct RowsChecker::MeteredRows {
  std::vector<float> weights, differences;
};

// A range of rows being checked.
struct RowsChecker::Range {
  int64_t first_row;
  RowsResult& result;
  codec::NormHistogram norms{};
  MeteredRows metered{};  // empty without a meter
  std::vector<std::byte> bytes{};
  std::vector<float> source{}, decoded{};  // a piece of a row
};

void RowsChecker::CheckBlocks(int64_t row, int64_t first_block, Range& range,
                              Faults& faults) const {
  const codec::Profile& profile = tensor_.profile;
  RowsResult& result = range.result;
  const auto width = static_cast<size_t>(profile.block);
  int64_t block = first_block;
  for (size_t begin = 0; begin < range.source.size(); begin += width, ++block) {
    ++result.blocks;
    const size_t count = std::min(width, range.source.size() - begin);
    const std::span<const float> weights(&range.source[begin], count);
    const std::span<const float> decoded(&range.decoded[begin], count);
    const int64_t column = block * profile.block;
    const auto bad = std::find_if_not(weights.begin(), weights.end(),
                                      [](float weight) { return std::isfinite(weight); });
    if (bad != weights.end()) {
      ++result.foreign;
      Faults::Note(column + (bad - weights.begin()), faults.not_finite);
      continue;
    }
    std::array<float, codec::kMaxBlock> padded{};
    std::copy(weights.begin(), weights.end(), padded.begin());
    range.norms.Add(profile, padded.data(), row * tensor_.blocks_per_row() + block);
    const codec::BlockCode code = tensor_.CodeAt(row, block);
    if (code.seed == 0) {
      Faults::Note(block, faults.zero_seed);
      continue;
    }
    double error = 0;
    double norm = 0;
    for (size_t i = 0; i < count; ++i) {
      const double w = weights[i];
      const double d = w - static_cast<double>(decoded[i]);
      error = std::fma(d, d, error);
      norm = std::fma(w, w, norm);
      result.max_error = std::max(result.max_error, std::abs(d));
    }
    result.squared_error += error;
    result.squared_weights += norm;
    if (meter_ != nullptr) {
      const auto at = static_cast<size_t>((row - range.first_row) * tensor_.columns + column);
      std::copy(weights.begin(), weights.end(), &range.metered.weights[at]);
      std::transform(weights.begin(), weights.end(), decoded.begin(),
                     &range.metered.differences[at], std::minus<>());
    }
    if (levels_ != nullptr &&
        !IsBestOfItsSeed(profile, file_.metadata->fit, *levels_, code, padded.data())) {
      ++result.foreign;
      Faults::Note(block, faults.bad_code);
    }
  }
}

// An error is one of reading the original.
absl::Status RowsChecker::CheckRow(int64_t row, Range& range) const {
  const auto width = static_cast<size_t>(format::BitWidth(tensor_.dtype)) / 8;
  Faults faults;
  for (int64_t block = 0; block < tensor_.blocks_per_row(); block += kPieceBlocks) {
    const int64_t column = block * tensor_.profile.block;
    const auto count = static_cast<size_t>(
        std::min(kPieceBlocks * tensor_.profile.block, tensor_.columns - column));
    range.bytes.resize(count * width);
    range.source.resize(count);
    range.decoded.resize(count);
    format::DecodeBlocks(tensor_, row, block, range.decoded);
    const auto offset = static_cast<uint64_t>(row * tensor_.columns + column) * width;
    if (absl::Status status = source_.Read(offset, range.bytes); !status.ok()) return status;
    Widen(tensor_.dtype, range.bytes, range.source);
    CheckBlocks(row, block, range, faults);
  }
  ProblemList& problems = range.result.problems;
  if (faults.zero_seed >= 0) {
    problems.Add(absl::StrFormat("row %d, block %d: the seed is zero", row, faults.zero_seed));
  }
  if (faults.not_finite >= 0) {
    range.result.all_compared = false;
    problems.Add(
        absl::StrFormat("row %d, column %d: the original's weight is not finite, so that this is "
                        "not what was compressed; give the one that was",
                        row, faults.not_finite));
  }
  if (faults.bad_code >= 0) {
    problems.Add(
        absl::StrFormat("row %d, block %d: its code is not the best of its seed; it is damaged, or "
                        "the original is another one",
                        row, faults.bad_code));
  }
  if (tensor_.HasStrayLevel(row)) {
    problems.Add(absl::StrFormat("row %d: holds a level after its last block", row));
  }
  return absl::OkStatus();
}

void RowsChecker::Check(int64_t first_row, int64_t row_count, RowsResult& result) {
  Range range{first_row, result};
  if (meter_ != nullptr) {
    range.metered.weights.resize(static_cast<size_t>(row_count * tensor_.columns));
    range.metered.differences.resize(range.metered.weights.size());
  }
  for (int64_t row = first_row; row < first_row + row_count; ++row) {
    if (absl::Status status = CheckRow(row, range); !status.ok()) {
      result.problems.Add(std::string(status.message()));
      result.all_compared = false;
      return;
    }
  }
  {
    const std::lock_guard lock(mutex_);
    norms_.Merge(range.norms);
  }
  if (meter_ != nullptr) {
    auto sums =
        meter_->Measure(row_count, range.metered.weights.data(), range.metered.differences.data());
    result.failure = sums.status();
    if (sums.ok()) result.output = *sums;
  }
  ReleaseRows(file_, tensor_, first_row, row_count);
}

}  // namespace seedlm::verify
