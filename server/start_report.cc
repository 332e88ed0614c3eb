#include "server/start_report.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "server/jobs/sqlite.h"
#include "server/listen_address.h"

namespace seedlm::server {
namespace {

namespace fs = std::filesystem;

// The log of the database, and what is copied from it into the database when it is opened.
constexpr int kRoomForStartMiB = 16;

bool IsRemotePlaintext(const std::string& text, const ServerOptions& options) {
  const absl::StatusOr<ListenAddress> address = ParseListenAddress(text);
  return address.ok() && !address->is_local() && !options.tls.on();
}

bool HasRemotePlaintext(const ServerOptions& options) {
  return std::any_of(options.listen.begin(), options.listen.end(),
                     [&](const std::string& text) { return IsRemotePlaintext(text, options); });
}

// 0, or why a file cannot be made in `directory`, which may have to be made itself.
int WhyNotWritable(fs::path directory) {
  std::error_code error;
  while (!fs::exists(directory, error) && directory.has_relative_path()) {
    directory = directory.parent_path();
  }
  if (!fs::is_directory(directory, error)) return ENOTDIR;
  return faccessat(AT_FDCWD, directory.c_str(), W_OK | X_OK, AT_EACCESS) == 0 ? 0 : errno;
}

std::string CallersOf(const ServerOptions& options, size_t tokens) {
  std::vector<std::string> ways;
  if (!options.tls.client_ca.empty()) ways.emplace_back("client certificates (not on unix:)");
  ways.push_back(options.tokens.empty()
                     ? std::string("no tokens: who can connect may do everything")
                     : std::string(absl::StrCat(tokens, tokens == 1 ? " token" : " tokens")));
  return absl::StrJoin(ways, ", ");
}

// How long what clients leave behind stays.
std::string KeptOf(const ServerOptions& options) {
  const auto life = [](std::chrono::milliseconds keep) {
    return keep.count() > 0 ? absl::StrCat(keep.count() / 1000, " s") : std::string("for ever");
  };
  return absl::StrCat("kept: jobs and results ", life(options.retain_jobs), ", uploads ",
                      life(options.retain_uploads));
}

}  // namespace

backend::IndexOptions IndexOptionsOf(const ServerOptions& options) {
  return {options.search == "exhaustive" ? 0 : options.index_memory, options.index_cache};
}

std::vector<std::string> WarningsOf(const ServerOptions& options) {
  std::vector<std::string> warnings;
  for (const std::string& text : options.listen) {
    if (!IsRemotePlaintext(text, options) || !options.tokens.empty()) continue;
    warnings.push_back(absl::StrCat(
        text,
        ": other machines reach it, in plaintext and without tokens: who can connect may do "
        "everything; give --tls-cert and --tls-key, and --tokens or --tls-client-ca"));
  }
  const backend::IndexOptions index = IndexOptionsOf(options);
  if (index.memory == 0 || index.cache.empty()) return warnings;
  if (const int error = WhyNotWritable(index.cache); error != 0) {
    warnings.push_back(absl::StrCat(index.cache, ": ", std::strerror(error),
                                    ": the index of the search is not kept there, and is built "
                                    "again after each start; mend index-cache, or give \"\""));
  }
  return warnings;
}

std::string StartLine(const ServerOptions& options, const StartFacts& facts) {
  const std::string roots = absl::StrJoin(options.storage_roots, " ");
  return absl::StrCat(
      "seedlm-server ", kVersion, ", process ", getpid(), ": data in ", options.data_dir, "; ",
      facts.threads, (facts.threads == 1 ? " thread" : " threads"), ", up to ", facts.memory >> 20,
      " MiB of memory for work; file:// ", roots.empty() ? "nowhere" : "below " + roots, "; s3:// ",
      facts.s3.empty() ? "nowhere, as there are no keys" : "at " + facts.s3, "; ", KeptOf(options),
      "; ", CallersOf(options, facts.tokens), "; TLS ", options.tls.on() ? "on" : "off",
      HasRemotePlaintext(options) ? ", PLAINTEXT IS OPEN TO THE NETWORK" : "");
}

absl::Status ForStart(const absl::Status& status, const std::string& data_dir) {
  if (!absl::IsResourceExhausted(status)) return status;
  return absl::ResourceExhaustedError(
      absl::StrCat(absl::StrReplaceAll(status.message(), {{kMakeRoom, ""}}),
                   "; a start needs up to ", kRoomForStartMiB,
                   " MiB there: give the disk more room, or, as no server runs, remove uploads ",
                   "and results that are not needed any more, which are the directories in ",
                   data_dir, "/uploads and /artifacts (of owners in /owners/OWNER)"));
}

}  // namespace seedlm::server
