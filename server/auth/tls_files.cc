#include "server/auth/tls_files.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <cerrno>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/format/atomic_file.h"
#include "kernels/format/text.h"

namespace seedlm::server {
namespace {

constexpr uint64_t kMaxPemBytes = 4 << 20;

struct Free {
  void operator()(BIO* bio) const { BIO_free(bio); }
  void operator()(X509* certificate) const { X509_free(certificate); }
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using Bio = std::unique_ptr<BIO, Free>;
using Certificate = std::unique_ptr<X509, Free>;
using Key = std::unique_ptr<EVP_PKEY, Free>;

absl::Status Wrong(const std::string& path, const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat(format::Printable(path), ": ", why));
}

Bio OpenBytes(const std::string& bytes) {
  return Bio(BIO_new_mem_buf(bytes.data(), static_cast<int>(bytes.size())));
}

absl::StatusOr<Certificate> ReadCertificate(const std::string& path, const std::string& option) {
  const absl::StatusOr<std::string> bytes = ReadPemFile(path);
  if (!bytes.ok()) return bytes.status();
  Certificate certificate(PEM_read_bio_X509(OpenBytes(*bytes).get(), nullptr, nullptr, nullptr));
  ERR_clear_error();
  if (certificate != nullptr) return certificate;
  return Wrong(path, absl::StrCat("holds no certificate in PEM form: give one to ", option));
}

// Instead of a passphrase: OpenSSL would ask at the terminal.
int NoPassphrase(char*, int, int, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

absl::StatusOr<Key> ReadKey(const std::string& path) {
  const absl::StatusOr<std::string> bytes = ReadPemFile(path);
  if (!bytes.ok()) return bytes.status();
  bool encrypted = false;
  Key key(PEM_read_bio_PrivateKey(OpenBytes(*bytes).get(), nullptr, &NoPassphrase, &encrypted));
  ERR_clear_error();
  if (key != nullptr) return key;
  if (encrypted) {
    return Wrong(path,
                 "is locked with a passphrase: give --tls-key the key without one (openssl pkey)");
  }
  return Wrong(path, "holds no private key in PEM form: give one to --tls-key");
}

std::string TextOf(const ASN1_TIME* time) {
  const Bio out(BIO_new(BIO_s_mem()));
  ASN1_TIME_print(out.get(), time);
  char* text = nullptr;
  const long size = BIO_get_mem_data(out.get(), &text);
  return {text, static_cast<size_t>(size)};
}

absl::Status CheckTime(const std::string& path, const X509* certificate) {
  const auto out_of_time = [&](const char* what, const ASN1_TIME* time) {
    return absl::FailedPreconditionError(absl::StrCat(format::Printable(path), ": the certificate ",
                                                      what, " ", TextOf(time),
                                                      ": renew it, or set the clock"));
  };
  const ASN1_TIME* end = X509_get0_notAfter(certificate);
  const ASN1_TIME* begin = X509_get0_notBefore(certificate);
  if (X509_cmp_current_time(end) < 0) return out_of_time("has expired on", end);
  if (X509_cmp_current_time(begin) > 0) return out_of_time("is not valid before", begin);
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> ReadPemFile(const std::string& path) {
  return format::ReadSmallFile(path, kMaxPemBytes);
}

std::vector<absl::Status> TlsFaults(const TlsFiles& files) {
  std::vector<absl::Status> faults;
  const auto add = [&faults](absl::Status status) {
    if (!status.ok()) faults.push_back(std::move(status));
  };
  if (files.certificate.empty() || files.key.empty()) {  // what there is of the two
    if (!files.certificate.empty()) add(ReadCertificate(files.certificate, "--tls-cert").status());
    if (!files.key.empty()) add(ReadKey(files.key).status());
    return faults;
  }
  const auto certificate = ReadCertificate(files.certificate, "--tls-cert");
  add(certificate.status());
  const auto key = ReadKey(files.key);
  add(key.status());
  if (certificate.ok() && key.ok()) {
    const bool match = X509_check_private_key(certificate->get(), key->get()) == 1;
    ERR_clear_error();
    if (!match) {
      add(Wrong(files.key, absl::StrCat("is not the key of the certificate in ",
                                        format::Printable(files.certificate))));
    }
  }
  if (certificate.ok()) add(CheckTime(files.certificate, certificate->get()));
  if (!files.client_ca.empty()) {
    add(ReadCertificate(files.client_ca, "--tls-client-ca").status());
  }
  return faults;
}

absl::StatusOr<std::vector<std::string>> CheckTlsFiles(const TlsFiles& files) {
  if (const std::vector<absl::Status> faults = TlsFaults(files); !faults.empty()) {
    return faults.front();
  }
  std::vector<std::string> warnings;
  struct stat info {};
  if (stat(files.key.c_str(), &info) == 0 && (info.st_mode & (S_IWGRP | S_IRWXO)) != 0) {
    warnings.push_back(
        absl::StrCat(format::Printable(files.key),
                     ": others on this machine may read or replace this key; chmod 640 or 600"));
  }
  return warnings;
}

}  // namespace seedlm::server
