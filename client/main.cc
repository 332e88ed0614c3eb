#include "client/commands/commands.h"

int main(int argc, char** argv) { return seedlm::client::Main(argc, argv); }
