#include "server/storage/s3_key_file.h"

#include "absl/strings/str_cat.h"
#include "kernels/format/text.h"
#include "server/storage/s3_credentials.h"

namespace seedlm::server {

absl::StatusOr<std::unique_ptr<S3KeyFile>> S3KeyFile::Open(const std::string& path,
                                                           const std::string& profile,
                                                           Reports reports) {
  std::unique_ptr<S3KeyFile> file(new S3KeyFile(path, profile, std::move(reports)));
  absl::Status status;
  {
    const std::lock_guard lock(file->mutex_);
    status = file->ReadLocked();
  }
  if (!status.ok()) return status;
  return file;
}

absl::Status S3KeyFile::ReadLocked() {
  watch_.Begin();
  absl::StatusOr<s3::Credentials> keys = ReadS3Credentials(path_, profile_);
  if (!keys.ok()) return keys.status();
  keys_ = *std::move(keys);
  return absl::OkStatus();
}

absl::Status S3KeyFile::Reload() {
  const std::lock_guard lock(mutex_);
  absl::Status status = ReadLocked();
  if (status.ok()) {
    reports_.inform(absl::StrCat(format::Printable(path_), ": the keys of S3 were read again"));
  }
  return status;
}

s3::Credentials S3KeyFile::Keys() {
  const std::lock_guard lock(mutex_);
  if (!watch_.Changed()) return keys_;
  if (absl::Status status = ReadLocked(); !status.ok()) {
    reports_.warn(
        absl::StrCat("the keys of S3 stay as they were: ", std::string(status.message())));
  } else {
    reports_.inform(absl::StrCat(format::Printable(path_), ": the keys of S3 were read again"));
  }
  return keys_;
}

}  // namespace seedlm::server
