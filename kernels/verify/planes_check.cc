#include "kernels/verify/planes_check.h"

#include "absl/strings/str_cat.h"
#include "kernels/format/text.h"
#include "kernels/verify/parallel_rows.h"
#include "kernels/verify/problems.h"

namespace seedlm::verify {
namespace {

void CheckTensor(const format::PackedFile& file, const format::PackedTensor& tensor,
                 const std::stop_token& stop, std::vector<std::string>& problems) {
  const auto results = ForRowRanges<ProblemList>(
      tensor.rows, tensor.columns, stop, [&](int64_t first, int64_t count, ProblemList& found) {
        for (int64_t row = first; row < first + count; ++row) {
          const absl::Status status = format::CheckRow(tensor, row, file.file->path());
          if (!status.ok()) found.Add(std::string(status.message()));
        }
        ReleaseRows(file, tensor, first, count);
      });
  ProblemList all;
  for (const ProblemList& result : results) all.Append(result);
  std::vector<std::string> lines = all.Lines();
  if (lines.size() > ProblemList::kKept) {  // the last one names nothing
    lines.back() = absl::StrCat("tensor '", format::Printable(tensor.name), "': ", lines.back());
  }
  problems.insert(problems.end(), lines.begin(), lines.end());
}

}  // namespace

absl::StatusOr<std::vector<std::string>> CheckPlanes(const PackedCheckpoint& checkpoint,
                                                     const std::stop_token& stop) {
  std::vector<std::string> problems;
  for (const PackedCheckpointFile& file : checkpoint.files) {
    for (const format::PackedTensor& tensor : file.content.packed) {
      CheckTensor(file.content, tensor, stop, problems);
      if (stop.stop_requested()) {
        return absl::CancelledError("interrupted before all was checked; run it again");
      }
    }
  }
  return problems;
}

}  // namespace seedlm::verify
