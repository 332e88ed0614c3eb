// What a command was asked for goes to stdout, everything else to stderr.
#pragma once

#include "absl/strings/string_view.h"

namespace seedlm::client {

void PrintOut(absl::string_view text);    // as it is, flushed: a reader behind a pipe follows along
void PrintNote(absl::string_view text);   // "seedlm: TEXT", one line on stderr
void PrintError(absl::string_view text);  // "seedlm: error: TEXT", one line on stderr

}  // namespace seedlm::client
