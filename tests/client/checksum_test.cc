#include "client/checksum.h"

#include <catch2/catch.hpp>
#include <string>

namespace seedlm::client {
namespace {

TEST_CASE("CRC-32C of RFC 3720, B.4") {
  CHECK(Crc32c("123456789") == 0xE3069283u);
  CHECK(Crc32c("") == 0);
  CHECK(Crc32c(std::string(32, '\0')) == 0x8A9136AAu);
  CHECK(Crc32c(std::string(32, '\xFF')) == 0x62A8AB43u);
}

TEST_CASE("SHA-256 of FIPS 180-2, in pieces") {
  Sha256 hash;
  hash.Update("a");
  hash.Update("");
  hash.Update("bc");
  CHECK(hash.HexDigest() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_CASE("a missing file is named") {
  const auto digest = FileSha256("/no/such/file");
  REQUIRE_FALSE(digest.ok());
  CHECK(absl::IsNotFound(digest.status()));
  CHECK(std::string(digest.status().message()).find("/no/such/file") != std::string::npos);
}

}  // namespace
}  // namespace seedlm::client
