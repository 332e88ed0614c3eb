#include <catch2/catch.hpp>
#include <span>
#include <stop_token>
#include <string>

#include "kernels/checksum/crc32c.h"
#include "kernels/checksum/sha256.h"
#include "tests/server/sha256_of.h"
#include "tests/server/status_matcher.h"
#include "tests/server/temporary_directory.h"

namespace seedlm::server {
namespace {

TEST_CASE("CRC-32C of the examples of RFC 3720, appendix B.4") {
  CHECK(checksum::Crc32c("123456789") == 0xE3069283u);
  CHECK(checksum::Crc32c("") == 0u);
  CHECK(checksum::Crc32c(std::string(32, '\0')) == 0x8A9136AAu);
  CHECK(checksum::Crc32c(std::string(32, '\xFF')) == 0x62A8AB43u);
  std::string ascending;
  for (char c = 0; c < 32; ++c) ascending.push_back(c);
  CHECK(checksum::Crc32c(ascending) == 0x46DD794Eu);
}

TEST_CASE("SHA-256 of the examples of FIPS 180-4") {
  CHECK(Sha256Of("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(Sha256Of("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST_CASE("SHA-256 does not depend on how its input is cut") {
  checksum::Sha256 sum;
  for (const char* part : {"a", "", "bc"}) {
    sum.Update(std::as_bytes(std::span(std::string_view(part))));
  }
  CHECK(sum.HexDigest() == Sha256Of("abc"));
}

TEST_CASE("SHA-256 of a file larger than its buffer") {
  const TemporaryDirectory directory;
  const std::string content((size_t{1} << 20) + 17, 'x');
  WriteText(directory / "file", content);
  CHECK(checksum::Sha256OfFile(directory / "file").value() == Sha256Of(content));
  CHECK_THAT(checksum::Sha256OfFile(directory / "none").status(),
             IsStatus(absl::StatusCode::kNotFound, {directory / "none"}));
  std::stop_source stop;
  stop.request_stop();
  CHECK(absl::IsCancelled(checksum::Sha256OfFile(directory / "file", stop.get_token()).status()));
}

}  // namespace
}  // namespace seedlm::server
