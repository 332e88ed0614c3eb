// A report for people and for scripts.
#pragma once

#include <string>
#include <vector>

#include "hardware/sim/machine.h"
#include "hardware/sim/model.h"

namespace seedlm::hardware {

// One JSON object, one line: cycles, words, weights, stalls by cause, bytes and bytes a cycle,
// seconds and weights a second at `clock_mhz`. With `checks`: differences by tensor.
std::string ReportJson(const MachineConfig& config, const Report& report, double clock_mhz,
                       const std::vector<TensorCheck>& checks);
// The differences alone, for a model that was decoded and not multiplied.
std::string ChecksJson(const std::vector<TensorCheck>& checks);
// The same as lines.
std::string ChecksText(const std::vector<TensorCheck>& checks);
std::string ReportText(const MachineConfig& config, const Report& report, double clock_mhz,
                       const std::vector<TensorCheck>& checks);

}  // namespace seedlm::hardware
