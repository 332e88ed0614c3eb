#include "server/auth/certificate_expiry.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <ctime>
#include <memory>

#include "absl/strings/str_cat.h"
#include "kernels/format/text.h"

namespace seedlm::server {
namespace {

using MemoryBio = std::unique_ptr<BIO, decltype(&BIO_free)>;

std::string TextIn(BIO* out) {
  char* text = nullptr;
  const long size = BIO_get_mem_data(out, &text);
  return {text, static_cast<size_t>(size)};
}

std::string Left(int64_t seconds) {
  const int64_t days = seconds / kDaySeconds;
  if (days == 0) return "in less than a day";
  return absl::StrCat("in ", days, days == 1 ? " day" : " days");
}

}  // namespace

absl::StatusOr<CertificateTerm> TermOf(const std::string& pem, const std::string& path) {
  const MemoryBio in(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), &BIO_free);
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(
      PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr), &X509_free);
  ERR_clear_error();
  std::tm end{};
  if (certificate == nullptr || ASN1_TIME_to_tm(X509_get0_notAfter(certificate.get()), &end) != 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(format::Printable(path), ": holds no certificate in PEM form"));
  }
  const MemoryBio time(BIO_new(BIO_s_mem()), &BIO_free);
  ASN1_TIME_print(time.get(), X509_get0_notAfter(certificate.get()));
  const MemoryBio subject(BIO_new(BIO_s_mem()), &BIO_free);
  X509_NAME_print_ex(subject.get(), X509_get_subject_name(certificate.get()), 0, XN_FLAG_RFC2253);
  return CertificateTerm{timegm(&end), TextIn(time.get()), TextIn(subject.get())};
}

std::optional<CertificateExpiry::Notice> CertificateExpiry::Look(const std::string& file,
                                                                 const CertificateTerm& term,
                                                                 int64_t now) {
  if (term.not_after != not_after_) *this = {};
  not_after_ = term.not_after;
  const int64_t left = term.not_after - now;
  const std::string certificate = absl::StrCat(format::Printable(file), ": the certificate of ",
                                               format::Printable(term.subject));
  if (left <= 0) {
    if (told_end_) return std::nullopt;
    told_end_ = true;
    return Notice{true, absl::StrCat(certificate, " has expired on ", term.not_after_text,
                                     ", and clients refuse it: renew it, which needs no restart")};
  }
  if (left >= kWarnBeforeEnd || now < next_) return std::nullopt;
  next_ = now + kDaySeconds;
  return Notice{false, absl::StrCat(certificate, " expires ", Left(left), ", on ",
                                    term.not_after_text, ": renew it, which needs no restart")};
}

}  // namespace seedlm::server
