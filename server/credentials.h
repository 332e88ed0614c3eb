// How connections to the server's addresses begin.
#pragma once

#include <chrono>
#include <memory>

#include "grpcpp/security/server_credentials.h"
#include "server/auth/tls_files.h"

namespace seedlm::server {

// TLS 1.2 or 1.3; with a client_ca, only for clients whose certificate it signed. The files are
// read again every `refresh` (rounded up to seconds). While they cannot serve nobody gets in: give
// those of a TlsMirror.
// REQUIRES: CheckTlsFiles was content with the files.
std::shared_ptr<grpc::ServerCredentials> MakeTlsCredentials(const TlsFiles& files,
                                                            std::chrono::milliseconds refresh);

}  // namespace seedlm::server
