#include "server/check_files.h"

#include <ctime>
#include <filesystem>
#include <system_error>

#include "kernels/registry/registry.h"
#include "server/auth/certificate_expiry.h"
#include "server/auth/tls_files.h"
#include "server/auth/token_file.h"
#include "server/listen_address.h"
#include "server/start_report.h"
#include "server/storage/data_dir.h"
#include "server/storage/s3_destination.h"
#include "server/storage/storage_roots.h"

namespace seedlm::server {
namespace {

absl::Status CheckBackend(const ServerOptions& options) {
  backend::SetIndexOptions(IndexOptionsOf(options));
  return backend::OpenBackend(options.backend).status();
}

absl::Status CheckSockets(const ServerOptions& options) {
  namespace fs = std::filesystem;
  const fs::path data_dir = fs::path(options.data_dir + "/").lexically_normal().parent_path();
  for (const std::string& text : options.listen) {
    const absl::StatusOr<ListenAddress> address = ParseListenAddress(text);
    if (!address.ok()) return address.status();
    if (!address->is_unix) continue;
    const fs::path directory = fs::path(address->path).lexically_normal().parent_path();
    std::error_code error;
    if (directory == data_dir && !fs::exists(data_dir, error)) continue;  // the start makes it
    if (absl::Status status = CheckUnixPlace(*address); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<std::string>> CheckFiles(const ServerOptions& options) {
  if (absl::Status status = CheckOptions(options); !status.ok()) return status;
  if (absl::Status status = DataDir::Check(options.data_dir); !status.ok()) return status;
  std::vector<std::string> warnings = WarningsOf(options);
  const auto warn = [&warnings](const std::string& message) { warnings.push_back(message); };
  if (options.tls.on()) {
    const absl::StatusOr<std::vector<std::string>> of_tls = CheckTlsFiles(options.tls);
    if (!of_tls.ok()) return of_tls.status();
    warnings.insert(warnings.end(), of_tls->begin(), of_tls->end());
    const absl::StatusOr<std::string> pem = ReadPemFile(options.tls.certificate);
    if (!pem.ok()) return pem.status();
    const auto term = TermOf(*pem, options.tls.certificate);
    if (!term.ok()) return term.status();
    const auto notice =
        CertificateExpiry().Look(options.tls.certificate, *term, std::time(nullptr));
    if (notice.has_value()) warn(notice->message);
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
  if (absl::Status status = CheckBackend(options); !status.ok()) return status;
  if (absl::Status status = CheckSockets(options); !status.ok()) return status;
  return warnings;
}

}  // namespace seedlm::server
