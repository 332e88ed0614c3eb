// CompressionService with deadlines, retries and absl::Status.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/retry.h"
#include "client/watchdog.h"
#include "seedlm/v1/compression_service.pb.h"

namespace grpc {
class Channel;
}

namespace seedlm::client {

// How long a server has, and how often it is asked again.
struct Patience {
  RetryPolicy unary{};
  // Pauses of a watch; how long it is carried on says who asks for it.
  RetryPolicy stream{.max_attempts = std::numeric_limits<int>::max()};
  std::chrono::milliseconds answer{30'000};   // deadline of a call
  std::chrono::milliseconds create{180'000};  // of CreateJob: the server reads all headers
  std::chrono::milliseconds silence = kSilence;
  // Attempts of CreateJob where a server that has answered before is away: it is started again.
  int restart = kStreamRetry.max_attempts;
  // Told once for a CreateJob that waits for the server: it says so (a full queue), with its words,
  // or it is away.
  std::function<void(const std::string& why)> on_wait = {};
};

// So that the upgrade of a server, or a reboot, does not end who waits for a job.
inline constexpr std::chrono::seconds kWatchPatience{300};

// How a watch bears a server that is away.
struct WatchLink {
  std::chrono::milliseconds patience = kWatchPatience;  // after the server was lost
  // Told when the server is lost, and when it is back; a line without its end.
  std::function<void(const std::string& line)> tell = {};
};

// Thread-safe. Calls that may safely arrive twice are sent again when IsRetryable says so; soon
// after `stop` each ends with CANCELLED.
// Errors: the server's, with its message; UNAVAILABLE naming the address when it is not there.
class JobClient {
 public:
  // `address` is for messages.
  JobClient(std::shared_ptr<grpc::Channel> channel, std::string address, Patience patience = {});
  ~JobClient();

  // Gives the request an id if it has none, so that it may be sent again, also when the answer did
  // not come in time, or the server was lost. When it is not known whether the job was queued, the
  // message has the id.
  absl::StatusOr<v1::Job> CreateJob(v1::CreateJobRequest request, const std::stop_token& stop);
  // Whether the server would make the job if its source, which is still to be uploaded, were there.
  // ALREADY_EXISTS, reason REQUEST_ID_REUSED: the request's id was used, for whatever.
  absl::Status CheckBeforeUpload(v1::CreateJobRequest request, const std::stop_token& stop);
  // The job that was made of this request, with its id, if there is one: nothing is made.
  // ALREADY_EXISTS as above: the id was used for another request.
  absl::StatusOr<std::optional<v1::Job>> FindRequest(v1::CreateJobRequest request,
                                                     const std::stop_token& stop);
  absl::StatusOr<v1::Job> GetJob(const std::string& name, const std::stop_token& stop);
  absl::StatusOr<std::vector<v1::Job>> ListJobs(v1::ListJobsRequest request,  // all pages
                                                const std::stop_token& stop);
  // ABORTED, of these three: the job has another etag by now, and is as it was; "": any will do. A
  // call that is sent again because its connection was lost may find what it has done itself: then
  // it is OK if the job is as it was to be (CANCELLED; waiting, running or SUCCEEDED; gone),
  // whoever did it, and else ABORTED, with a word about it.
  absl::StatusOr<v1::Job> CancelJob(const std::string& name, const std::string& etag,
                                    const std::stop_token& stop);
  absl::StatusOr<v1::Job> ResumeJob(const std::string& name, const std::string& etag,
                                    const std::stop_token& stop);
  absl::Status DeleteJob(const std::string& name, const std::string& etag,
                         const std::stop_token& stop);
  absl::StatusOr<v1::Capabilities> GetCapabilities(const std::stop_token& stop);

  // Calls `on_event` for every event until the job has ended. A stream that broke, or on which
  // nothing came for `silence`, is carried on after the last event seen, until the server has been
  // away for link.patience; the error says then that the job goes on, and how to follow it.
  // CANCELLED soon after `stop`: the job goes on.
  absl::Status WatchJob(const std::string& name, std::stop_token stop,
                        const std::function<void(const v1::JobEvent&)>& on_event,
                        const WatchLink& link = {});

 private:
  struct Stub;
  // `may_have_acted`: whether an attempt before the last one may have been heard, if not null.
  template <typename Response, typename Request, typename Method>
  absl::StatusOr<Response> Call(Method method, const Request& request, const std::stop_token& stop,
                                bool* may_have_acted = nullptr);
  // Of a job, to a state that is wanted, with an etag.
  template <typename Request, typename Method>
  absl::StatusOr<v1::Job> Change(Method method, const Request& request,
                                 bool (*is_wanted)(v1::JobState), const std::stop_token& stop);
  absl::Status WatchOnce(const v1::WatchJobRequest& request, std::stop_token stop,
                         const std::function<void(const v1::JobEvent&)>& on_event);
  std::unique_ptr<Stub> stub_;
  std::string address_;
  Patience patience_;
  std::atomic<bool> heard_ = false;  // the server has answered CreateJob before
};

// 128 random bits, hex: for request ids.
std::string RandomId();

bool HasEnded(v1::JobState state);

}  // namespace seedlm::client
