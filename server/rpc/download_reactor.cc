#include "server/rpc/download_reactor.h"

#include <algorithm>
#include <string>
#include <utility>

#include "kernels/checksum/crc32c.h"
#include "server/rpc/guarded.h"
#include "server/rpc/status_mapping.h"

namespace seedlm::server {

DownloadReactor::DownloadReactor(StoreOf store_of, WorkPool& pool, OwnerGate::Place place,
                                 const v1::ReadArtifactRequest* request)
    : store_of_(std::move(store_of)), pool_(pool), place_(std::move(place)), request_(request) {
  PostChunk(responses_[reading_]);
}

void DownloadReactor::OnWriteDone(bool ok) {
  std::unique_lock lock(mutex_);
  writing_ = false;
  if (!ok) {
    ended_ = true;
    filled_ = false;
    end_ = absl::CancelledError("the client has gone");
  }
  GoOn(std::move(lock));
}

// REQUIRES: filling_ was set for it.
void DownloadReactor::PostChunk(v1::ReadArtifactResponse& response) {
  pool_.Post([this, &response] {
    absl::StatusOr<bool> more = false;
    const absl::Status status = Guarded([&] {
      more = ReadChunk(response);
      return more.status();
    });
    ChunkDone(status.ok() ? more : absl::StatusOr<bool>(status));
  });
}

void DownloadReactor::ChunkDone(const absl::StatusOr<bool>& more) {
  std::unique_lock lock(mutex_);
  filling_ = false;
  if (!ended_) {  // else the client has gone
    filled_ = more.ok() && *more;
    ended_ = !filled_;
    end_ = more.status();
  }
  GoOn(std::move(lock));
}

void DownloadReactor::GoOn(std::unique_lock<std::mutex> lock) {
  if (writing_ || filling_) return;  // who finishes that comes here again
  if (!filled_) {
    lock.unlock();
    responses_ = {};
    place_ = {};  // before the client knows: it may come again at once
    Finish(ToGrpcStatus(end_));
    return;
  }
  const v1::ReadArtifactResponse* response = &responses_[reading_];
  reading_ = 1 - reading_;
  v1::ReadArtifactResponse* other = &responses_[reading_];
  filled_ = false;
  writing_ = filling_ = true;
  lock.unlock();
  // filling_ keeps OnWriteDone from going on before the next chunk is posted.
  StartWrite(response);
  PostChunk(*other);
}

absl::StatusOr<bool> DownloadReactor::ReadChunk(v1::ReadArtifactResponse& response) {
  if (!reader_.has_value()) {
    if (absl::Status status = OpenFile(); !status.ok()) return status;
  }
  response.set_offset(reader_->offset());
  std::string& data = *response.mutable_data();
  data.resize(static_cast<size_t>(std::min(kReadChunkBytes, reader_->size() - reader_->offset())));
  const absl::StatusOr<size_t> bytes = reader_->Read(data);
  if (!bytes.ok()) return bytes.status();
  data.resize(*bytes);
  response.set_crc32c(checksum::Crc32c(data));
  return *bytes > 0;
}

absl::Status DownloadReactor::OpenFile() {
  const absl::StatusOr<ArtifactFile> file = ParseArtifactFileName(request_->resource_name());
  if (!file.ok()) return file.status();
  absl::StatusOr<ArtifactReader> reader = store_of_(*file).OpenRead(*file, request_->offset());
  if (!reader.ok()) return reader.status();
  reader_.emplace(*std::move(reader));
  return absl::OkStatus();
}

}  // namespace seedlm::server
