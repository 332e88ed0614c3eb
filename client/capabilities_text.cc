#include "client/capabilities_text.h"

#include "absl/strings/str_cat.h"
#include "client/job_json.h"
#include "client/table.h"
#include "client/text.h"

namespace seedlm::client {
namespace {

std::string OrDash(const std::string& text) { return text.empty() ? "-" : text; }

}  // namespace

std::string CapabilitiesText(const v1::Capabilities& capabilities) {
  Table backends({{"BACKEND"}, {"AVAILABLE"}, {"WORKERS", Align::kRight}, {"DESCRIPTION"}});
  Table devices({{"DEVICE"},
                 {"AVAILABLE"},
                 {"MEMORY", Align::kRight},
                 {"PCI ADDRESS"},
                 {"NAME"},
                 {"WHY NOT"}});
  for (const v1::BackendCapability& backend : capabilities.backends()) {
    backends.AddRow({backend.name(), backend.available() ? "yes" : "no",
                     absl::StrCat(backend.workers()),
                     backend.available() ? backend.description() : backend.why_unavailable()});
    for (const v1::DeviceCapability& device : backend.devices()) {
      const int64_t memory = device.memory_bytes();
      devices.AddRow(
          {absl::StrCat(backend.name(), " ", device.index()), device.available() ? "yes" : "no",
           memory > 0 ? FormatBytes(static_cast<uint64_t>(memory)) : "-",
           OrDash(device.pci_address()), OrDash(device.name()), device.why_unavailable()});
    }
  }
  std::string out = absl::StrCat("version ", capabilities.version(), ", profiles");
  for (const int profile : capabilities.profiles()) {
    absl::StrAppend(&out, " ", ProfileName(static_cast<v1::Profile>(profile)));
  }
  absl::StrAppend(&out, "\n", backends.Render());
  if (!devices.empty()) absl::StrAppend(&out, "\n", devices.Render());
  return out;
}

}  // namespace seedlm::client
