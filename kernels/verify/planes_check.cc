#include "kernels/verify/planes_check.h"

#include "absl/strings/str_cat.h"
#include "kernels/format/packed_codes.h"
#include "kernels/format/text.h"
#include "kernels/verify/parallel_rows.h"
#include "kernels/verify/problems.h"

namespace seedlm::verify {
namespace {

struct RangeResult {
  ProblemList problems;
  absl::Status read;
};

RangeResult CheckRows(const format::PackedTensor& tensor, int64_t first, int64_t count) {
  RangeResult result;
  int64_t named = -1;  // a long row comes in several pieces
  result.read = format::ReadCodes(tensor, first, count, [&](const format::CodePiece& piece) {
    for (int64_t row = piece.range().first_row; row < piece.range().end_row(); ++row) {
      const absl::Status status = piece.CheckRow(row);
      if (status.ok() || named == row) continue;
      named = row;
      result.problems.Add(std::string(status.message()));
    }
    return absl::OkStatus();
  });
  return result;
}

absl::Status CheckTensor(const format::PackedTensor& tensor, int threads,
                         const std::stop_token& stop, std::vector<std::string>& problems) {
  const auto results =
      ForRowRanges<RangeResult>(tensor.rows, tensor.columns, threads, stop,
                                [&](int64_t first, int64_t count, RangeResult& result) {
                                  result = CheckRows(tensor, first, count);
                                });
  ProblemList all;
  for (const RangeResult& result : results) {
    if (!result.read.ok()) return result.read;
    all.Append(result.problems);
  }
  std::vector<std::string> lines = all.Lines();
  if (lines.size() > ProblemList::kKept) {  // the last one names nothing
    lines.back() = absl::StrCat("tensor '", format::Printable(tensor.name), "': ", lines.back());
  }
  problems.insert(problems.end(), lines.begin(), lines.end());
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<std::string>> CheckPlanes(const PackedCheckpoint& checkpoint,
                                                     int threads, const std::stop_token& stop) {
  std::vector<std::string> problems;
  for (const PackedCheckpointFile& file : checkpoint.files) {
    for (const format::PackedTensor& tensor : file.content.packed) {
      if (absl::Status read = CheckTensor(tensor, threads, stop, problems); !read.ok()) return read;
      if (stop.stop_requested()) {
        return absl::CancelledError("interrupted before all was checked; run it again");
      }
    }
  }
  return problems;
}

}  // namespace seedlm::verify
