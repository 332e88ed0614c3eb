#include "kernels/verify/planes_check.h"

#include "absl/strings/str_cat.h"
#include "kernels/format/text.h"
#include "kernels/verify/parallel_rows.h"

namespace seedlm::verify {
namespace {

constexpr size_t kProblemsATensor = 5;  // shown; a damaged plane can hold millions

void CheckTensor(const format::PackedFile& file, const format::PackedTensor& tensor,
                 const std::stop_token& stop, std::vector<std::string>& problems) {
  using RowProblems = std::vector<std::string>;
  const uint64_t row_bytes = tensor.words.size() / static_cast<uint64_t>(tensor.rows);
  const auto results = ForRowRanges<RowProblems>(
      tensor.rows, tensor.columns, stop, [&](int64_t first, int64_t count, RowProblems& found) {
        for (int64_t row = first; row < first + count; ++row) {
          const absl::Status status = format::CheckRow(tensor, row, file.file->path());
          if (!status.ok()) found.emplace_back(status.message());
        }
        file.file->Release(WordsPlane(file, tensor), static_cast<uint64_t>(first) * row_bytes,
                           static_cast<uint64_t>(count) * row_bytes);
      });
  size_t count = 0;
  for (const RowProblems& result : results) {
    for (const std::string& problem : result) {
      if (++count <= kProblemsATensor) problems.push_back(problem);
    }
  }
  if (count > kProblemsATensor) {
    problems.push_back(absl::StrCat("tensor '", format::Printable(tensor.name), "': and ",
                                    count - kProblemsATensor, " more like these"));
  }
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
