// One ArtifactStore an owner: a name of one owner's means nothing in another's.
//
//   DATA_DIR/{artifacts,uploads,s3}                of the owner "": a server without tokens
//   DATA_DIR/owners/OWNER/{artifacts,uploads,s3}   of any other
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "server/storage/artifact_store.h"
#include "server/storage/data_dir.h"

namespace seedlm::server {

// Thread-safe.
class ArtifactStores {
 public:
  // `max_owner_bytes`: ArtifactStore's max_bytes, of each. REQUIRES: `data_dir` outlives the
  // stores.
  explicit ArtifactStores(
      const DataDir& data_dir, ArtifactStore::Warn warn = [](const std::string&) {},
      int64_t max_owner_bytes = 0, FaultPoint fault_point = {})
      : data_dir_(data_dir),
        warn_(std::move(warn)),
        max_owner_bytes_(max_owner_bytes),
        fault_point_(std::move(fault_point)) {}

  // Makes the owner's directories if need be; where that fails, the store's own errors say so.
  // The reference lives as long as the stores. REQUIRES: a name that may be a directory's.
  ArtifactStore& Of(std::string_view owner);

  // Whose the artifact `id` is, for a caller who sees everything: `first` if that owner has one of
  // this id, else the first of all owners who has; none: nobody has. Ids of results are unique;
  // ids of uploads are the clients' choice.
  std::optional<std::string> Holder(std::string_view id, std::string_view first);

  // Held from the last look at what a job needs (its source, room) until it is stored, and from the
  // look whether a job needs an artifact until that is deleted.
  [[nodiscard]] std::unique_lock<std::mutex> Hold() { return std::unique_lock(hold_mutex_); }

  // ArtifactStore::SweepDeleted for all that there are.
  void SweepDeleted();

  // All who have directories here, "" among them.
  std::vector<std::string> Owners() const;

 private:
  const DataDir& data_dir_;
  const ArtifactStore::Warn warn_;
  const int64_t max_owner_bytes_;
  const FaultPoint fault_point_;
  std::mutex hold_mutex_;  // taken before any other
  std::mutex mutex_;
  std::map<std::string, std::unique_ptr<ArtifactStore>, std::less<>> stores_;  // guarded by mutex_
};

}  // namespace seedlm::server
