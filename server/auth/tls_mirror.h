// The TLS files of a running server, as gRPC gets them.
//
// gRPC reads its files again and again, and while they cannot serve, as when a certificate was
// renewed and its key was not yet, it lets nobody in. So it gets copies in memory, which only files
// that can serve replace.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/auth/certificate_expiry.h"
#include "server/auth/tls_files.h"

namespace seedlm::server {

class TlsMirror {
 public:
  struct Reports {  // told by Open, then on the mirror's own thread
    // Why new files are not taken, once; that the certificate which is served ends soon, once a
    // day.
    std::function<void(const std::string& message)> warn;
    std::function<void(const std::string& message)> inform;  // new ones were
    std::function<void(const std::string& message)> error;   // it has ended, once
  };

  // Reads the files, and again every `refresh` on a thread of its own. Errors: CheckTlsFiles;
  // RESOURCE_EXHAUSTED without descriptors or memory.
  static absl::StatusOr<std::unique_ptr<TlsMirror>> Open(const TlsFiles& files,
                                                         std::chrono::milliseconds refresh,
                                                         Reports reports);
  ~TlsMirror();
  TlsMirror(const TlsMirror&) = delete;
  TlsMirror& operator=(const TlsMirror&) = delete;

  // What to read instead, good for as long as this lives: certificate and key are one file, so that
  // they fit whenever they are read.
  TlsFiles copies() const;
  // When the certificate that is served ends: Unix time, seconds. Any thread.
  int64_t not_after() const { return not_after_; }

 private:
  struct Texts {
    std::string identity;   // key, then certificates
    std::string client_ca;  // empty: none
    bool operator==(const Texts&) const = default;
  };
  TlsMirror(TlsFiles files, Reports reports)
      : files_(std::move(files)), reports_(std::move(reports)) {}
  absl::StatusOr<Texts> Read() const;
  absl::Status Take(const Texts& texts);
  void Refresh();
  void TakeNew();
  void TellExpiry();

  const TlsFiles files_;
  const Reports reports_;
  // Of memory files. Their numbers are constant after Open; what they lead to is replaced in one
  // step.
  int identity_ = -1;
  int client_ca_ = -1;
  Texts taken_;      // of the thread from Open on, as the next
  std::string why_;  // files are not taken, as it was told last
  CertificateTerm term_;
  CertificateExpiry expiry_;
  std::atomic<int64_t> not_after_ = 0;
  std::jthread thread_;
};

}  // namespace seedlm::server
