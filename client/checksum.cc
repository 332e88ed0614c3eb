#include "client/checksum.h"

#include <isa-l/crc.h>
#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <vector>

#include "absl/strings/escaping.h"
#include "kernels/format/atomic_file.h"

namespace seedlm::client {

uint32_t Crc32c(std::string_view data) {
  constexpr size_t kPiece = size_t{1} << 30;  // the library counts in int
  uint32_t crc = 0xFFFFFFFFu;
  while (!data.empty()) {
    const size_t size = std::min(data.size(), kPiece);
    // The library does not write to its input, but its C interface does not say so.
    auto* bytes = reinterpret_cast<unsigned char*>(const_cast<char*>(data.data()));
    crc = crc32_iscsi(bytes, static_cast<int>(size), crc);
    data.remove_prefix(size);
  }
  return ~crc;
}

void Sha256::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr);
}

void Sha256::Update(std::string_view data) {
  EVP_DigestUpdate(context_.get(), data.data(), data.size());
}

std::string Sha256::HexDigest() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest;
  unsigned int size = 0;
  EVP_DigestFinal_ex(context_.get(), digest.data(), &size);
  return absl::BytesToHexString({reinterpret_cast<const char*>(digest.data()), size});
}

absl::StatusOr<std::string> FileSha256(const std::string& path, const std::stop_token& stop) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return format::ErrnoToStatus(errno, path, "open");
  Sha256 hash;
  std::vector<char> buffer(size_t{1} << 20);
  while (in) {
    if (stop.stop_requested()) return absl::CancelledError(path + ": interrupted");
    in.read(buffer.data(), static_cast<std::streamsize>(buffer.size()));
    hash.Update({buffer.data(), static_cast<size_t>(in.gcount())});
  }
  if (in.bad()) return format::ErrnoToStatus(EIO, path, "read");
  return hash.HexDigest();
}

}  // namespace seedlm::client
