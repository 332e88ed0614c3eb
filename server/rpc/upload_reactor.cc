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
  std::unique_lock lock(watch_->mutex);
  watch_->reactor = this;
  LookAt(steady_clock::now() + parts_.idle);
  GoOn(std::move(lock));
}

void UploadReactor::GoOn(std::unique_lock<std::mutex> lock) {
  if (std::exchange(acting_, true)) return;  // that thread sees what has changed
  while (true) {
    if (over_) break;
    if (last_ && taken_ == read_) {
      over_ = true;
      status_ = idle_ ? Idle() : Broken();
      break;
    }
    if (!reading_ && !last_ && read_ - taken_ < requests_.size()) {
      reading_ = true;
      since_ = steady_clock::now();
      v1::WriteArtifactRequest& request = requests_[read_ % requests_.size()];
      lock.unlock();
      StartRead(&request);
      lock.lock();
    } else if (!taking_ && taken_ < read_) {
      taking_ = true;
      v1::WriteArtifactRequest& request = requests_[taken_ % requests_.size()];
      lock.unlock();
      parts_.pool->Post([this, &request] { TakeOne(request); });
      lock.lock();
    } else {
      break;
    }
  }
  if (!over_) {
    acting_ = false;
    return;
  }
  lock.unlock();    // and acting_ stays: a read that is still out ends without doing anything
  upload_.reset();  // before the client knows: it may come again at once
  parts_.place = {};
  Finish(ToGrpcStatus(status_));
}

void UploadReactor::OnReadDone(bool ok) {
  std::unique_lock lock(watch_->mutex);
  reading_ = false;
  if (idle_) return;  // it came too late, and the end has been decided
  last_ = !ok || requests_[read_ % requests_.size()].finish();
  if (ok) ++read_;
  GoOn(std::move(lock));
}

void UploadReactor::TakeOne(v1::WriteArtifactRequest& request) {
  absl::StatusOr<bool> finished = false;
  absl::Status status = Guarded([&] {
    finished = TakeChunk(request);
    return finished.status();
  });
  if (status.ok() && !*finished && request.finish()) return FinishLater(request);
  Taken(std::move(status), finished.ok() && *finished);
}

void UploadReactor::FinishLater(const v1::WriteArtifactRequest& request) {
  parts_.finish_pool->Post(parts_.owner, [this, &request] {
    bool finished = false;
    absl::Status status = Guarded([&] {
      if (context_->IsCancelled()) return absl::CancelledError("nobody waits for it any more");
      const absl::StatusOr<bool> step = upload_->FinishStep(request.sha256());
      finished = step.ok() && *step;
      return step.status();
    });
    if (status.ok() && !finished) return FinishLater(request);
    Taken(std::move(status), finished);
  });
}

void UploadReactor::Taken(absl::Status status, bool finished) {
  std::unique_lock lock(watch_->mutex);
  taking_ = false;
  ++taken_;
  status_ = std::move(status);
  over_ = !status_.ok() || finished;
  GoOn(std::move(lock));
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
  std::unique_lock lock(watch->mutex);
  UploadReactor* const reactor = watch->reactor;
  if (reactor == nullptr || reactor->last_) return;
  const Time now = steady_clock::now();
  const Time end = (reactor->reading_ ? reactor->since_ : now) + reactor->parts_.idle;
  if (now < end) return reactor->LookAt(end);
  reactor->last_ = reactor->idle_ = true;
  reactor->GoOn(std::move(lock));
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
  return WithRetryAfter(
      WithReason(absl::AbortedError(absl::StrCat(
                     upload_.has_value() ? resource_name_ : "the upload", ": nothing came for ",
                     parts_.idle.count(), " ms; ", arrived, " bytes are kept: go on there")),
                 "UPLOAD_IDLE", {{"committed_size", absl::StrCat(arrived)}}),
      std::chrono::seconds(1));
}

absl::StatusOr<bool> UploadReactor::TakeChunk(const v1::WriteArtifactRequest& request) {
  const bool first = !upload_.has_value();
  if (first) {
    if (absl::Status status = OpenFile(request); !status.ok()) return status;
  } else if (!request.resource_name().empty() && request.resource_name() != resource_name_) {
    return InvalidField("resource_name", "'" + Shown(request.resource_name()) +
                                             "' differs from the first message's: one stream "
                                             "writes one file");
  }
  // A closing message may come without data, and then its offset says nothing.
  if (first || !request.data().empty() || !request.finish()) {
    absl::Status status = upload_->Append(request.offset(), request.data(), request.crc32c());
    if (!status.ok()) {
      status.SetPayload(std::string(kDetailPayloadPrefix) + "committed_size",
                        absl::Cord(absl::StrCat(upload_->committed_size())));
      return status;
    }
  }
  response_->set_committed_size(upload_->committed_size());
  if (!request.finish()) return false;
  return upload_->FinishStep(request.sha256());
}

absl::Status UploadReactor::OpenFile(const v1::WriteArtifactRequest& request) {
  const absl::StatusOr<ArtifactFile> file = ParseArtifactFileName(request.resource_name());
  if (!file.ok()) return file.status();
  if (request.bytes_to_come() < 0) return InvalidField("bytes_to_come", "is negative");
  absl::StatusOr<Upload> upload = parts_.store->OpenUpload(*file);
  if (!upload.ok()) return upload.status();
  upload_.emplace(*std::move(upload));
  resource_name_ = request.resource_name();
  return request.bytes_to_come() == 0 ? absl::OkStatus()
                                      : upload_->CheckRoom(request.bytes_to_come());
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

}  // namespace seedlm::server
