// A job as one HTML page for people: figures, pictures, the table underneath.
#pragma once

#include <string>
#include <string_view>

#include "client/report/job_history.h"

namespace seedlm::client {

// What every page begins with.
inline constexpr std::string_view kPageBegin = "<!DOCTYPE html>\n";

// One file without scripts and without anything from the network; light or dark as the reader's
// system is. Names and messages are shown as text whatever is in them. The same history gives the
// same bytes.
std::string RenderReport(const JobHistory& history);

}  // namespace seedlm::client
