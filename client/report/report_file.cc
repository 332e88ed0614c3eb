#include "client/report/report_file.h"

#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "client/report/job_history.h"
#include "client/report/report_page.h"
#include "kernels/format/atomic_file.h"

namespace seedlm::client {

absl::Status CheckReportFile(const std::string& path, bool force) {
  std::error_code error;
  const std::filesystem::path parent = std::filesystem::absolute(path, error).parent_path();
  if (!std::filesystem::is_directory(parent, error)) {
    return absl::NotFoundError(absl::StrCat(parent.string(), ": no such directory; create it"));
  }
  if (std::filesystem::is_directory(path, error)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": is a directory; name the file in it"));
  }
  if (!force && std::filesystem::exists(path, error)) {
    return absl::AlreadyExistsError(absl::StrCat(path, ": exists; replace it with --force"));
  }
  return absl::OkStatus();
}

absl::Status WriteReport(JobClient& client, const std::string& job, const std::string& path,
                         bool force, const std::stop_token& stop) {
  const auto history = ReadHistory(client, job, stop);
  if (!history.ok()) return history.status();
  return format::WriteFileAtomically(path, RenderReport(*history),
                                     force ? format::IfExists::kReplace : format::IfExists::kFail);
}

}  // namespace seedlm::client
