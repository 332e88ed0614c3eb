// What `seedlm devices` prints.
#pragma once

#include <string>

#include "seedlm/v1/compression_service.pb.h"

namespace seedlm::client {

// A line of the version and the profiles, a table of the backends, and one of the devices where a
// backend has some.
std::string CapabilitiesText(const v1::Capabilities& capabilities);

}  // namespace seedlm::client
