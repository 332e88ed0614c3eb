#include "client/submission.h"

#include <utility>

#include "client/progress_bar.h"
#include "client/transfer.h"

namespace seedlm::client {

absl::StatusOr<v1::Job> SubmitUpload(const Session& session, v1::CreateJobRequest request,
                                     const std::string& path, const std::stop_token& stop) {
  v1::Job& job = *request.mutable_job();
  const bool may_be_there = !request.request_id().empty();
  if (!may_be_there) {  // before anything is read
    absl::Status status = session.jobs->CheckBeforeUpload(job, stop);
    if (!status.ok()) return status;
  }
  absl::Status here = CheckSourceHere(path, job.spec(), stop);
  if (!here.ok()) return here;
  ProgressBar bar;
  const TransferContext transfer{
      .channel = session.channel,
      .address = session.address,
      .stop = stop,
      .on_progress = [&](const ProgressView& view) { bar.Update(view); }};
  const auto upload = PendingUpload::Sum(transfer, path);
  bar.Clear();
  if (!upload.ok()) return upload.status();
  SetSource(upload->artifact(), job);
  if (may_be_there) {
    auto earlier = session.jobs->CreateJob(request, stop);
    if (!WantsUpload(earlier.status())) return earlier;
  }
  absl::Status sent = upload->Send(transfer);
  bar.Clear();
  if (!sent.ok()) return sent;
  return session.jobs->CreateJob(std::move(request), stop);
}

}  // namespace seedlm::client
