// SHA-256 as a running sum.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

struct evp_md_ctx_st;

namespace seedlm::checksum {

class Sha256 {
 public:
  Sha256();
  void Update(std::span<const std::byte> bytes);
  void Update(std::string_view bytes);
  // 64 lower-case hex digits. The sum is over.
  std::string HexDigest();

 private:
  struct Free {
    void operator()(evp_md_ctx_st* context) const;
  };
  std::unique_ptr<evp_md_ctx_st, Free> context_;
};

// Told of so many more bytes.
using BytesDone = std::function<void(int64_t bytes)>;

// Of a whole file, read in pieces, of each of which `bytes_done` is told. CANCELLED soon after
// `stop`; errors name the path.
absl::StatusOr<std::string> Sha256OfFile(const std::string& path, std::stop_token stop = {},
                                         const BytesDone& bytes_done = {});

}  // namespace seedlm::checksum
