#include "client/job_client.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/rpc_status.h"
#include "client/way_out.h"
#include "seedlm/v1/compression_service.grpc.pb.h"

namespace seedlm::client {
namespace {

absl::Status Interrupted() { return absl::CancelledError("interrupted; run it again"); }

// One try of a call. `invoke` is given the context.
template <typename Invoke>
absl::Status CallOnce(std::chrono::milliseconds deadline, const std::stop_token& stop,
                      const std::string& address, const Invoke& invoke) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + deadline);
  const std::stop_callback cancel(stop, [&context] { context.TryCancel(); });
  const absl::Status status = FromRpc(invoke(&context), address);
  return !status.ok() && stop.stop_requested() ? Interrupted() : status;
}

bool IsCancelled(v1::JobState state) { return state == v1::JOB_STATE_CANCELLED; }

bool GoesOn(v1::JobState state) {
  return state == v1::JOB_STATE_QUEUED || state == v1::JOB_STATE_RUNNING ||
         state == v1::JOB_STATE_SUCCEEDED;
}

// The end of a watch whose server stayed away.
absl::Status GivenUp(const absl::Status& why, const std::string& name,
                     std::chrono::milliseconds patience) {
  if (!absl::IsUnavailable(why)) return why;
  absl::Status status(
      why.code(),
      absl::StrFormat("%s; given up after %d s: %s goes on where its server runs, and seedlm watch "
                      "%s follows it again",
                      WithoutWayOut(why.message()),
                      std::chrono::ceil<std::chrono::seconds>(patience).count(), name, name));
  why.ForEachPayload([&](const auto& url, const auto& value) { status.SetPayload(url, value); });
  return status;
}

// Whether a job was refused for want of its source alone: that is looked at last.
bool LacksSource(const absl::Status& status) {
  return absl::IsNotFound(status) && ErrorDetails(status)["field"] == "job.source.artifact";
}

absl::Status WithMessage(const absl::Status& status, const std::string& message) {
  absl::Status changed(status.code(), message);
  status.ForEachPayload(
      [&](const auto& url, const auto& value) { changed.SetPayload(url, value); });
  return changed;
}

absl::Status WithNote(const absl::Status& status, const std::string& note) {
  return WithMessage(status, absl::StrCat(status.message(), note));
}

}  // namespace

struct JobClient::Stub {
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::CompressionService::Stub> service;
};

JobClient::JobClient(std::shared_ptr<grpc::Channel> channel, std::string address, Patience patience)
    : stub_(std::make_unique<Stub>(Stub{channel, v1::CompressionService::NewStub(channel)})),
      address_(std::move(address)),
      patience_(patience) {}

JobClient::~JobClient() = default;

template <typename Response, typename Request, typename Method>
absl::StatusOr<Response> JobClient::Call(Method method, const Request& request,
                                         const std::stop_token& stop, bool* may_have_acted) {
  Response response;
  bool acted = false;  // perhaps, of the attempts so far
  const absl::Status status = Retry(patience_.unary, *stub_->channel, stop, [&] {
    if (may_have_acted != nullptr) *may_have_acted = acted;
    absl::Status once =
        CallOnce(patience_.answer, stop, address_, [&](grpc::ClientContext* context) {
          return (stub_->service.get()->*method)(context, request, &response);
        });
    acted = acted || IsLost(once);
    return once;
  });
  if (!status.ok()) return status;
  return response;
}

template <typename Request, typename Method>
absl::StatusOr<v1::Job> JobClient::Change(Method method, const Request& request,
                                          bool (*is_wanted)(v1::JobState),
                                          const std::stop_token& stop) {
  bool may_have_acted = false;
  absl::StatusOr<v1::Job> job = Call<v1::Job>(method, request, stop, &may_have_acted);
  if (!may_have_acted || ErrorReason(job.status()) != "ETAG_MISMATCH") return job;
  absl::StatusOr<v1::Job> now = GetJob(request.name(), stop);
  if (now.ok() && is_wanted(now->state())) return now;
  return WithNote(job.status(),
                  "; this call was sent before, and its answer was lost: that one "
                  "may have changed it");
}

