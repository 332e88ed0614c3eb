#include "server/storage/artifact_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "kernels/format/atomic_file.h"
#include "kernels/format/page_cache.h"
#include "kernels/format/text.h"
#include "server/errors/reason.h"
#include "server/storage/tree.h"

namespace seedlm::server {
namespace {

namespace fs = std::filesystem;

std::string ResourceName(const ArtifactFile& file) {
  return absl::StrCat("artifacts/", file.id, "/files/", file.path);
}

// Some file below `directory`, relative; empty if there is none.
std::string AnyFileBelow(const std::string& directory) {
  std::error_code error;
  for (fs::recursive_directory_iterator it(directory, error), end; !error && it != end;
       it.increment(error)) {
    if (!it->is_directory(error)) return it->path().lexically_relative(directory).string();
  }
  return "";
}

// The name of the one *.safetensors in `directory` if there is nothing else; empty otherwise.
std::string OnlyFileOf(const std::string& directory) {
  std::error_code error;
  std::string only;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name == kResultMarker) continue;
    if (!only.empty() || !it->is_regular_file(error) || !name.ends_with(".safetensors")) return "";
    only = name;
  }
  return error ? "" : only;
}

}  // namespace

std::string ArtifactStore::FinalPath(const ArtifactFile& file) const {
  return absl::StrCat(folders_.artifacts(), "/", file.id, "/", file.path);
}

std::string ArtifactStore::PartialPath(const ArtifactFile& file) const {
  return absl::StrCat(folders_.uploads(), "/", file.id, "/", file.path);
}

std::string ArtifactStore::ResultPath(std::string_view id) const {
  return absl::StrCat(folders_.artifacts(), "/", std::string(id));
}

std::string ArtifactStore::S3StagingPath(std::string_view id) const {
  return absl::StrCat(folders_.s3(), "/", std::string(id));
}

ResultReservation::ResultReservation(ResultReservation&& other) noexcept
    : store_(std::exchange(other.store_, nullptr)), id_(std::move(other.id_)) {}

ResultReservation& ResultReservation::operator=(ResultReservation&& other) noexcept {
  std::swap(store_, other.store_);
  std::swap(id_, other.id_);
  return *this;
}

ResultReservation::~ResultReservation() {
  if (store_ == nullptr) return;
  {
    const std::lock_guard lock(store_->usage_mutex_);
    store_->promised_.erase(id_);
    store_->measured_ = {};  // what there is of it counts now
  }
  const std::lock_guard lock(store_->mutex_);
  store_->reserved_.erase(id_);
}

ResultReservation ArtifactStore::ReserveRoom(std::string_view id, int64_t bytes) {
  std::string key(id);
  const std::lock_guard lock(usage_mutex_);
  promised_[key] = bytes;
  measured_ = {};
  return ResultReservation(this, std::move(key));
}

ResultReservation ArtifactStore::ReserveResult(std::string_view id, int64_t bytes) {
  ResultReservation reservation = ReserveRoom(id, bytes);
  const std::lock_guard lock(mutex_);
  reserved_.emplace(id);
  return reservation;
}

absl::Status ArtifactStore::CheckNoResult(const ArtifactFile& file) const {
  const std::string mark = absl::StrCat(ResultPath(file.id), "/", std::string(kResultMarker));
  if (!reserved_.contains(file.id) && !Exists(mark)) return absl::OkStatus();
  return WithReason(
      absl::FailedPreconditionError(absl::StrCat(
          ResourceName(file), ": this artifact is the result of a job; upload to another id")),
      "ARTIFACT_FINISHED");
}

