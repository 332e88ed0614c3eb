// CompressionSpec on the wire <-> JobSpec.
#pragma once

#include <vector>

#include "absl/status/statusor.h"
#include "seedlm/v1/codec.pb.h"
#include "server/jobs/job.h"

namespace seedlm::server {

// Unspecified values become the defaults that the proto names.
// Errors: INVALID_ARGUMENT naming the field (an unknown enum value, nearest with fitted, an
// override without an action); UNIMPLEMENTED for an override to another profile.
absl::StatusOr<JobSpec> FromProto(const v1::CompressionSpec& spec);

v1::CompressionSpec ToProto(const JobSpec& spec);

// Every profile that this server encodes.
std::vector<v1::Profile> AllProfiles();

}  // namespace seedlm::server
