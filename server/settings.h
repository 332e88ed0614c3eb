// All that an operator can set, as one table: flags, configuration file and documentation are made
// of it. To add a setting: a field in ServerOptions (config.h) and a row in settings.cc, then
// `seedlm-server --print-settings > server/SETTINGS.md`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/config.h"
#include "server/setting.h"

namespace seedlm::server {

// In the order of documentation, groups together. Names are unique.
const std::vector<Setting>& Settings();
// Null if there is none.
const Setting* FindSetting(std::string_view name);

// What seedlm-server starts from, before file and flags.
ServerOptions DefaultOptions();

// The default as people read it: "1000", "\"1GiB\"", "none".
std::string DefaultText(const Setting& setting);

// Assigns texts as a flag gives them. INVALID_ARGUMENT: "--threads many is no integer of ..".
absl::Status AssignFlag(const Setting& setting, const std::vector<std::string>& texts,
                        ServerOptions& options);

// Assigns the values of a TOML document; what it does not name stays as it is.
// INVALID_ARGUMENT "FILE:LINE: ..": not TOML, a key that is no setting, a wrong type, a value out
// of range, with what is allowed; `options` is then partly assigned.
absl::Status ApplyConfig(std::string_view toml, const std::string& file, ServerOptions& options);
// The same, and all that is wrong with settings, in the order of the lines; what is right is
// assigned. An error of its own: not TOML, so nothing is known.
absl::StatusOr<std::vector<absl::Status>> ApplyAllOfConfig(std::string_view toml,
                                                           const std::string& file,
                                                           ServerOptions& options);
// As the latter, for a file of at most 1 MiB. NOT_FOUND, PERMISSION_DENIED, INVALID_ARGUMENT.
absl::StatusOr<std::vector<absl::Status>> ApplyAllOfConfigFile(const std::string& file,
                                                               ServerOptions& options);

// A TOML document with every setting at its value in `options`, each explained by a comment.
// ApplyConfig of it on DefaultOptions() gives `options` again. What nobody set is a comment.
std::string PrintConfig(const ServerOptions& options);

// server/SETTINGS.md.
std::string PrintSettings();

}  // namespace seedlm::server
