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

// Keeps devices initialised for as long as it lives: without persistence mode the driver starts one
// anew for each process that finds it unused. It is a process of its own, which only has the
// management library hold them; where there is none it does nothing.
class DeviceKeeper {
 public:
  DeviceKeeper();
  ~DeviceKeeper();
  DeviceKeeper(const DeviceKeeper&) = delete;
  DeviceKeeper& operator=(const DeviceKeeper&) = delete;

 private:
  int process_ = -1;
};

}  // namespace seedlm::bench
