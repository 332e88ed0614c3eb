// A safetensors file that is about to be written.
#pragma once

#include <string>

#include "kernels/format/safetensors.h"

namespace seedlm::format {

struct PlannedOutput {
  std::string relative_path;
  SafetensorsLayout layout;
};

}  // namespace seedlm::format
