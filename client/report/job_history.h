// What the events of a job tell, with their times: all that a report is made of.
#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/job_client.h"
#include "seedlm/v1/compression_service.pb.h"

namespace seedlm::client {

// Times are seconds since the job was created, never negative and never going back.
struct JobHistory {
  struct State {
    double seconds = 0;
    v1::JobState state = v1::JOB_STATE_UNSPECIFIED;
  };
  struct Tensor {
    double seconds = 0;  // when it was finished
    v1::TensorResult result;
  };
  struct Warning {
    double seconds = 0;
    std::string message;
  };
  v1::Job job;
  std::vector<State> states;      // in their order
  std::vector<Tensor> tensors;    // one a name, the last attempt's; names in natural order
  std::vector<Warning> warnings;  // in their order
  double seconds = 0;             // to the job's end, or to its last event
};

// `events`: of `job`, in their order.
JobHistory ToHistory(v1::Job job, const std::vector<v1::JobEvent>& events);

// Of a job that runs: what has happened so far. Errors: those of JobClient.
absl::StatusOr<JobHistory> ReadHistory(JobClient& client, const std::string& name,
                                       const std::stop_token& stop);

// Whether `a` comes before `b` where numbers in names count as numbers: layer 9 before layer 10.
bool NaturalLess(const std::string& a, const std::string& b);

}  // namespace seedlm::client
