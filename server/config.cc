#include "server/config.h"

#include <cstdlib>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/listen_address.h"
#include "server/settings.h"

namespace seedlm::server {
namespace {

absl::Status CheckListen(const std::string& text, const ServerOptions& options) {
  const absl::StatusOr<ListenAddress> address = ParseListenAddress(text);
  if (!address.ok()) return address.status();
  if (address->is_local() || options.tls.on() || options.insecure) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("refusing to listen on ", address->ToString(),
                   ", which other machines reach, without encryption: give --tls-cert "
                   "and --tls-key, use 127.0.0.1 or unix:PATH, or allow it with --insecure"));
}

// The second could not be bound.
absl::Status CheckListenTwice(const std::vector<std::string>& texts) {
  std::set<std::string> known;
  for (const std::string& text : texts) {
    const absl::StatusOr<ListenAddress> address = ParseListenAddress(text);
    if (!address.ok() || (!address->is_unix && address->port == 0)) continue;  // 0: any free one
    if (known.insert(address->ToString()).second) continue;
    return absl::InvalidArgumentError(
        absl::StrCat("--listen ", text, " is given twice: leave one out"));
  }
  return absl::OkStatus();
}

absl::Status CheckMetrics(const std::string& text, bool insecure) {
  if (text.empty()) return absl::OkStatus();
  const absl::StatusOr<ListenAddress> address = ParseListenAddress(text);
  if (HasPortTooLarge(text)) {
    return absl::InvalidArgumentError(absl::StrCat("--metrics ", text, ": ports go to 65535"));
  }
  if (!address.ok() || address->is_unix) {
    return absl::InvalidArgumentError(
        absl::StrCat("--metrics ", text, " is not of the form HOST:PORT or [IPV6]:PORT"));
  }
  if (address->is_local() || insecure) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("refusing to serve metrics on ", address->ToString(),
                   ", which other machines reach, without encryption: use 127.0.0.1, or allow it "
                   "with --insecure"));
}

absl::Status CheckTls(const TlsFiles& files) {
  if (!files.on() || (!files.certificate.empty() && !files.key.empty())) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(files.certificate.empty() ? "--tls-cert" : "--tls-key",
                   " is missing: TLS needs --tls-cert FILE and --tls-key FILE"));
}

}  // namespace

const char* const kVersion = SEEDLM_VERSION;

std::string DefaultIndexCache() {
  const char* caches = std::getenv("XDG_CACHE_HOME");
  if (caches != nullptr && caches[0] == '/') return absl::StrCat(caches, "/seedlm");
  const char* home = std::getenv("HOME");
  return home != nullptr && home[0] == '/' ? absl::StrCat(home, "/.cache/seedlm") : "";
}

std::vector<absl::Status> FaultsOf(const ServerOptions& options) {
  std::vector<absl::Status> faults;
  const auto add = [&faults](absl::Status status) {
    if (!status.ok()) faults.push_back(std::move(status));
  };
  if (options.data_dir.empty()) add(absl::InvalidArgumentError("--data-dir is missing"));
  for (const Setting& setting : Settings()) {
    const absl::Status status = setting.type->Check(options);
    if (status.ok()) continue;
    add(absl::InvalidArgumentError(absl::StrCat("--", setting.name, ": ", status.message())));
  }
  add(CheckTls(options.tls));
  for (const std::string& text : options.listen) add(CheckListen(text, options));
  add(CheckListenTwice(options.listen));
  add(CheckMetrics(options.metrics, options.insecure));
  return faults;
}

absl::Status CheckOptions(const ServerOptions& options) {
  const std::vector<absl::Status> faults = FaultsOf(options);
  return faults.empty() ? absl::OkStatus() : faults.front();
}

}  // namespace seedlm::server
