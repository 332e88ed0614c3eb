// Any text as a configuration file: refused by file and line, or taken; and what was taken is
// printed as a file that gives the same settings again.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "server/settings.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace seedlm::server;  // NOLINT(google-build-using-namespace)
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  ServerOptions options = DefaultOptions();
  const absl::Status status = ApplyConfig(text, "fuzz.toml", options);
  if (!status.ok()) {
    const std::string message(status.message());
    if (!absl::IsInvalidArgument(status) || !message.starts_with("fuzz.toml:")) std::abort();
    return 0;
  }
  for (const Setting& setting : Settings()) {
    if (!setting.type->Check(options).ok()) std::abort();
  }
  const std::string printed = PrintConfig(options);
  ServerOptions again = DefaultOptions();
  if (!ApplyConfig(printed, "printed.toml", again).ok()) std::abort();
  if (PrintConfig(again) != printed) std::abort();
  return 0;
}
