#include "client/submission.h"

#include <utility>

#include "client/progress_bar.h"
#include "client/rpc_status.h"
#include "client/transfer.h"

namespace seedlm::client {

absl::StatusOr<v1::Job> SubmitUpload(const Session& session, v1::CreateJobRequest request,
                                     const std::string& path, const std::stop_token& stop) {
  v1::Job& job = *request.mutable_job();
  // Before anything is read.
  const absl::Status refused = session.jobs->CheckBeforeUpload(request, stop);
  // For this very source, perhaps, whose name is not known yet.
  const bool id_was_used = ErrorReason(refused) == "REQUEST_ID_REUSED";
  if (!refused.ok() && !id_was_used) return refused;
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
  if (id_was_used) {
    auto earlier = session.jobs->FindRequest(request, stop);
    if (!earlier.ok()) return earlier.status();
    if (earlier->has_value()) return **std::move(earlier);
  }
  absl::Status sent = upload->Send(transfer);
  bar.Clear();
  if (!sent.ok()) return sent;
  return session.jobs->CreateJob(std::move(request), stop);
}

}  // namespace seedlm::client
