#include "server/rpc/upload_reactor.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "grpc/support/time.h"
#include "server/errors/invalid_field.h"
#include "server/errors/reason.h"
#include "server/rpc/guarded.h"
#include "server/rpc/status_mapping.h"

namespace seedlm::server {

using std::chrono::steady_clock;

UploadReactor::UploadReactor(Parts parts, grpc::CallbackServerContext* context,
                             v1::WriteArtifactResponse* response)
    : parts_(std::move(parts)), context_(context), response_(response) {
  {
    const std::lock_guard lock(watch_->mutex);
    watch_->reactor = this;
    LookAt(steady_clock::now() + parts_.idle);
  }
  Read();
}

void UploadReactor::Read() {
  {
    const std::lock_guard lock(watch_->mutex);
    watch_->reading = true;
    watch_->since = steady_clock::now();
  }
  StartRead(&request_);
}

void UploadReactor::OnReadDone(bool ok) {
  {
    const std::lock_guard lock(watch_->mutex);
    if (!std::exchange(watch_->reading, false)) return;  // it took too long, and is ended
  }
  parts_.pool->Post([this, ok] {
    absl::StatusOr<bool> finished = false;
    const absl::Status status = Guarded([&] {
      finished = ok ? TakeChunk() : absl::StatusOr<bool>(Broken());
      return finished.status();
    });
    if (status.ok() && !*finished) {
      Read();
    } else {
      FinishWith(status);
    }
  });
}

void UploadReactor::LookAt(Time time) {
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(time - steady_clock::now());
  alarm_ = std::make_unique<grpc::Alarm>();
  alarm_->Set(
      gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_millis(wait.count(), GPR_TIMESPAN)),
      [watch = watch_](bool ok) {
        if (ok) Look(watch);
      });
}

// One alarm in the time that a read may take, not one for each read.
void UploadReactor::Look(const std::shared_ptr<Watch>& watch) {
  UploadReactor* reactor = nullptr;
  {
    const std::lock_guard lock(watch->mutex);
    reactor = watch->reactor;
    if (reactor == nullptr) return;
    const Time now = steady_clock::now();
    const Time end = (watch->reading ? watch->since : now) + reactor->parts_.idle;
    if (now < end) return reactor->LookAt(end);
    watch->reading = false;
  }
  // The read is still out, so the reactor is there until it is finished here.
  reactor->FinishWith(reactor->Idle());
}

void UploadReactor::OnDone() {
  {
    const std::lock_guard lock(watch_->mutex);
    watch_->reactor = nullptr;
    alarm_.reset();
  }
  delete this;
}

absl::Status UploadReactor::Idle() const {
  const int64_t arrived = upload_.has_value() ? upload_->committed_size() : 0;
  return WithReason(absl::AbortedError(absl::StrCat(
                        upload_.has_value() ? resource_name_ : "the upload", ": nothing came for ",
                        parts_.idle.count(), " ms; ", arrived, " bytes are kept: go on there")),
                    "UPLOAD_IDLE", {{"committed_size", absl::StrCat(arrived)}});
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
  absl::StatusOr<Upload> upload = parts_.store->OpenUpload(*file);
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
  parts_.place = {};
  Finish(ToGrpcStatus(status));
}

}  // namespace seedlm::server
