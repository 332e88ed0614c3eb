#include "server/storage/artifact_stores.h"

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <system_error>

namespace seedlm::server {

ArtifactStore& ArtifactStores::Of(std::string_view owner) {
  const std::lock_guard lock(mutex_);
  const auto found = stores_.find(owner);
  if (found != stores_.end()) return *found->second;
  const ArtifactFolders folders = data_dir_.FoldersOf(owner);
  for (const std::string& directory :
       {folders.path(), folders.artifacts(), folders.uploads(), folders.s3()}) {
    (void)mkdir(directory.c_str(), 0700);  // one that is there is fine; any other error comes again
  }
  auto store = std::make_unique<ArtifactStore>(folders, warn_, format::SyncDirectory,
                                               max_owner_bytes_, fault_point_);
  return *stores_.emplace(std::string(owner), std::move(store)).first->second;
}

std::vector<std::string> ArtifactStores::Owners() const {
  std::vector<std::string> owners = {""};
  std::error_code error;
  for (std::filesystem::directory_iterator it(data_dir_.owners(), error), end; !error && it != end;
       it.increment(error)) {
    std::error_code unknown;
    if (!it->is_directory(unknown) && !unknown) continue;  // somebody's file
    owners.push_back(it->path().filename().string());
  }
  std::sort(owners.begin(), owners.end());
  return owners;
}

std::optional<std::string> ArtifactStores::Holder(std::string_view id, std::string_view first) {
  if (Of(first).Content(id).ok()) return std::string(first);
  for (std::string& owner : Owners()) {
    if (Of(owner).Content(id).ok()) return std::move(owner);
  }
  return std::nullopt;
}

void ArtifactStores::SweepDeleted() {
  for (const std::string& owner : Owners()) Of(owner).SweepDeleted();
}

}  // namespace seedlm::server
