#include "server/auth/tls_mirror.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <ctime>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/format/atomic_file.h"
#include "kernels/format/text.h"

namespace seedlm::server {
namespace {

constexpr char kName[] = "seedlm-tls";

std::string PathOf(int fd) { return absl::StrCat("/proc/self/fd/", fd); }

// `text` in a memory file under the number `fd`; -1: a new one, which is the answer.
absl::StatusOr<int> Put(const std::string& text, int fd) {
  const auto failed = [](int error, int unused) -> absl::Status {
    if (unused >= 0) close(unused);
    return format::ErrnoToStatus(error, kName, "keep in memory");
  };
  const int made = memfd_create(kName, MFD_CLOEXEC);
  if (made < 0) return failed(errno, -1);
  for (size_t done = 0; done < text.size();) {
    const ssize_t count = write(made, text.data() + done, text.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return failed(errno, made);
    done += static_cast<size_t>(count);
  }
  if (fd < 0) return made;
  if (dup3(made, fd, O_CLOEXEC) < 0) return failed(errno, made);
  close(made);
  return fd;
}

}  // namespace

absl::StatusOr<std::unique_ptr<TlsMirror>> TlsMirror::Open(const TlsFiles& files,
                                                           std::chrono::milliseconds refresh,
                                                           Reports reports) {
  std::unique_ptr<TlsMirror> mirror(new TlsMirror(files, std::move(reports)));
  const absl::StatusOr<Texts> texts = mirror->Read();
  if (!texts.ok()) return texts.status();
  if (absl::Status status = mirror->Take(*texts); !status.ok()) return status;
  mirror->TellExpiry();
  mirror->thread_ = std::jthread([mirror = mirror.get(), refresh](const std::stop_token& stop) {
    std::mutex mutex;
    std::condition_variable_any wake;
    std::unique_lock lock(mutex);
    while (!stop.stop_requested()) {
      wake.wait_for(lock, stop, refresh, [] { return false; });
      if (!stop.stop_requested()) mirror->Refresh();
    }
  });
  return mirror;
}

TlsMirror::~TlsMirror() {
  thread_ = {};  // joins
  if (identity_ >= 0) close(identity_);
  if (client_ca_ >= 0) close(client_ca_);
}

TlsFiles TlsMirror::copies() const {
  return {PathOf(identity_), PathOf(identity_), client_ca_ < 0 ? "" : PathOf(client_ca_)};
}

// What is read is what is checked: files may be replaced in between.
absl::StatusOr<TlsMirror::Texts> TlsMirror::Read() const {
  const absl::StatusOr<std::string> certificate = ReadPemFile(files_.certificate);
  if (!certificate.ok()) return certificate.status();
  const absl::StatusOr<std::string> key = ReadPemFile(files_.key);
  if (!key.ok()) return key.status();
  Texts texts{absl::StrCat(*key, "\n", *certificate), ""};
  if (!files_.client_ca.empty()) {
    absl::StatusOr<std::string> authorities = ReadPemFile(files_.client_ca);
    if (!authorities.ok()) return authorities.status();
    texts.client_ca = *std::move(authorities);
  }
  return texts;
}

absl::Status TlsMirror::Take(const Texts& texts) {
  if (absl::Status status = CheckTlsFiles(files_).status(); !status.ok()) return status;
  const absl::StatusOr<Texts> again = Read();
  if (!again.ok()) return again.status();
  if (!(*again == texts)) {
    return absl::UnavailableError(
        absl::StrCat(format::Printable(files_.certificate), ": is being replaced"));
  }
  absl::StatusOr<CertificateTerm> term = TermOf(texts.identity, files_.certificate);
  if (!term.ok()) return term.status();
  const absl::StatusOr<int> identity = Put(texts.identity, identity_);
  if (!identity.ok()) return identity.status();
  identity_ = *identity;
  if (!texts.client_ca.empty()) {
    const absl::StatusOr<int> client_ca = Put(texts.client_ca, client_ca_);
    if (!client_ca.ok()) return client_ca.status();
    client_ca_ = *client_ca;
  }
  taken_ = texts;
  term_ = *std::move(term);
  not_after_ = term_.not_after;
  return absl::OkStatus();
}

void TlsMirror::Refresh() {
  TakeNew();
  TellExpiry();
}

void TlsMirror::TellExpiry() {
  const auto notice = expiry_.Look(files_.certificate, term_, std::time(nullptr));
  if (!notice.has_value()) return;
  (notice->expired ? reports_.error : reports_.warn)(notice->message);
}

void TlsMirror::TakeNew() {
  const absl::StatusOr<Texts> texts = Read();
  if (texts.ok() && *texts == taken_) return;
  const absl::Status status = texts.ok() ? Take(*texts) : texts.status();
  const std::string why(status.message());
  if (status.ok()) {
    reports_.inform(absl::StrCat(format::Printable(files_.certificate), ": read again"));
  } else if (why != why_) {
    reports_.warn(absl::StrCat("the certificate stays as it was: ", why));
  }
  why_ = why;
}

}  // namespace seedlm::server
