// What is said at the end of a job.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/exit_code.h"
#include "client/follow.h"
#include "seedlm/v1/compression_service.pb.h"

namespace seedlm::client {

// The result of `compress`. Sizes in bytes.
struct CompressSummary {
  std::string input, output;
  uint64_t input_bytes = 0;  // of all files, the copied ones too
  uint64_t output_bytes = 0;
  uint64_t copied_bytes = 0;   // of files that are no safetensors, in the output
  int64_t tensors = 0;         // compressed ones
  int64_t weights = 0;         // in them
  uint64_t tensor_bytes = 0;   // of them before
  uint64_t packed_bytes = 0;   // of their planes
  double bits_per_weight = 0;  // of codes, without the 80 bytes of levels and shape
  // Over all compressed tensors; nothing if the server is too old to say.
  std::optional<double> relative_error{};
  double seconds = 0;             // that the job ran, its last attempt
  int64_t weights_kept = 0;       // that an earlier attempt had encoded
  double weights_per_second = 0;  // of those that this one did
  std::vector<v1::TensorResult> results;
  std::vector<std::string> notes{};  // for stderr: NotesOf the input
};

// Reads the headers of both checkpoints.
absl::StatusOr<CompressSummary> Summarize(const std::string& input, const std::string& output,
                                          const Followed& followed);

std::string ToText(const CompressSummary& summary);
nlohmann::ordered_json ToJson(const CompressSummary& summary);

// ", 43 % of the weights"; empty if nothing is known to be done.
std::string ShareDone(const v1::Progress& progress);

// Whether to go on may help: not if the request or its source is wrong.
bool MayBeResumed(const v1::Job& job);

// Prints why a job did not succeed; kOk and nothing if it did. `thing` names the job.
ExitCode ReportEnd(const v1::Job& job, const std::string& thing);

// A line for the end of a watch, without its end: state, time, and what came out.
std::string EndLine(const Followed& followed);

// Lines for `status`.
std::string ToText(const v1::Job& job);

}  // namespace seedlm::client