absl::StatusOr<Upload> ArtifactStore::OpenUpload(const ArtifactFile& file) {
  const std::string partial = PartialPath(file);
  const std::lock_guard lock(mutex_);
  if (open_.contains(partial)) {
    return UploadBusy(ResourceName(file), "another stream is writing this file");
  }
  if (absl::Status status = CheckNoResult(file); !status.ok()) return status;
  if (Exists(FinalPath(file))) {
    return WithReason(absl::FailedPreconditionError(absl::StrCat(
                          ResourceName(file), ": is finished already; upload to another id")),
                      "ARTIFACT_FINISHED");
  }
  absl::Status made = MakeDirectories(folders_.uploads(), ParentOf(partial), kOwnDirectory);
  if (!made.ok()) return NotHere(std::move(made));
  Upload upload;
  upload.fd_ =
      UniqueFd(open(partial.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!upload.fd_) return format::ErrnoToStatus(errno, partial, "create");
  struct stat info {};
  if (fstat(upload.fd_.get(), &info) != 0) return format::ErrnoToStatus(errno, partial, "examine");
  upload.size_ = info.st_size;
  upload.resumed_ = info.st_size > 0;
  upload.file_ = file;
  upload.store_ = this;
  open_.insert(partial);
  return upload;
}

void ArtifactStore::Close(const ArtifactFile& file) {
  const std::string partial = PartialPath(file);
  const std::lock_guard lock(mutex_);
  open_.erase(partial);
  if (Exists(partial)) return;  // to be resumed
  // Directories that this upload leaves empty; rmdir stops at the first that is not.
  for (std::string directory = ParentOf(partial);
       directory != folders_.uploads() && rmdir(directory.c_str()) == 0;) {
    directory = ParentOf(directory);
  }
}

absl::StatusOr<WriteStatus> ArtifactStore::QueryWriteStatus(const ArtifactFile& file) const {
  struct stat info {};
  if (stat(FinalPath(file).c_str(), &info) == 0 && S_ISREG(info.st_mode)) {
    return WriteStatus{info.st_size, true};
  }
  if (stat(PartialPath(file).c_str(), &info) == 0 && S_ISREG(info.st_mode)) {
    return WriteStatus{info.st_size, false};
  }
  return NotHere(absl::NotFoundError(
      absl::StrCat(ResourceName(file), ": nothing of this file has arrived; start at offset 0")));
}

absl::StatusOr<ArtifactReader> ArtifactStore::OpenRead(const ArtifactFile& file,
                                                       int64_t offset) const {
  const std::string path = FinalPath(file);
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat info {};
  if (!fd || fstat(fd.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return NotHere(absl::NotFoundError(absl::StrCat(
        ResourceName(file), Exists(PartialPath(file))
                                ? ": is not finished; finish its upload first"
                                : ": no such file; if it is of a job's result, that is "
                                  "damaged on the server: compress it again")));
  }
  if (offset < 0 || offset > info.st_size) {
    return WithDetails(
        absl::OutOfRangeError(absl::StrCat("offset ", offset, " is outside of ", ResourceName(file),
                                           ", which has ", info.st_size, " bytes")),
        {{"field", "offset"},
         {"file", file.path},
         {"offset", absl::StrCat(offset)},
         {"size", absl::StrCat(info.st_size)}});
  }
  return ArtifactReader(path, std::move(fd), info.st_size, offset);
}

absl::StatusOr<size_t> ArtifactReader::Read(std::span<char> buffer) {
  size_t done = 0;
  while (done < buffer.size()) {
    const ssize_t count = pread(fd_.get(), buffer.data() + done, buffer.size() - done, offset_);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return format::ErrnoToStatus(errno, path_, "read");
    if (count == 0) break;
    done += static_cast<size_t>(count);
    offset_ += count;
  }
  format::ReadPast(fd_.get(), static_cast<uint64_t>(offset_) - done, done);
  return done;
}

ArtifactStore::Place ArtifactStore::PlaceOf(const std::string& directory) {
  struct stat info {};
  return stat(directory.c_str(), &info) == 0 ? Place{info.st_dev, info.st_ino} : Place{};
}

absl::Status ArtifactStore::CheckHere() const {
  if (PlaceOf(folders_.artifacts()) == place_) return absl::OkStatus();
  return WithReason(
      absl::UnavailableError("the server's directory of artifacts is not where it was; whoever "
                             "keeps the server must put it back, or mount its disk"),
      "STORE_MISSING");
}

absl::Status ArtifactStore::NotHere(absl::Status absent) const {
  absl::Status here = CheckHere();
  return here.ok() ? absent : here;
}

std::string ArtifactStore::WithoutFolder(absl::string_view text) const {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    // The end of a longer path is another place.
    const bool begins = at == 0 || absl::StrContains(" '\"(:", text.substr(at - 1, 1));
    const absl::string_view rest = text.substr(at);
    size_t skipped = 0;
    for (const std::string& folder : {folders_.artifacts(), folders_.uploads(), folders_.s3()}) {
      if (begins && absl::StartsWith(rest, folder + "/")) skipped = folder.rfind('/') + 1;
    }
    at += skipped;
    out.push_back(text[at++]);
  }
  return out;
}

absl::StatusOr<std::string> ArtifactStore::CheckpointPath(std::string_view artifact) const {
  const absl::StatusOr<std::string> id = ParseArtifactName(artifact, "job.source.artifact");
  if (!id.ok()) return id.status();
  const std::string partial = AnyFileBelow(absl::StrCat(folders_.uploads(), "/", *id));
  if (!partial.empty()) {
    return WithReason(absl::FailedPreconditionError(absl::StrCat(
                          "artifacts/", *id, ": the upload of its file '",
                          format::Printable(partial), "' is not finished; finish it first")),
                      "UPLOAD_UNFINISHED");
  }
  const std::string directory = ResultPath(*id);
  if (!Exists(directory)) {
    return NotHere(absl::NotFoundError(
        absl::StrCat("artifacts/", *id, ": no such artifact; upload it first")));
  }
  const std::string only = OnlyFileOf(directory);
  return only.empty() ? directory : absl::StrCat(directory, "/", only);
}

}  // namespace seedlm::server
