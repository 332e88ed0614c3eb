#include "kernels/checksum/sha256.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <unistd.h>

#include <cerrno>
#include <new>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "kernels/format/atomic_file.h"
#include "kernels/format/text.h"

namespace seedlm::checksum {
namespace {

constexpr size_t kReadBytes = size_t{1} << 20;

struct ScopedFd {
  const int fd;
  ~ScopedFd() {
    if (fd >= 0) close(fd);
  }
};

}  // namespace

Sha256::Sha256() : context_(EVP_MD_CTX_new()) {
  // Both fail for lack of memory only.
  if (context_ == nullptr || EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) != 1) {
    throw std::bad_alloc();
  }
}

void Sha256::Free::operator()(evp_md_ctx_st* context) const { EVP_MD_CTX_free(context); }

void Sha256::Update(std::span<const std::byte> bytes) {
  (void)EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size());  // SHA-256 cannot fail here
}

void Sha256::Update(std::string_view bytes) { Update(std::as_bytes(std::span(bytes))); }

std::string Sha256::HexDigest() {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int length = 0;
  (void)EVP_DigestFinal_ex(context_.get(), digest, &length);
  return absl::BytesToHexString(absl::string_view(reinterpret_cast<const char*>(digest), length));
}

absl::StatusOr<std::string> Sha256OfFile(const std::string& path, std::stop_token stop,
                                         const BytesDone& bytes_done) {
  const ScopedFd file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) return format::ErrnoToStatus(errno, path, "open");
  Sha256 sum;
  std::vector<std::byte> buffer(kReadBytes);
  while (true) {
    if (stop.stop_requested()) {
      return absl::CancelledError(absl::StrCat(format::Printable(path), ": stopped on request"));
    }
    const ssize_t count = read(file.fd, buffer.data(), buffer.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return format::ErrnoToStatus(errno, path, "read");
    if (count == 0) return sum.HexDigest();
    sum.Update(std::span(buffer).first(static_cast<size_t>(count)));
    if (bytes_done) bytes_done(count);
  }
}

}  // namespace seedlm::checksum
