// Watches one job to its end and shows how it goes.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/exit_code.h"
#include "client/interrupt.h"
#include "client/job_client.h"
#include "client/progress_bar.h"

namespace seedlm::client {

struct FollowOptions {
  bool show_progress = true;  // on stderr
  bool show_tensors = false;  // a line for each finished tensor, on stdout
  bool json = false;          // every event as a line of JSON on stdout, nothing else
  // What an interrupt does: cancel the job and wait for that, or leave it running.
  bool cancel_on_interrupt = false;
  std::chrono::milliseconds patience = kWatchPatience;        // with a server that is away
  std::function<void(const v1::Progress&)> on_progress = {};  // called as it comes
};

struct Followed {
  v1::Job job;  // as it was last seen
  std::vector<v1::TensorResult> tensors;
};

// Returns when the job has ended, whatever its end; also after an interrupt that came too late to
// change it, and when what it prints for has no reader any more. CANCELLED when the interrupt ended
// the job, or the watch.
absl::StatusOr<Followed> FollowJob(JobClient& client, const std::string& name,
                                   const FollowOptions& options, const Interrupt& interrupt);

// What an interrupt made of `job`, as it is now: CANCELLED if it ended it, or only the watch; OK if
// it came too late to change the job's own end. `cancel`: how the attempt to cancel it went.
absl::Status AfterInterrupt(const v1::Job& job, const FollowOptions& options,
                            const absl::Status& cancel);

// OK for SUCCEEDED; for FAILED the job's own error, for CANCELLED a status that says so. `thing`
// goes in front of the message: the job's name, or what the user knows it by.
absl::Status EndOf(const v1::Job& job, const std::string& thing);

ProgressView ToView(const v1::Progress& progress);

}  // namespace seedlm::client
