#include <openssl/pem.h>

#include <catch2/catch.hpp>

#include "server/auth/tls_files.h"
#include "tests/server/certificates.h"
#include "tests/server/status_matcher.h"
#include "tests/server/temporary_directory.h"

namespace seedlm::server {
namespace {

using Code = absl::StatusCode;

// The same key, locked.
std::string Locked(const std::string& key_pem) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> in(
      BIO_new_mem_buf(key_pem.data(), static_cast<int>(key_pem.size())), &BIO_free);
  const std::unique_ptr<BIO, decltype(&BIO_free)> out(BIO_new(BIO_s_mem()), &BIO_free);
  EVP_PKEY* key = PEM_read_bio_PrivateKey(in.get(), nullptr, nullptr, nullptr);
  char passphrase[] = "secret";
  PEM_write_bio_PrivateKey(out.get(), key, EVP_aes_128_cbc(), nullptr, 0, nullptr, passphrase);
  EVP_PKEY_free(key);
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return {text, static_cast<size_t>(size)};
}

TEST_CASE("files that fit are taken; a key that others can read is a warning") {
  const TemporaryDirectory directory;
  const TestAuthority authority;
  const PemFiles pair = WritePair(directory.path(), "server", authority.Issue("server"));
  const std::string ca = WritePem(directory.path() + "/ca.pem", authority.certificate());
  const auto quiet = CheckTlsFiles({pair.certificate, pair.key, ca});
  REQUIRE(quiet.ok());
  CHECK(quiet->empty());
  std::filesystem::permissions(pair.key, std::filesystem::perms(0640));  // of the server's group
  const auto group = CheckTlsFiles({pair.certificate, pair.key, ""});
  REQUIRE(group.ok());
  CHECK(group->empty());
  std::filesystem::permissions(pair.key, std::filesystem::perms(0644));
  const auto warned = CheckTlsFiles({pair.certificate, pair.key, ""});
  REQUIRE(warned.ok());
  REQUIRE(warned->size() == 1);
  CHECK(warned->front().find(pair.key) == 0);
}

TEST_CASE("each file that cannot serve is named, with the reason") {
  const TemporaryDirectory directory;
  const TestAuthority authority;
  const PemPair pems = authority.Issue("server");
  const PemFiles good = WritePair(directory.path(), "good", pems);
  const PemFiles other = WritePair(directory.path(), "other", authority.Issue("other"));
  const PemFiles old =
      WritePair(directory.path(), "old", authority.Issue("old", std::chrono::seconds(-60)));
  const std::string locked = WritePem(directory.path() + "/locked.key", Locked(pems.key));
  const std::string junk = WritePem(directory.path() + "/junk", "no PEM at all\n");
  const std::string missing = directory.path() + "/missing";
  struct Row {
    TlsFiles files;
    Code code;
    std::vector<std::string> words;
  };
  const Row rows[] = {
      {{missing, good.key, ""}, Code::kNotFound, {missing}},
      {{good.certificate, missing, ""}, Code::kNotFound, {missing}},
      {{good.certificate, good.key, missing}, Code::kNotFound, {missing}},
      {{junk, good.key, ""}, Code::kInvalidArgument, {junk, "--tls-cert"}},
      {{good.key, good.key, ""}, Code::kInvalidArgument, {good.key, "--tls-cert"}},
      {{good.certificate, junk, ""}, Code::kInvalidArgument, {junk, "--tls-key"}},
      {{good.certificate, good.key, junk}, Code::kInvalidArgument, {junk, "--tls-client-ca"}},
      {{good.certificate, locked, ""}, Code::kInvalidArgument, {locked, "passphrase"}},
      {{good.certificate, other.key, ""}, Code::kInvalidArgument, {other.key, good.certificate}},
      {{old.certificate, old.key, ""}, Code::kFailedPrecondition, {old.certificate, "expired"}},
  };
  for (const Row& row : rows) {
    CHECK_THAT(CheckTlsFiles(row.files).status(), IsStatus(row.code, row.words));
  }
}

}  // namespace
}  // namespace seedlm::server
