// What a device is, and what it does at the moment, for the record.
#pragma once

#include <nlohmann/json.hpp>

#include "absl/status/statusor.h"

namespace seedlm::bench {

// Name, size, driver, and by the driver's management library, where there is one, its release and
// the device's clocks, power and link.
absl::StatusOr<nlohmann::ordered_json> DescribeDevice(int device);

// Clocks (MHz), power (W), temperature now; empty where there is no management library.
nlohmann::ordered_json ReadClocks(int device);

}  // namespace seedlm::bench
