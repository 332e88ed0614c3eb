// ArtifactStore: what there is, and how it goes away.
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <set>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/format/atomic_file.h"
#include "server/errors/reason.h"
#include "server/storage/artifact_store.h"
#include "server/storage/tree.h"

namespace seedlm::server {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kDeletedPrefix = ".deleted-";  // no id begins with a dot

// Walking through a hundred thousand files takes a moment: not for every chunk.
constexpr std::chrono::seconds kMeasureAgain{10};
constexpr std::chrono::seconds kMeasureBeforeRefusing{1};

// Calls `take(relative path, bytes)` for each file below `directory`. Nothing there is OK.
template <class Take>
absl::Status ForEachFile(const std::string& directory, const Take& take) {
  std::error_code error;
  for (fs::recursive_directory_iterator it(directory, error), end; !error && it != end;
       it.increment(error)) {
    std::error_code gone;  // a file may be finished or deleted meanwhile
    if (!it->is_regular_file(gone)) continue;
    const uintmax_t size = it->file_size(gone);
    if (!gone) {
      take(it->path().lexically_relative(directory).string(), static_cast<int64_t>(size));
    }
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    return format::ErrnoToStatus(error.value(), directory, "list");
  }
  return absl::OkStatus();
}

// Whose a file below the directory of artifacts, or of S3, is: of "ID/.." or, staged,
// ".ID.ID.seedlm-partial/..".
std::string IdOfPath(const std::string& path) {
  const size_t begin = path.starts_with('.') ? 1 : 0;
  return path.substr(begin, path.find_first_of("./", begin) - begin);
}

absl::Status CheckLimit(int64_t used, int64_t more, int64_t limit) {
  if (more <= limit - used) return absl::OkStatus();  // `more` may be anything
  return WithReason(absl::ResourceExhaustedError(
                        absl::StrCat("artifacts of this owner have ", used,
                                     " bytes, with what its jobs will make and keep, and ", more,
                                     " more are over the limit of ", limit,
                                     ": delete artifacts and jobs that are not needed any more")),
                    "OWNER_BYTES", {{"limit", absl::StrCat(limit)}});
}

// Gives a directory a name that is no artifact's; false if there is none.
absl::StatusOr<bool> MoveAway(const std::string& parent, std::string_view id) {
  const std::string from = absl::StrCat(parent, "/", std::string(id));
  if (!Exists(from)) return false;
  const std::string to = absl::StrCat(parent, "/", std::string(kDeletedPrefix), std::string(id));
  absl::Status status = RemoveTree(to);  // of a server that was killed
  if (status.ok()) status = RenameNoReplace(from, to);
  if (!status.ok()) return status;
  return true;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ArtifactStore::ListIds(std::string_view after,
                                                                size_t limit) const {
  std::set<std::string> ids;
  for (const std::string& parent : {folders_.artifacts(), folders_.uploads()}) {
    std::error_code error;
    for (fs::directory_iterator it(parent, error), end; !error && it != end; it.increment(error)) {
      std::string id = it->path().filename().string();
      if (id > after && ParseArtifactName("artifacts/" + id, "").ok()) ids.insert(std::move(id));
    }
    if (error) return NotHere(format::ErrnoToStatus(error.value(), parent, "list"));
  }
  std::vector<std::string> page(ids.begin(), ids.end());
  if (page.size() > limit) page.resize(limit);
  return page;
}

absl::StatusOr<ArtifactContent> ArtifactStore::Content(std::string_view id) const {
  const std::string final_directory = ResultPath(id);
  const std::string partial_directory = absl::StrCat(folders_.uploads(), "/", std::string(id));
  ArtifactContent content;
  content.id = std::string(id);
  content.is_result = Exists(absl::StrCat(final_directory, "/", std::string(kResultMarker)));
  const bool there = Exists(final_directory) || Exists(partial_directory);
  absl::Status status = ForEachFile(final_directory, [&](std::string path, int64_t size) {
    if (path != kResultMarker) content.files.push_back({std::move(path), size});
  });
  if (status.ok()) {
    status = ForEachFile(partial_directory, [&](const std::string&, int64_t size) {
      content.arriving_bytes += size;
      ++content.arriving_files;
    });
  }
  if (!status.ok()) return status;
  if (!there) {
    return NotHere(
        absl::NotFoundError(absl::StrCat("artifacts/", std::string(id), ": no such artifact")));
  }
  std::sort(content.files.begin(), content.files.end(),
            [](const ArtifactEntry& a, const ArtifactEntry& b) { return a.path < b.path; });
  return content;
}

absl::StatusOr<int64_t> ArtifactStore::LastWritten(std::string_view id) const {
  int64_t latest = -1;
  const auto look = [&latest](const std::string& path) {
    struct stat info {};  // what is gone meanwhile was written to before
    if (lstat(path.c_str(), &info) != 0) return;
    latest = std::max(latest, info.st_mtim.tv_sec * int64_t{1'000'000'000} + info.st_mtim.tv_nsec);
  };
  for (const std::string& parent : {folders_.artifacts(), folders_.uploads()}) {
    const std::string directory = absl::StrCat(parent, "/", std::string(id));
    look(directory);
    std::error_code error;
    for (fs::recursive_directory_iterator it(directory, error), end; !error && it != end;
         it.increment(error)) {
      look(it->path().string());
    }
    if (error && error != std::errc::no_such_file_or_directory) {
      return format::ErrnoToStatus(error.value(), directory, "list");
    }
  }
  if (latest < 0) {
    return NotHere(
        absl::NotFoundError(absl::StrCat("artifacts/", std::string(id), ": no such artifact")));
  }
  return latest;
}

absl::StatusOr<int64_t> ArtifactStore::MeasureLocked(std::string_view without) const {
  int64_t used = 0;
  const auto add_output = [&](const std::string& path, int64_t size) {
    const std::string id = IdOfPath(path);
    if (id != without && !promised_.contains(id)) used += size;
  };
  absl::Status status = ForEachFile(folders_.artifacts(), add_output);
  if (status.ok()) {
    status = ForEachFile(folders_.s3(), [&](const std::string& path, int64_t size) {
      if (path.starts_with('.')) add_output(path, size);  // else a ledger
    });
  }
  if (status.ok()) {
    status =
        ForEachFile(folders_.uploads(), [&](const std::string&, int64_t size) { used += size; });
  }
  if (!status.ok()) return status;
  for (const auto& [id, bytes] : promised_) used += bytes;
  return used;
}

absl::Status ArtifactStore::CheckRoomLocked(int64_t bytes) {
  if (max_bytes_ == 0) return absl::OkStatus();
  const auto age = std::chrono::steady_clock::now() - measured_;
  if (measured_ == std::chrono::steady_clock::time_point() || age > kMeasureAgain ||
      (bytes > max_bytes_ - used_bytes_ && age > kMeasureBeforeRefusing)) {
    const absl::StatusOr<int64_t> used = MeasureLocked("");
    if (!used.ok()) return used.status();
    used_bytes_ = *used;
    measured_ = std::chrono::steady_clock::now();
  }
  return CheckLimit(used_bytes_, bytes, max_bytes_);
}

absl::Status ArtifactStore::CheckRoom(int64_t bytes, std::string_view id) {
  const std::lock_guard lock(usage_mutex_);
  if (id.empty() || max_bytes_ == 0) return CheckRoomLocked(bytes);
  const absl::StatusOr<int64_t> used = MeasureLocked(id);
  return used.ok() ? CheckLimit(*used, bytes, max_bytes_) : used.status();
}

absl::Status ArtifactStore::Charge(int64_t bytes) {
  const std::lock_guard lock(usage_mutex_);
  absl::Status status = CheckRoomLocked(bytes);
  if (status.ok()) used_bytes_ += bytes;
  return status;
}

absl::Status ArtifactStore::Delete(std::string_view id, std::unique_lock<std::mutex> held) {
  const std::string name = absl::StrCat("artifacts/", std::string(id));
  {
    // With the lock: no upload opens a file of it between the look and the renaming.
    const std::lock_guard lock(mutex_);
    const std::string uploads = absl::StrCat(folders_.uploads(), "/", std::string(id), "/");
    const auto open = open_.lower_bound(uploads);
    if (open != open_.end() && open->starts_with(uploads)) {
      return UploadBusy(name, "a file of it is being uploaded");
    }
    if (reserved_.contains(std::string(id))) {
      return WithReason(absl::FailedPreconditionError(absl::StrCat(
                            name, ": a job that has not ended makes it; cancel the job first")),
                        "ARTIFACT_IN_USE");
    }
    const absl::StatusOr<bool> finished = MoveAway(folders_.artifacts(), id);
    if (!finished.ok()) return finished.status();
    Reach(fault_point_, "artifact.hidden");
    const absl::StatusOr<bool> arriving = MoveAway(folders_.uploads(), id);
    if (!arriving.ok()) return arriving.status();
    if (!*finished && !*arriving) {
      return NotHere(absl::NotFoundError(absl::StrCat(name, ": no such artifact")));
    }
  }
  held = {};
  Reach(fault_point_, "artifact.gone");
  // It is gone; room is made afterwards. Readers that are open keep what they read.
  for (const std::string& parent : {folders_.artifacts(), folders_.uploads()}) {
    absl::Status status =
        RemoveTree(absl::StrCat(parent, "/", std::string(kDeletedPrefix), std::string(id)));
    Reach(fault_point_, "artifact.removed");
    if (status.ok()) status = sync_(parent);
    if (!status.ok()) warn_(absl::StrCat(name, " was deleted: ", status.ToString()));
  }
  return absl::OkStatus();
}

void ArtifactStore::SweepDeleted() const {
  for (const std::string& parent : {folders_.artifacts(), folders_.uploads()}) {
    std::error_code error;
    std::vector<std::string> deleted;
    for (fs::directory_iterator it(parent, error), end; !error && it != end; it.increment(error)) {
      if (it->path().filename().string().starts_with(kDeletedPrefix)) {
        deleted.push_back(it->path().string());
      }
    }
    for (const std::string& path : deleted) {
      if (absl::Status status = RemoveTree(path); !status.ok()) warn_(status.ToString());
    }
  }
}

}  // namespace seedlm::server
