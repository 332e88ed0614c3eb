// The limits that the protos write down for CreateJob, as pure checks on plain values. Names, URIs,
// pages and chunks are checked where they are taken apart: in jobs and storage.
// Errors: INVALID_ARGUMENT with reason FIELD_INVALID, naming the field, unless said otherwise.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "server/jobs/job.h"

namespace seedlm::server {

inline constexpr size_t kMaxRequestIdBytes = 128;
inline constexpr size_t kMaxLabels = 64;
inline constexpr size_t kMaxLabelBytes = 63;
inline constexpr size_t kMaxPatterns = 256;
inline constexpr size_t kMaxPatternBytes = 512;
inline constexpr size_t kMaxUriBytes = 4096;
inline constexpr size_t kMaxBackendBytes = 64;
inline constexpr int kMinPriority = -100;
inline constexpr int kMaxPriority = 100;

absl::Status CheckRequestId(std::string_view request_id);  // "": none
absl::Status CheckLabels(const std::map<std::string, std::string>& labels, std::string_view field);
absl::Status CheckPriority(int priority);
absl::Status CheckPatterns(const std::vector<std::string>& patterns, std::string_view field);
absl::Status CheckLength(std::string_view value, size_t limit, std::string_view field);

// All of the above that apply, and that source and destination are each given exactly once.
absl::Status CheckJobRequest(const JobRequest& request);

}  // namespace seedlm::server
