#include "server/rpc/download_reactor.h"

#include <algorithm>
#include <string>
#include <utility>

#include "server/rpc/guarded.h"
#include "server/rpc/status_mapping.h"
#include "server/storage/crc32c.h"

namespace seedlm::server {

DownloadReactor::DownloadReactor(StoreOf store_of, WorkPool& pool,
                                 const v1::ReadArtifactRequest* request)
    : store_of_(std::move(store_of)), pool_(pool), request_(request) {
  PostNextChunk();
}

void DownloadReactor::OnWriteDone(bool ok) {
  if (ok) {
    PostNextChunk();
  } else {
    Finish(ToGrpcStatus(absl::CancelledError("the client has gone")));
  }
}

void DownloadReactor::PostNextChunk() {
  pool_.Post([this] {
    absl::StatusOr<bool> more = false;
    const absl::Status status = Guarded([&] {
      more = ReadChunk();
      return more.status();
    });
    if (status.ok() && *more) {
      StartWrite(&response_);
    } else {
      Finish(ToGrpcStatus(status));
    }
  });
}

absl::StatusOr<bool> DownloadReactor::ReadChunk() {
  if (!reader_.has_value()) {
    if (absl::Status status = OpenFile(); !status.ok()) return status;
  }
  response_.set_offset(reader_->offset());
  std::string& data = *response_.mutable_data();
  data.resize(static_cast<size_t>(std::min(kReadChunkBytes, reader_->size() - reader_->offset())));
  const absl::StatusOr<size_t> bytes = reader_->Read(data);
  if (!bytes.ok()) return bytes.status();
  data.resize(*bytes);
  response_.set_crc32c(Crc32c(data));
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
