// Where a setting came from, for errors about the file that it names.
#pragma once

#include <string>
#include <string_view>

#include "server/config.h"

namespace seedlm::server {

// `message`, with the setting in front if it begins with the path of a file or directory that a
// setting gave: "--tokens: /etc/x: ..", or "seedlm.toml:3: tokens: /etc/x: ..".
std::string WithSetting(const ServerOptions& options, std::string_view message);

}  // namespace seedlm::server
