// The two checksums of the transfer protocol.
#pragma once

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

struct evp_md_ctx_st;

namespace seedlm::client {

// CRC-32C (Castagnoli, RFC 3720).
uint32_t Crc32c(std::string_view data);

// SHA-256, fed piece by piece.
class Sha256 {
 public:
  Sha256();
  void Update(std::string_view data);
  // 64 lower-case hex digits. Call once, last.
  std::string HexDigest();

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

// Errors: NOT_FOUND, PERMISSION_DENIED, naming the path; CANCELLED after `stop`.
absl::StatusOr<std::string> FileSha256(const std::string& path, const std::stop_token& stop = {});

}  // namespace seedlm::client
