#include <catch2/catch.hpp>
#include <chrono>
#include <ctime>
#include <mutex>
#include <thread>
#include <vector>

#include "server/auth/certificate_expiry.h"
#include "server/auth/tls_mirror.h"
#include "tests/server/certificates.h"
#include "tests/server/temporary_directory.h"

namespace seedlm::server {
namespace {

using std::chrono::seconds;

TEST_CASE("the last fourteen days of a certificate are told once a day, its end once") {
  CertificateExpiry expiry;
  const int64_t end = 2'000'000'000;
  const CertificateTerm term{end, "May 18 2033", "CN=server"};
  CHECK_FALSE(expiry.Look("c.pem", term, end - kWarnBeforeEnd).has_value());
  int warned = 0;
  for (int64_t now = end - kWarnBeforeEnd + 60; now < end; now += 60) {
    const auto notice = expiry.Look("c.pem", term, now);
    if (!notice.has_value()) continue;
    CHECK_FALSE(notice->expired);
    if (warned == 0) {
      CHECK_THAT(notice->message, Catch::StartsWith("c.pem: ") && Catch::Contains("CN=server") &&
                                      Catch::Contains("in 13 days") && Catch::Contains("May 18"));
    }
    ++warned;
  }
  CHECK(warned == 14);
  const auto ended = expiry.Look("c.pem", term, end);
  REQUIRE(ended.has_value());
  CHECK(ended->expired);
  CHECK_FALSE(expiry.Look("c.pem", term, end + kDaySeconds).has_value());
  // Another one begins anew.
  const CertificateTerm next{end + kDaySeconds, "May 19 2033", "CN=server"};
  CHECK(expiry.Look("c.pem", next, end + 1).has_value());
  CHECK_FALSE(expiry.Look("c.pem", next, end + 2).has_value());
}

TEST_CASE("a mirror tells of the certificate that it serves") {
  const TemporaryDirectory directory;
  const TestAuthority authority;
  const PemFiles pair = WritePair(directory.path(), "server", authority.Issue("short", seconds(2)));
  std::mutex mutex;
  std::vector<std::string> warnings, errors;
  const auto into = [&mutex](std::vector<std::string>& lines) {
    return [&](const std::string& message) {
      const std::lock_guard lock(mutex);
      lines.push_back(message);
    };
  };
  const auto before = std::time(nullptr);
  auto mirror = TlsMirror::Open({pair.certificate, pair.key, ""}, std::chrono::milliseconds(20),
                                {into(warnings), [](const std::string&) {}, into(errors)});
  REQUIRE(mirror.ok());
  CHECK((*mirror)->not_after() >= before);
  CHECK((*mirror)->not_after() <= before + 3);
  {
    const std::lock_guard lock(mutex);
    REQUIRE(warnings.size() == 1);  // at once
    CHECK_THAT(warnings[0], Catch::StartsWith(pair.certificate) && Catch::Contains("CN=short") &&
                                Catch::Contains("in less than a day"));
  }
  const auto told = [&] {
    const std::lock_guard lock(mutex);
    return errors.size();
  };
  for (int i = 0; i < 1000 && told() == 0; ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  const auto renewed = authority.Issue("long", seconds(kWarnBeforeEnd + 3600));
  WritePair(directory.path(), "server", renewed);
  for (int i = 0; i < 1000 && (*mirror)->not_after() < before + kWarnBeforeEnd; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  CHECK((*mirror)->not_after() >= before + kWarnBeforeEnd);
  mirror->reset();
  REQUIRE(errors.size() == 1);
  CHECK_THAT(errors[0], Catch::Contains("CN=short") && Catch::Contains("has expired"));
}

}  // namespace
}  // namespace seedlm::server
