#include "kernels/verify/rows_check.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

#include "absl/strings/str_format.h"
#include "kernels/verify/weight_rows.h"

namespace seedlm::verify {
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
  Faults faults{};        // of the row that is being checked
  std::vector<std::byte> bytes{};
  std::vector<float> source{};  // of a piece
  // Of a row in it: what was decoded; and of its blocks the original's weights, [blocks, C], the
  // codes, and whether they are in the sums. Those of a weight that is not finite are zeros here.
  std::vector<float> decoded{};
  std::vector<float> weights{};
  std::vector<codec::BlockCode> codes{};
  std::vector<bool> in_sums{};
};

// Adds a block to the sums of its range. `column`: its first.
void RowsChecker::Add(int64_t row, int64_t column, std::span<const float> weights,
                      std::span<const float> decoded, Range& range) const {
  RowsResult& result = range.result;
  double error = 0;
  double norm = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    const double w = weights[i];
    const double d = w - static_cast<double>(decoded[i]);
    error += d * d;
    norm += w * w;
    result.max_error = std::max(result.max_error, std::abs(d));
  }
  result.squared_error += error;
  result.squared_weights += norm;
  if (meter_ == nullptr) return;
  const auto at = static_cast<size_t>((row - range.first_row) * tensor_.columns + column);
  std::copy(weights.begin(), weights.end(), &range.metered.weights[at]);
  std::transform(weights.begin(), weights.end(), decoded.begin(), &range.metered.differences[at],
                 std::minus<>());
}

// `source`: the row's part in the piece.
void RowsChecker::CheckBlocks(const format::CodePiece& piece, int64_t row,
                              std::span<const float> source, Range& range) const {
  const codec::Profile& profile = tensor_.profile;
  const auto width = static_cast<size_t>(profile.block);
  const int64_t first_block = piece.range().first_block;
  const auto blocks = static_cast<size_t>(piece.range().blocks);
  range.decoded.resize(source.size());
  piece.DecodeRow(row, range.decoded);
  range.weights.assign(blocks * width, 0);
  range.codes.assign(blocks, {});
  range.in_sums.assign(blocks, false);
  for (size_t i = 0; i < blocks; ++i) {
    const int64_t block = first_block + static_cast<int64_t>(i);
    const auto weights = source.subspan(i * width, std::min(width, source.size() - i * width));
    const auto bad = std::find_if_not(weights.begin(), weights.end(),
                                      [](float weight) { return std::isfinite(weight); });
    if (bad != weights.end()) {
      ++range.result.foreign;
      Faults::Note(block * profile.block + (bad - weights.begin()), range.faults.not_finite);
      continue;
    }
    std::copy(weights.begin(), weights.end(), &range.weights[i * width]);
    const codec::BlockCode code = piece.CodeAt(row, block);
    if (code.seed == 0) {
      Faults::Note(block, range.faults.zero_seed);
      continue;
    }
    range.codes[i] = code;
    range.in_sums[i] = true;
    Add(row, block * profile.block, weights,
        std::span(range.decoded).subspan(i * width, weights.size()), range);
  }
  range.result.blocks += piece.range().blocks;
  range.norms.Add(profile, range.weights.data(), row * tensor_.blocks_per_row() + first_block,
                  piece.range().blocks);
  if (spec_ == nullptr) return;
  for (const size_t i : judge_.FindForeign({spec_, range.codes, range.weights.data()})) {
    if (!range.in_sums[i]) continue;  // told already
    ++range.result.foreign;
    Faults::Note(first_block + static_cast<int64_t>(i), range.faults.bad_code);
  }
}

// Tells what was found in the row.
void RowsChecker::EndRow(const format::CodePiece& piece, int64_t row, Range& range) const {
  const Faults faults = std::exchange(range.faults, {});
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
  if (piece.HasStrayLevel(row)) {
    problems.Add(absl::StrFormat("row %d: holds a level after its last block", row));
  }
}

// An error is one of reading the original.
absl::Status RowsChecker::CheckPiece(const format::CodePiece& piece, Range& range) const {
  const format::CodeRange& codes = piece.range();
  const auto columns = static_cast<size_t>(piece.columns());
  const auto width = static_cast<size_t>(format::BitWidth(tensor_.dtype)) / 8;
  range.source.resize(static_cast<size_t>(codes.rows) * columns);
  range.bytes.resize(range.source.size() * width);
  const int64_t first =
      codes.first_row * tensor_.columns + codes.first_block * tensor_.profile.block;
  absl::Status status = source_.Read(static_cast<uint64_t>(first) * width, range.bytes);
  if (!status.ok()) return status;
  Widen(tensor_.dtype, range.bytes, range.source);
  std::span<const float> rest = range.source;
  for (int64_t row = codes.first_row; row < codes.end_row(); ++row) {
    CheckBlocks(piece, row, rest.first(columns), range);
    if (piece.ends_row()) EndRow(piece, row, range);
    rest = rest.subspan(columns);
  }
  return absl::OkStatus();
}

void RowsChecker::Check(int64_t first_row, int64_t row_count, RowsResult& result) {
  if (failed_) return;
  Range range{first_row, result};
  if (meter_ != nullptr) {
    range.metered.weights.resize(static_cast<size_t>(row_count * tensor_.columns));
    range.metered.differences.resize(range.metered.weights.size());
  }
  result.failure =
      format::ReadCodes(tensor_, first_row, row_count,
                        [&](const format::CodePiece& piece) { return CheckPiece(piece, range); });
  if (!result.failure.ok()) {
    failed_ = true;
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    norms_.Merge(range.norms);
  }
  if (meter_ == nullptr) return;
  auto sums =
      meter_->Measure(row_count, range.metered.weights.data(), range.metered.differences.data());
  result.failure = sums.status();
  if (sums.ok()) result.output = *sums;
}

}  // namespace seedlm::verify
