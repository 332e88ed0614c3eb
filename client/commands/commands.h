// One function a command: declares its options and says what runs. One file each.
#pragma once

#include <functional>

#include "absl/status/statusor.h"
#include "client/exit_code.h"
#include "client/interrupt.h"

namespace CLI {
class App;
}

namespace seedlm::client {

// What the command line chose. An error is printed as one line and becomes the exit code; an
// interrupt becomes kInterrupted.
using Action = std::function<absl::StatusOr<ExitCode>(const Interrupt& interrupt)>;

void AddCompress(CLI::App& app, Action& chosen);
void AddSubmit(CLI::App& app, Action& chosen);
void AddStatus(CLI::App& app, Action& chosen);
void AddWait(CLI::App& app, Action& chosen);
void AddWatch(CLI::App& app, Action& chosen);
void AddList(CLI::App& app, Action& chosen);
void AddCancel(CLI::App& app, Action& chosen);
void AddResume(CLI::App& app, Action& chosen);
void AddDelete(CLI::App& app, Action& chosen);
void AddArtifacts(CLI::App& app, Action& chosen);
void AddFetch(CLI::App& app, Action& chosen);
void AddReport(CLI::App& app, Action& chosen);
void AddDevices(CLI::App& app, Action& chosen);
void AddEstimate(CLI::App& app, Action& chosen);
void AddDecompress(CLI::App& app, Action& chosen);
void AddInspect(CLI::App& app, Action& chosen);
void AddVerify(CLI::App& app, Action& chosen);

// Parses the command line, runs the command, prints its error. The process's exit code.
int Main(int argc, char** argv);

}  // namespace seedlm::client
