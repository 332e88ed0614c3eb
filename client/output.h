// What a command was asked for goes to stdout, everything else to stderr.
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace seedlm::client {

// Opens 0, 1 and 2 where the caller has closed them, or the next file that is opened, an output
// perhaps, would have that number and be printed into. What is printed fails then.
void KeepStandardStreams();

void PrintOut(absl::string_view text);    // as it is, flushed: a reader behind a pipe follows along
void PrintNote(absl::string_view text);   // "seedlm: TEXT", one line on stderr
void PrintError(absl::string_view text);  // "seedlm: error: TEXT", one line on stderr

// Why something that PrintOut was given is not written. OK if it all is, and where a reader behind
// a pipe has left: it has seen what it wanted.
absl::Status OutputStatus();

// Whether nobody reads stdout any more (`| head`): who still follows something for it may end.
bool ReaderLeft();

}  // namespace seedlm::client
