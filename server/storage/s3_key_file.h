// The file of S3's keys of a running server: read at the start, and again when it has changed.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "kernels/format/file_watch.h"
#include "server/storage/s3/signature_v4.h"

namespace seedlm::server {

// Thread-safe. As the tokens' file: short-lived keys are renewed without a restart.
class S3KeyFile {
 public:
  // Told what an operator should know, never a key: a file that is wrong now; that it was read
  // again.
  struct Reports {
    std::function<void(const std::string& message)> warn;
    std::function<void(const std::string& message)> inform = [](const std::string&) {};
  };

  // Errors: those of ReadS3Credentials.
  static absl::StatusOr<std::unique_ptr<S3KeyFile>> Open(const std::string& path,
                                                         const std::string& profile,
                                                         Reports reports);

  // The keys as the file has them; it is looked at (stat) once a second at most, by whoever asks
  // then. A file that is gone or wrong is warned of once, and the keys stay as they were.
  s3::Credentials Keys();

  // Reads the file now, changed or not. Its error is returned, and the keys stay as they were.
  absl::Status Reload();

 private:
  S3KeyFile(std::string path, std::string profile, Reports reports)
      : path_(std::move(path)),
        profile_(std::move(profile)),
        reports_(std::move(reports)),
        watch_(path_) {}
  absl::Status ReadLocked();  // REQUIRES: mutex_ is held

  const std::string path_;
  const std::string profile_;
  const Reports reports_;
  std::mutex mutex_;  // guards all below
  format::FileWatch watch_;
  s3::Credentials keys_;
};

}  // namespace seedlm::server
