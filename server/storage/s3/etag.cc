#include "server/storage/s3/etag.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace seedlm::server::s3 {
namespace {

constexpr size_t kMd5Digits = 32;

std::string_view Unquoted(std::string_view etag) {
  if (etag.starts_with('"')) etag.remove_prefix(1);
  if (etag.ends_with('"')) etag.remove_suffix(1);
  return etag;
}

bool IsHexDigit(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }

}  // namespace

bool SameEtag(std::string_view a, std::string_view b) {
  return !Unquoted(a).empty() && Unquoted(a) == Unquoted(b);
}

std::string MultipartEtag(const std::vector<PartTag>& parts) {
  std::string sums;
  for (const PartTag& part : parts) {
    const std::string_view digits = Unquoted(part.etag);
    if (digits.size() != kMd5Digits || !std::all_of(digits.begin(), digits.end(), IsHexDigit)) {
      return "";
    }
    sums += absl::HexStringToBytes(absl::string_view(digits.data(), digits.size()));
  }
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int length = 0;
  // Refused where only FIPS algorithms are allowed.
  if (EVP_Digest(sums.data(), sums.size(), digest.data(), &length, EVP_md5(), nullptr) != 1) {
    return "";
  }
  return absl::StrCat("\"",
                      absl::BytesToHexString(
                          absl::string_view(reinterpret_cast<const char*>(digest.data()), length)),
                      "-", parts.size(), "\"");
}

}  // namespace seedlm::server::s3
