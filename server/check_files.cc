#include "server/check_files.h"

#include <filesystem>
#include <system_error>

#include "server/auth/tls_files.h"
#include "server/auth/token_file.h"
#include "server/storage/s3_destination.h"
#include "server/storage/storage_roots.h"

namespace seedlm::server {

absl::StatusOr<std::vector<std::string>> CheckFiles(const ServerOptions& options) {
  if (absl::Status status = CheckOptions(options); !status.ok()) return status;
  std::vector<std::string> warnings;
  const auto warn = [&warnings](const std::string& message) { warnings.push_back(message); };
  if (options.tls.on()) {
    const absl::StatusOr<std::vector<std::string>> of_tls = CheckTlsFiles(options.tls);
    if (!of_tls.ok()) return of_tls.status();
    warnings = *of_tls;
  }
  if (!options.tokens.empty()) {
    if (absl::Status status = TokenFile::Open(options.tokens, {warn}).status(); !status.ok()) {
      return status;
    }
  }
  std::error_code error;
  const bool there = std::filesystem::is_directory(options.data_dir, error);
  const std::string reserved =
      there ? std::filesystem::canonical(options.data_dir, error).string() : "";
  const auto roots = StorageRoots::Create(options.storage_roots, reserved);
  if (!roots.ok()) return roots.status();
  if (absl::Status status = S3Destination::Settle(options.s3, warn).status(); !status.ok()) {
    return status;
  }
  return warnings;
}

}  // namespace seedlm::server
