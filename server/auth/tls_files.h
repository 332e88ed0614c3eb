// The files that make a server's TLS, looked at before gRPC gets them: what it makes of a wrong one
// is a handshake that fails, later, without a name.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace seedlm::server {

// Paths of PEM files. All empty: plaintext.
struct TlsFiles {
  std::string certificate;  // the server's, then what it was signed by, up to the root's child
  std::string key;          // of the first certificate, without a passphrase
  std::string client_ca;    // who signs the certificates that clients must have; empty: none needed

  bool on() const { return !certificate.empty() || !key.empty() || !client_ca.empty(); }
};

// The text of one of them. NOT_FOUND, PERMISSION_DENIED, INVALID_ARGUMENT (too long for one),
// naming it.
absl::StatusOr<std::string> ReadPemFile(const std::string& path);

// Reads the files. The answer is what to warn of (a key that others can read), one line each.
// Errors, naming the file: NOT_FOUND, PERMISSION_DENIED; INVALID_ARGUMENT (no PEM, a passphrase, a
// key that is not that of the certificate); FAILED_PRECONDITION (the certificate has expired, or is
// not valid yet).
absl::StatusOr<std::vector<std::string>> CheckTlsFiles(const TlsFiles& files);
// All of these errors, not the first alone.
std::vector<absl::Status> TlsFaults(const TlsFiles& files);

}  // namespace seedlm::server
