// Hidden files and directories of this process, to be removed when it has to leave at once.
#pragma once

#include <string>
#include <vector>

namespace seedlm::client {

// All thread-safe. A registered path need not exist (any more).
void RegisterLeftover(const std::string& path);
void ForgetLeftover(const std::string& path);

// Registers the outputs that this process is writing, found among its open files by their hidden
// names (kernels/format/hidden_name.h). Files that are open for reading only are somebody else's.
void RegisterOpenOutputs();

// From now on RemoveLeftovers removes nothing: the same command will go on from what is there.
void KeepLeftovers();
bool LeftoversAreKept();

// Removes all that is registered. Returns what could not be removed.
std::vector<std::string> RemoveLeftovers();

// The part of `path` that names an output being built; empty if there is none.
std::string HiddenOutput(const std::string& path);

}  // namespace seedlm::client
