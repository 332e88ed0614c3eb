// Outputs on a file system of this machine: published by one rename.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/storage/publisher.h"
#include "server/storage/tree.h"

namespace seedlm::server {

class RenamePublisher final : public Publisher {
 public:
  explicit RenamePublisher(SinkTarget target, SyncFunction sync = format::SyncDirectory)
      : target_(std::move(target)), sync_(std::move(sync)) {}
  static absl::StatusOr<std::unique_ptr<Publisher>> Make(const SinkTarget& target);

  // The inode that was to be renamed has the final name (a result: something has), and every file
  // has its sum.
  absl::StatusOr<bool> WasPublished(const std::string& intent, const std::vector<StoredFile>& files,
                                    std::stop_token stop) override;
  // Errors: those of CheckTarget.
  absl::Status Begin(const Staging& staging) override;
  absl::Status RangeIsFinal(const FinalRange&) override { return absl::OkStatus(); }
  absl::StatusOr<std::string> Intent() override;
  // Errors: those of CheckTarget, and of the rename.
  absl::Status Publish(const std::vector<StoredFile>& files, std::stop_token stop) override;
  absl::Status warning() const override { return warning_; }
  void KeepOpen() override {}  // nothing is
  absl::Status Abandon() override { return absl::OkStatus(); }
  absl::Status Discard() override { return RemoveLeftovers(target_); }

 private:
  std::string Staged() const;  // what is renamed: the directory, or the file in it

  const SinkTarget target_;
  const SyncFunction sync_;
  Staging staging_;  // from Begin
  absl::Status warning_;
};

}  // namespace seedlm::server
