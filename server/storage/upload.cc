// Upload: one file on its way into an artifact.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "kernels/checksum/crc32c.h"
#include "kernels/format/atomic_file.h"
#include "kernels/format/file_io.h"
#include "kernels/format/page_cache.h"
#include "server/errors/reason.h"
#include "server/storage/artifact_store.h"
#include "server/storage/tree.h"

namespace seedlm::server {
namespace {

constexpr size_t kSha256Digits = 64;
constexpr int64_t kStepBytes = int64_t{8} << 20;  // some milliseconds of SHA-256
constexpr size_t kReadBytes = size_t{1} << 20;

absl::Status WriteAll(int fd, std::string_view data, const std::string& path) {
  while (!data.empty()) {
    const ssize_t count = write(fd, data.data(), data.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return format::ErrnoToStatus(errno, path, "write");
    data.remove_prefix(static_cast<size_t>(count));
  }
  return absl::OkStatus();
}

bool IsSha256(std::string_view hex) {
  if (hex.size() != kSha256Digits) return false;
  for (const char c : hex) {
    if (!absl::ascii_isxdigit(static_cast<unsigned char>(c))) return false;
  }
  return true;
}

}  // namespace

Upload::Upload(Upload&& other) noexcept
    : store_(std::exchange(other.store_, nullptr)),
      file_(std::move(other.file_)),
      fd_(std::move(other.fd_)),
      size_(other.size_),
      resumed_(other.resumed_),
      again_(std::move(other.again_)),
      summed_(other.summed_),
      hash_(std::move(other.hash_)) {}

Upload::~Upload() { Close(); }

void Upload::Close() {
  if (store_ != nullptr) std::exchange(store_, nullptr)->Close(file_);
}

absl::Status Upload::CheckRoom(int64_t bytes) const {
  absl::Status status = store_->CheckRoom(bytes);
  if (status.ok()) {
    status = format::CheckRoom(fd_.get(), file_.path, static_cast<uint64_t>(bytes));
  }
  if (!status.ok() && size_ == 0) (void)unlink(store_->PartialPath(file_).c_str());
  return status;
}

absl::Status Upload::Append(int64_t offset, std::string_view data, uint32_t crc32c) {
  const std::string path = store_->PartialPath(file_);
  if (data.size() > static_cast<size_t>(kMaxChunkBytes)) {
    return WithReason(
        absl::InvalidArgumentError(absl::StrCat(file_.path, ": a chunk of ", data.size(),
                                                " bytes; at most ", kMaxChunkBytes, " are taken")),
        "CHUNK_TOO_LARGE",
        {{"field", "data"}, {"file", file_.path}, {"offset", absl::StrCat(offset)}});
  }
  if (offset != size_) {
    return WithReason(
        absl::OutOfRangeError(absl::StrCat(file_.path, ": a chunk at offset ", offset, ", but ",
                                           size_, " bytes have arrived; go on there")),
        "OFFSET_MISMATCH",
        {{"field", "offset"}, {"file", file_.path}, {"offset", absl::StrCat(offset)}});
  }
  if (checksum::Crc32c(data) != crc32c) {
    return WithReason(absl::DataLossError(absl::StrCat(file_.path, ": the chunk at offset ", offset,
                                                       " was damaged on its way (CRC-32C); send it "
                                                       "again")),
                      "CHECKSUM_MISMATCH",
                      {{"file", file_.path}, {"offset", absl::StrCat(offset)}});
  }
  absl::Status status = store_->Charge(static_cast<int64_t>(data.size()));
  if (!status.ok()) return status;
  hash_->Update(std::as_bytes(std::span(data)));
  status = WriteAll(fd_.get(), data, path);
  hash_->Wait();
  if (!status.ok()) {
    // Wholly or not at all, but the sum has all of it. Should this fail too, the committed size is
    // what the file has.
    resumed_ = true;
    struct stat info {};
    if (ftruncate(fd_.get(), size_) != 0 && fstat(fd_.get(), &info) == 0) size_ = info.st_size;
    return status;
  }
  Reach(store_->fault_point_, "upload.written");
  size_ += static_cast<int64_t>(data.size());
  format::WrotePast(fd_.get(), static_cast<uint64_t>(offset), data.size());
  return absl::OkStatus();
}

absl::StatusOr<bool> Upload::SumStep() {
  if (again_ == nullptr) again_ = std::make_unique<checksum::Sha256>();
  const int64_t end = std::min(size_, summed_ + kStepBytes);
  std::vector<std::byte> buffer(kReadBytes);
  while (summed_ < end) {
    const auto wanted = std::min(buffer.size(), static_cast<size_t>(end - summed_));
    const ssize_t count = pread(fd_.get(), buffer.data(), wanted, summed_);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) {  // shorter than it was: an I/O error, too
      return format::ErrnoToStatus(count < 0 ? errno : EIO, store_->PartialPath(file_), "read");
    }
    again_->Update(std::span(buffer).first(static_cast<size_t>(count)));
    format::ReadPast(fd_.get(), static_cast<uint64_t>(summed_), static_cast<size_t>(count));
    summed_ += count;
  }
  return summed_ == size_;
}

absl::Status Upload::Verify(std::string_view sha256_hex) {
  const std::string path = store_->PartialPath(file_);
  const std::string actual = resumed_ ? again_->HexDigest() : hash_->HexDigest();
  const std::string expected =
      absl::AsciiStrToLower(absl::string_view(sha256_hex.data(), sha256_hex.size()));
  if (actual == expected) return absl::OkStatus();
  (void)unlink(path.c_str());
  return WithReason(
      absl::DataLossError(absl::StrCat(file_.path, ": the SHA-256 of what arrived is ", actual,
                                       ", not ", expected, "; send the file again from offset 0")),
      "CHECKSUM_MISMATCH", {{"file", file_.path}});
}

absl::Status Upload::Finish(std::string_view sha256_hex) {
  absl::StatusOr<bool> finished = false;
  while (finished.ok() && !*finished) finished = FinishStep(sha256_hex);
  return finished.status();
}

absl::StatusOr<bool> Upload::FinishStep(std::string_view sha256_hex) {
  if (!IsSha256(sha256_hex)) {
    return WithReason(absl::InvalidArgumentError(absl::StrCat(
                          file_.path, ": sha256 must be 64 hex digits, of the whole file")),
                      "FIELD_INVALID", {{"field", "sha256"}, {"file", file_.path}});
  }
  absl::Status status;
  if (resumed_) {
    const absl::StatusOr<bool> summed = SumStep();
    if (summed.ok() && !*summed) return false;
    status = summed.status();
  }
  if (status.ok()) status = Verify(sha256_hex);
  if (status.ok()) status = Publish();
  Close();
  if (!status.ok()) return status;
  return true;
}

absl::Status Upload::Publish() {
  const std::string partial = store_->PartialPath(file_);
  const std::string final_path = store_->FinalPath(file_);
  if (fsync(fd_.get()) != 0) return format::ErrnoToStatus(errno, partial, "sync");
  Reach(store_->fault_point_, "upload.synced");
  {
    // With the lock: no job's result takes this id between the look and the rename.
    const std::lock_guard lock(store_->mutex_);
    absl::Status status = store_->CheckNoResult(file_);
    if (status.ok()) {
      status = MakeDirectories(store_->folders_.artifacts(), ParentOf(final_path), kOwnDirectory);
    }
    if (status.ok()) status = RenameNoReplace(partial, final_path);
    if (!status.ok()) return store_->NotHere(std::move(status));
  }
  Reach(store_->fault_point_, "upload.renamed");
  SyncNames();
  Reach(store_->fault_point_, "upload.finished");
  return absl::OkStatus();
}

// The new names, up to that of the artifact. The file is finished now: a name that cannot be synced
// must not make the client send it again, which would be refused.
void Upload::SyncNames() const {
  const std::string artifacts = store_->folders_.artifacts();
  std::string directory = store_->FinalPath(file_);
  while (directory != artifacts) {
    directory = ParentOf(directory);
    if (absl::Status status = store_->sync_(directory); !status.ok()) {
      store_->warn_(
          absl::StrCat("artifacts/", file_.id, "/files/", file_.path,
                       " is finished, but may not outlive a power cut: ", status.ToString()));
      return;
    }
  }
}

}  // namespace seedlm::server
