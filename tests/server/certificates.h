// Certificates for tests, made on the spot.
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

namespace seedlm::server {

struct PemPair {
  std::string certificate;
  std::string key;
};

// Signs certificates. Keys are of the curve P-256: made in no time.
class TestAuthority {
 public:
  TestAuthority();
  const std::string& certificate() const { return certificate_; }  // PEM

  // For a server on this machine (DNS:localhost, IP:127.0.0.1) or any client; valid from an hour
  // ago until `valid` from now.
  PemPair Issue(const std::string& common_name,
                std::chrono::seconds valid = std::chrono::hours(1)) const;

 private:
  std::shared_ptr<EVP_PKEY> key_;
  std::shared_ptr<X509> self_;
  std::string certificate_;
};

// DIRECTORY/NAME.pem and DIRECTORY/NAME.key (mode 0600).
struct PemFiles {
  std::string certificate;
  std::string key;
};
PemFiles WritePair(const std::filesystem::path& directory, const std::string& name,
                   const PemPair& pair);
// Replaced in one step, as who renews certificates does it.
std::string WritePem(const std::filesystem::path& path, const std::string& text);

}  // namespace seedlm::server
