#include "server/auth/token_file.h"

#include <sys/stat.h>

#include "absl/strings/str_cat.h"
#include "kernels/format/atomic_file.h"
#include "kernels/format/text.h"

namespace seedlm::server {
namespace {

constexpr uint64_t kMaxFileBytes = 2 << 20;

}  // namespace

absl::StatusOr<std::unique_ptr<TokenFile>> TokenFile::Open(const std::string& path,
                                                           Reports reports) {
  std::unique_ptr<TokenFile> file(new TokenFile(path, std::move(reports)));
  if (absl::Status status = file->Reload(); !status.ok()) return status;
  return file;
}

absl::Status TokenFile::Reload() {
  const std::lock_guard lock(mutex_);
  return ReloadLocked();
}

absl::Status TokenFile::ReloadLocked() {
  watch_.Begin();
  const absl::StatusOr<std::string> text = format::ReadSmallFile(path_, kMaxFileBytes);
  if (!text.ok()) return text.status();
  absl::StatusOr<TokenTable> table = TokenTable::Parse(*text, path_);
  if (!table.ok()) return table.status();
  struct stat info {};
  if (stat(path_.c_str(), &info) == 0 && (info.st_mode & (S_IWGRP | S_IRWXO)) != 0) {
    reports_.warn(
        absl::StrCat(format::Printable(path_),
                     ": others on this machine may read or change the tokens' digests; chmod 600"));
  }
  table_ = std::make_shared<const TokenTable>(*std::move(table));
  reports_.inform(absl::StrCat(format::Printable(path_), ": ", table_->size(),
                               table_->size() == 1 ? " token" : " tokens", " read"));
  return absl::OkStatus();
}

std::shared_ptr<const TokenTable> TokenFile::Table() {
  const std::lock_guard lock(mutex_);
  if (!watch_.Changed()) return table_;
  if (absl::Status status = ReloadLocked(); !status.ok()) {
    reports_.warn(absl::StrCat("tokens stay as they were: ", std::string(status.message())));
  }
  return table_;
}

}  // namespace seedlm::server
