#include "client/report/report_file.h"

#include <filesystem>
#include <fstream>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "client/output_path.h"
#include "client/report/job_history.h"
#include "client/report/report_page.h"
#include "kernels/format/atomic_file.h"

namespace seedlm::client {
namespace {

// A checkpoint, a letter or a picture is none. An empty file is nothing to lose.
bool MayBeReport(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string begin(kPageBegin.size(), '\0');
  file.read(begin.data(), static_cast<std::streamsize>(begin.size()));
  return file.gcount() == 0 ? !file.bad() && file.eof() : begin == kPageBegin;
}

}  // namespace

absl::StatusOr<std::string> ReportPath(const std::string& given, bool force,
                                       std::span<const std::string> kept) {
  auto path = OutputPath(given, false, "");
  if (!path.ok()) return path;
  for (const std::string& place : kept) {
    std::error_code error;
    const bool same = std::filesystem::equivalent(*path, place, error);  // a hard link, too
    if (place.empty() || (!same && !IsWithin(*path, place))) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(*path, ": is no place for the report: it is of ", place, "; choose another"));
  }
  std::error_code error;
  if (std::filesystem::is_regular_file(*path, error) && !MayBeReport(*path)) {
    return absl::FailedPreconditionError(absl::StrCat(
        *path, ": is no report, so none replaces it; choose another name, or remove it first"));
  }
  if (absl::Status status = CheckOutput("", *path, false, force, {}); !status.ok()) return status;
  return path;
}

absl::Status WriteReport(JobClient& client, const std::string& job, const std::string& path,
                         bool force, const std::stop_token& stop) {
  const auto history = ReadHistory(client, job, stop);
  if (!history.ok()) return history.status();
  return format::WriteFileAtomically(path, RenderReport(*history),
                                     force ? format::IfExists::kReplace : format::IfExists::kFail);
}

}  // namespace seedlm::client
