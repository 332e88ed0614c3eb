#include "server/rpc/backend_conversion.h"

namespace seedlm::server {

v1::BackendCapability ToProto(const BackendUse& use) {
  v1::BackendCapability capability;
  capability.set_name(use.info.name);
  capability.set_description(use.info.description);
  capability.set_available(use.info.available);
  capability.set_why_unavailable(use.info.why_unavailable);
  capability.set_workers(use.workers);
  for (const backend::DeviceInfo& info : use.info.devices) {
    v1::DeviceCapability& device = *capability.add_devices();
    device.set_index(info.index);
    device.set_name(info.name);
    device.set_pci_address(info.pci_address);
    device.set_memory_bytes(info.memory);
    device.set_available(info.why_unavailable.empty());
    device.set_why_unavailable(info.why_unavailable);
  }
  return capability;
}

}  // namespace seedlm::server
