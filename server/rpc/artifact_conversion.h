// Artifacts on the wire.
#pragma once

#include "seedlm/v1/artifact_service.pb.h"
#include "server/scheduler/artifact_service.h"

namespace seedlm::server {

// Each fits a message: of files, tensors and problems as many as there is room for; the counts say
// how many there are.
v1::Artifact ToProto(const ArtifactRecord& record);
v1::VerifyArtifactResponse ToProto(const ArtifactCheck& check);

}  // namespace seedlm::server
