// Tells in time that a certificate ends.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"

namespace seedlm::server {

// Until when a certificate serves.
struct CertificateTerm {
  int64_t not_after = 0;       // Unix time, seconds
  std::string not_after_text;  // for people
  std::string subject;         // "CN=server"
};
// Of the first certificate in a PEM text. INVALID_ARGUMENT if there is none, naming `path`.
absl::StatusOr<CertificateTerm> TermOf(const std::string& pem, const std::string& path);

inline constexpr int64_t kDaySeconds = 86'400;
inline constexpr int64_t kWarnBeforeEnd = 14 * kDaySeconds;  // seconds

// Of one certificate after the other. Not thread-safe.
class CertificateExpiry {
 public:
  struct Notice {
    bool expired = false;
    std::string message;
  };
  // What is to be told at `now` (Unix time, seconds) of the certificate that is served: in its last
  // 14 days once a day, and once when it has ended. `file`: where it came from.
  std::optional<Notice> Look(const std::string& file, const CertificateTerm& term, int64_t now);

 private:
  int64_t not_after_ = 0;  // of the certificate that the others are about
  int64_t next_ = 0;       // Unix time of the next warning
  bool told_end_ = false;
};

}  // namespace seedlm::server
