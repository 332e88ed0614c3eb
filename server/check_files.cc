#include "server/check_files.h"

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <functional>
#include <system_error>
#include <utility>

#include "kernels/registry/registry.h"
#include "server/auth/certificate_expiry.h"
#include "server/auth/tls_files.h"
#include "server/auth/token_file.h"
#include "server/listen_address.h"
#include "server/machine_memory.h"
#include "server/start_report.h"
#include "server/storage/data_dir.h"
#include "server/storage/s3_destination.h"
#include "server/storage/storage_roots.h"
#include "server/work_memory.h"

namespace seedlm::server {
namespace {

namespace fs = std::filesystem;

absl::Status CheckBackend(const ServerOptions& options) {
  backend::SetIndexOptions(IndexOptionsOf(options));
  return backend::OpenBackend(options.backend).status();
}

// What is wrong, and what to warn of.
class Checker {
 public:
  explicit Checker(const ServerOptions& options) : options_(options) {}

  FilesCheck Run() {
    check_.faults = FaultsOf(options_);
    if (!options_.data_dir.empty()) Add(DataDir::Check(options_.data_dir));
    check_.warnings = WarningsOf(options_);
    CheckMemory();
    CheckTls();
    if (!options_.tokens.empty()) Add(TokenFile::Open(options_.tokens, {warn_}).status());
    CheckRoots();
    CheckS3();
    Add(CheckBackend(options_));
    CheckSockets();
    return std::move(check_);
  }

 private:
  // Once, where two looks find the same.
  void Add(const absl::Status& status) {
    if (status.ok()) return;
    const auto same = [&status](const absl::Status& known) {
      return known.message() == status.message();
    };
    if (std::any_of(check_.faults.begin(), check_.faults.end(), same)) return;
    check_.faults.push_back(status);
  }

  void CheckMemory() {
    const absl::StatusOr<WorkMemory> memory = PlanWorkMemory(options_, MachineMemory());
    if (!memory.ok()) return Add(memory.status());
    if (!memory->warning.empty()) warn_(memory->warning);
  }

  void CheckTls() {
    if (options_.tls.certificate.empty() || options_.tls.key.empty()) {
      for (const absl::Status& fault : TlsFaults(options_.tls)) Add(fault);
      return;
    }
    const absl::StatusOr<std::vector<std::string>> warnings = CheckTlsFiles(options_.tls);
    if (!warnings.ok()) {
      for (const absl::Status& fault : TlsFaults(options_.tls)) Add(fault);
      return;
    }
    for (const std::string& warning : *warnings) warn_(warning);
    const absl::StatusOr<std::string> pem = ReadPemFile(options_.tls.certificate);
    if (!pem.ok()) return Add(pem.status());
    const auto term = TermOf(*pem, options_.tls.certificate);
    if (!term.ok()) return Add(term.status());
    const auto notice =
        CertificateExpiry().Look(options_.tls.certificate, *term, std::time(nullptr));
    if (notice.has_value()) warn_(notice->message);
  }

  void CheckRoots() {
    std::error_code error;
    const bool there = fs::is_directory(options_.data_dir, error);
    const std::string reserved =
        there ? fs::canonical(options_.data_dir, error).string() : std::string();
    for (const std::string& root : options_.storage_roots) {
      Add(StorageRoots::Create({root}, reserved).status());
    }
  }

  void CheckS3() {
    const absl::Status status = S3Destination::Settle(options_.s3, warn_).status();
    Add(status);
    if (status.ok() || options_.s3.credentials_file.empty()) return;
    s3::Options without_keys = options_.s3;  // what else is wrong
    without_keys.credentials_file.clear();
    Add(S3Destination::Settle(without_keys, warn_).status());
  }

  void CheckSockets() {
    const fs::path data_dir = fs::path(options_.data_dir + "/").lexically_normal().parent_path();
    for (const std::string& text : options_.listen) {
      const absl::StatusOr<ListenAddress> address = ParseListenAddress(text);
      if (!address.ok() || !address->is_unix) continue;
      const fs::path directory = fs::path(address->path).lexically_normal().parent_path();
      std::error_code error;
      if (directory == data_dir && !fs::exists(data_dir, error)) continue;  // the start makes it
      Add(CheckUnixPlace(*address));
    }
  }

  const ServerOptions& options_;
  FilesCheck check_;
  const std::function<void(const std::string&)> warn_ = [this](const std::string& message) {
    check_.warnings.push_back(message);
  };
};

}  // namespace

FilesCheck CheckFiles(const ServerOptions& options) { return Checker(options).Run(); }

}  // namespace seedlm::server
