// Backends and their devices, as GetCapabilities tells of them.
#pragma once

#include "seedlm/v1/compression_service.pb.h"
#include "server/scheduler/scheduler.h"

namespace seedlm::server {

v1::BackendCapability ToProto(const BackendUse& use);

}  // namespace seedlm::server