absl::StatusOr<v1::Job> JobClient::CreateJob(v1::CreateJobRequest request,
                                             const std::stop_token& stop) {
  if (request.request_id().empty()) request.set_request_id(RandomId());
  v1::Job job;
  bool told = false;
  bool may_be_queued = false;  // by an attempt whose answer did not come
  RetryPolicy policy = patience_.unary;
  const auto attempt = [&] {
    if (heard_) policy.max_away = patience_.restart;
    absl::Status once =
        CallOnce(patience_.create, stop, address_, [&](grpc::ClientContext* context) {
          return stub_->service->CreateJob(context, request, &job);
        });
    // The same id gives the same job, so to ask again is safe; not to ask would leave an orphan.
    const bool late = absl::IsDeadlineExceeded(once);
    const bool away = heard_ && IsAway(once);
    may_be_queued = may_be_queued || late || absl::IsCancelled(once) || (heard_ && IsLost(once));
    if ((away || RetryAfter(once).has_value()) && patience_.on_wait && !std::exchange(told, true)) {
      patience_.on_wait(std::string(WithoutWayOut(once.message())));
    }
    if (!late && !IsLost(once) && !absl::IsCancelled(once)) heard_ = true;
    return late ? WithRetryAfter(std::move(once), std::chrono::milliseconds(0)) : once;
  };
  const absl::Status status = Retry(policy, *stub_->channel, stop, attempt);
  if (status.ok()) return job;
  const bool refused = !IsRetryable(status) && !absl::IsCancelled(status);  // the id, too
  if (!may_be_queued || refused || request.validate_only()) return status;
  const std::string what = absl::IsCancelled(status) ? "interrupted"
                           : absl::IsDeadlineExceeded(status)
                               ? address_ + ": no answer in time"
                               : std::string(WithoutWayOut(status.message()));
  return WithMessage(
      status,
      absl::StrCat(what,
                   ", the job may be queued all the same; see seedlm list, or submit it again with "
                   "--request-id ",
                   request.request_id()));
}

absl::Status JobClient::CheckBeforeUpload(v1::CreateJobRequest request,
                                          const std::stop_token& stop) {
  request.set_validate_only(true);
  // A source that is not there is told last, when nothing else is wrong that can be known.
  request.mutable_job()->mutable_source()->set_artifact("artifacts/" + RandomId());
  const absl::Status status = CreateJob(request, stop).status();
  return LacksSource(status) ? absl::OkStatus() : status;
}

absl::StatusOr<std::optional<v1::Job>> JobClient::FindRequest(v1::CreateJobRequest request,
                                                              const std::stop_token& stop) {
  request.set_validate_only(true);
  absl::StatusOr<v1::Job> job = CreateJob(request, stop);
  // Said of a job that could be made now, or not: so there is none.
  const std::string reason = ErrorReason(job.status());
  const bool looked = job.ok() || LacksSource(job.status()) ||
                      absl::IsInvalidArgument(job.status()) || reason == "UPLOAD_UNFINISHED" ||
                      reason == "OUTPUT_EXISTS";
  if (!looked) return job.status();
  if (!job.ok() || job->name().empty()) return std::optional<v1::Job>();
  return std::optional(*std::move(job));
}

absl::StatusOr<v1::Job> JobClient::GetJob(const std::string& name, const std::stop_token& stop) {
  v1::GetJobRequest request;
  request.set_name(name);
  return Call<v1::Job>(&v1::CompressionService::Stub::GetJob, request, stop);
}

absl::StatusOr<std::vector<v1::Job>> JobClient::ListJobs(v1::ListJobsRequest request,
                                                         const std::stop_token& stop) {
  std::vector<v1::Job> jobs;
  while (true) {
    auto page = Call<v1::ListJobsResponse>(&v1::CompressionService::Stub::ListJobs, request, stop);
    if (!page.ok()) return page.status();
    for (v1::Job& job : *page->mutable_jobs()) jobs.push_back(std::move(job));
    if (page->next_page_token().empty()) return jobs;
    request.set_page_token(page->next_page_token());
  }
}

absl::StatusOr<v1::Job> JobClient::CancelJob(const std::string& name, const std::string& etag,
                                             const std::stop_token& stop) {
  v1::CancelJobRequest request;
  request.set_name(name);
  request.set_etag(etag);
  return Change(&v1::CompressionService::Stub::CancelJob, request, &IsCancelled, stop);
}

