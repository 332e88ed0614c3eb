// A job as one HTML page for people: figures, pictures, the table underneath.
#pragma once

#include <string>

#include "client/report/job_history.h"

namespace seedlm::client {

// One file without scripts and without anything from the network; light or dark as the reader's
// system is. Names and messages are shown as text whatever is in them. The same history gives the
// same bytes.
std::string RenderReport(const JobHistory& history);

}  // namespace seedlm::client
