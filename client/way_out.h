// "THING: reason; way out": the last part, where an error comes without one.
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace seedlm::client {

// The status's message; if it names no way out ("; "), with one that fits its reason or its code.
// Messages come from many rooms and from other versions of the server: only here is it known what a
// person at this command line can do.
std::string WithWayOut(const absl::Status& status);

// A message up to its way out.
absl::string_view WithoutWayOut(absl::string_view message);

}  // namespace seedlm::client