absl::StatusOr<v1::Job> JobClient::ResumeJob(const std::string& name, const std::string& etag,
                                             const std::stop_token& stop) {
  v1::ResumeJobRequest request;
  request.set_name(name);
  request.set_etag(etag);
  return Change(&v1::CompressionService::Stub::ResumeJob, request, &GoesOn, stop);
}

absl::Status JobClient::DeleteJob(const std::string& name, const std::string& etag,
                                  const std::stop_token& stop) {
  v1::DeleteJobRequest request;
  request.set_name(name);
  request.set_etag(etag);
  bool may_have_acted = false;
  absl::Status status = Call<google::protobuf::Empty>(&v1::CompressionService::Stub::DeleteJob,
                                                      request, stop, &may_have_acted)
                            .status();
  return may_have_acted && absl::IsNotFound(status) ? absl::OkStatus() : status;
}

absl::StatusOr<v1::Capabilities> JobClient::GetCapabilities(const std::stop_token& stop) {
  return Call<v1::Capabilities>(&v1::CompressionService::Stub::GetCapabilities,
                                v1::GetCapabilitiesRequest(), stop);
}

absl::Status JobClient::WatchOnce(const v1::WatchJobRequest& request, std::stop_token stop,
                                  const std::function<void(const v1::JobEvent&)>& on_event) {
  grpc::ClientContext context;
  const std::stop_callback cancel(stop, [&context] { context.TryCancel(); });
  Watchdog watchdog(patience_.silence, [&context] { context.TryCancel(); });
  const auto stream = stub_->service->WatchJob(&context, request);
  v1::JobEvent event;
  while (stream->Read(&event)) {
    watchdog.Feed();
    on_event(event);
  }
  absl::Status status = FromRpc(stream->Finish(), address_);
  if (status.ok() || !watchdog.barked() || stop.stop_requested()) return status;
  return absl::UnavailableError(absl::StrCat(address_, ": sends nothing any more"));
}

absl::Status JobClient::WatchJob(const std::string& name, std::stop_token stop,
                                 const std::function<void(const v1::JobEvent&)>& on_event,
                                 const WatchLink& link) {
  v1::WatchJobRequest request;
  request.set_name(name);
  int failed = 0;
  std::chrono::steady_clock::time_point lost;  // if any has failed
  const auto tell = [&link](const std::string& line) {
    if (link.tell) link.tell(line);
  };
  while (true) {
    const absl::Status status = WatchOnce(request, stop, [&](const v1::JobEvent& event) {
      if (failed > 0) tell(absl::StrCat(address_, " is back"));
      failed = 0;  // it got on: the patience begins anew
      // A snapshot includes events that are still to come on this stream: it is no place to go on.
      if (!event.has_snapshot() && event.sequence() > 0) {
        request.set_after_sequence(event.sequence());
      }
      on_event(event);
    });
    if (status.ok()) return status;
    if (stop.stop_requested()) return Interrupted();
    const auto now = std::chrono::steady_clock::now();
    if (++failed == 1) lost = now;
    const auto delay = NextDelay(patience_.stream, status, failed, UniformRandom());
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(lost + link.patience - now);
    if (!delay) return status;
    if (left <= left.zero()) return GivenUp(status, name, link.patience);
    if (failed == 1) {
      // Without what a person could do: it is being done.
      tell(absl::StrFormat("%s (%s), trying again for %d s",
                           absl::IsUnavailable(status) ? "lost the server" : "not watched for now",
                           WithoutWayOut(status.message()),
                           std::chrono::ceil<std::chrono::seconds>(left).count()));
    }
    if (!PauseUnlessStopped(*stub_->channel, std::min(*delay, left), stop)) return Interrupted();
  }
}

std::string RandomId() {
  std::random_device random;
  return absl::StrFormat("%08x%08x%08x%08x", random(), random(), random(), random());
}

bool HasEnded(v1::JobState state) {
  return state == v1::JOB_STATE_SUCCEEDED || state == v1::JOB_STATE_FAILED ||
         state == v1::JOB_STATE_CANCELLED;
}

}  // namespace seedlm::client
