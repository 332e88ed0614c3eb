// One function a command: declares its options and says what runs. One file each.
#pragma once

#include "client/command.h"

namespace seedlm::client {

void AddCompress(Command& app);
void AddSubmit(Command& app);
void AddStatus(Command& app);
void AddWait(Command& app);
void AddWatch(Command& app);
void AddList(Command& app);
void AddCancel(Command& app);
void AddResume(Command& app);
void AddDelete(Command& app);
void AddArtifacts(Command& app);
void AddFetch(Command& app);
void AddReport(Command& app);
void AddDevices(Command& app);
void AddEstimate(Command& app);
void AddDecompress(Command& app);
void AddInspect(Command& app);
void AddVerify(Command& app);

// Parses the command line, runs the command, prints its error. The process's exit code.
int Main(int argc, char** argv);

}  // namespace seedlm::client
