#include "server/rpc/upload_reactor.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/errors/invalid_field.h"
#include "server/errors/reason.h"
#include "server/rpc/guarded.h"
#include "server/rpc/status_mapping.h"

namespace seedlm::server {
UploadReactor::UploadReactor(ArtifactStore& store, WorkPool& pool,
                             grpc::CallbackServerContext* context,
                             v1::WriteArtifactResponse* response)
    : store_(store), pool_(pool), context_(context), response_(response) {
  StartRead(&request_);
}

void UploadReactor::OnReadDone(bool ok) {
  pool_.Post([this, ok] {
    absl::StatusOr<bool> finished = false;
    const absl::Status status = Guarded([&] {
      finished = ok ? TakeChunk() : absl::StatusOr<bool>(Broken());
      return finished.status();
    });
    if (status.ok() && !*finished) {
      StartRead(&request_);
    } else {
      FinishWith(status);
    }
  });
}

absl::StatusOr<bool> UploadReactor::TakeChunk() {
  const bool first = !upload_.has_value();
  if (first) {
    if (absl::Status status = OpenFile(); !status.ok()) return status;
  } else if (!request_.resource_name().empty() && request_.resource_name() != resource_name_) {
    return InvalidField("resource_name", "'" + Shown(request_.resource_name()) +
                                             "' differs from the first message's: one stream "
                                             "writes one file");
  }
  // A closing message may come without data, and then its offset says nothing.
  if (first || !request_.data().empty() || !request_.finish()) {
    absl::Status status = upload_->Append(request_.offset(), request_.data(), request_.crc32c());
    if (!status.ok()) {
      status.SetPayload(std::string(kDetailPayloadPrefix) + "committed_size",
                        absl::Cord(absl::StrCat(upload_->committed_size())));
      return status;
    }
  }
  response_->set_committed_size(upload_->committed_size());
  if (!request_.finish()) return false;
  if (absl::Status status = upload_->Finish(request_.sha256()); !status.ok()) return status;
  return true;
}

absl::Status UploadReactor::OpenFile() {
  const absl::StatusOr<ArtifactFile> file = ParseArtifactFileName(request_.resource_name());
  if (!file.ok()) return file.status();
  absl::StatusOr<Upload> upload = store_.OpenUpload(*file);
  if (!upload.ok()) return upload.status();
  upload_.emplace(*std::move(upload));
  resource_name_ = request_.resource_name();
  return absl::OkStatus();
}

absl::Status UploadReactor::Broken() const {
  if (context_->IsCancelled()) return absl::CancelledError("the client has gone");
  if (!upload_.has_value()) {
    return InvalidField("resource_name", "the stream is empty: the first message names the file");
  }
  return InvalidField(
      "finish", absl::StrCat(resource_name_, ": the stream ended after ", upload_->committed_size(),
                             " bytes without finish; they are kept: go on there"));
}

void UploadReactor::FinishWith(const absl::Status& status) {
  upload_.reset();  // before the client knows: it may come again at once
  Finish(ToGrpcStatus(status));
}

}  // namespace seedlm::server
