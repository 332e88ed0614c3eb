#include "kernels/bench/cuda_check_device.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include "kernels/cuda/cuda_status.h"
#include "kernels/cuda/device.h"

namespace seedlm::bench {
namespace {

using nlohmann::ordered_json;

#if !defined(SEEDLM_CUDA_EMULATION)

// The C interface of libnvidia-ml, as far as it is used here; codes and handles are opaque.
class Management {
 public:
  // Of no device.
  Management() {
    library_ = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    open_ = library_ != nullptr && Call<int()>("nvmlInit_v2") == 0;
  }
  explicit Management(int device) : Management() {
    char bus[32];
    if (!open_ || cudaDeviceGetPCIBusId(bus, sizeof bus, device) != cudaSuccess ||
        Call<int(const char*, void**)>("nvmlDeviceGetHandleByPciBusId_v2", bus, &handle_) != 0) {
      handle_ = nullptr;
    }
  }

  void HoldDevices() const {
    unsigned count = 0;
    if (!open_ || Call<int(unsigned*)>("nvmlDeviceGetCount_v2", &count) != 0) return;
    void* handle = nullptr;
    for (unsigned i = 0; i < count; ++i) {
      Call<int(unsigned, void**)>("nvmlDeviceGetHandleByIndex_v2", i, &handle);
    }
  }

  std::string Driver() const {
    char text[96] = "";
    if (handle_ == nullptr || Call<int(char*, unsigned)>("nvmlSystemGetDriverVersion", text,
                                                         unsigned{sizeof text}) != 0) {
      return "unknown";
    }
    return text;
  }
  void Read(ordered_json& to, const char* name, const char* function, double unit = 1) const {
    unsigned value = 0;
    if (handle_ == nullptr || Call<int(void*, unsigned*)>(function, handle_, &value) != 0) return;
    to[name] = value * unit;
  }
  // With a selector: of a clock, of a sensor.
  void Read(ordered_json& to, const char* name, const char* function, int selector) const {
    unsigned value = 0;
    if (handle_ == nullptr ||
        Call<int(void*, int, unsigned*)>(function, handle_, selector, &value) != 0) {
      return;
    }
    to[name] = value;
  }

 private:
  template <typename Function, typename... Arguments>
  int Call(const char* name, Arguments... arguments) const {
    auto* function = reinterpret_cast<Function*>(dlsym(library_, name));
    return function == nullptr ? -1 : function(arguments...);
  }

  void* library_ = nullptr;  // stays loaded
  bool open_ = false;
  void* handle_ = nullptr;
};

constexpr int kSmClock = 1, kMemoryClock = 2, kGpuSensor = 0;

void ReadNow(const Management& management, ordered_json& json) {
  management.Read(json, "sm_mhz", "nvmlDeviceGetClockInfo", kSmClock);
  management.Read(json, "memory_mhz", "nvmlDeviceGetClockInfo", kMemoryClock);
  management.Read(json, "watts", "nvmlDeviceGetPowerUsage", 1e-3);
  management.Read(json, "celsius", "nvmlDeviceGetTemperature", kGpuSensor);
}

#endif

}  // namespace

absl::StatusOr<ordered_json> DescribeDevice(int device) {
  cudaDeviceProp properties;
  int driver = 0, runtime = 0;
  cudaError_t error = cudaGetDeviceProperties(&properties, device);
  if (error == cudaSuccess) error = cudaDriverGetVersion(&driver);
  if (error == cudaSuccess) error = cudaRuntimeGetVersion(&runtime);
  if (error != cudaSuccess) return cuda::ToStatus(error, "describing the device");
  ordered_json json{
      {"name", properties.name},
      {"capability", std::to_string(properties.major) + "." + std::to_string(properties.minor)},
      {"processors", properties.multiProcessorCount},
      {"bytes", properties.totalGlobalMem},
      {"cuda_of_driver", driver},
      {"cuda_of_program", runtime}};
#if !defined(SEEDLM_CUDA_EMULATION)
  const Management management(device);
  json["driver"] = management.Driver();
  management.Read(json, "sm_mhz_most", "nvmlDeviceGetMaxClockInfo", kSmClock);
  management.Read(json, "memory_mhz_most", "nvmlDeviceGetMaxClockInfo", kMemoryClock);
  management.Read(json, "watts_most", "nvmlDeviceGetEnforcedPowerLimit", 1e-3);
  management.Read(json, "pcie_generation", "nvmlDeviceGetCurrPcieLinkGeneration");
  management.Read(json, "pcie_lanes", "nvmlDeviceGetCurrPcieLinkWidth");
  ReadNow(management, json);
#endif
  return json;
}

ordered_json ReadClocks(int device) {
  ordered_json json = ordered_json::object();
#if !defined(SEEDLM_CUDA_EMULATION)
  ReadNow(Management(device), json);
#else
  static_cast<void>(device);
#endif
  return json;
}

#if defined(SEEDLM_CUDA_EMULATION)
DeviceKeeper::DeviceKeeper() = default;
DeviceKeeper::~DeviceKeeper() = default;
#else
DeviceKeeper::DeviceKeeper() {
  const pid_t parent = getpid();
  process_ = fork();
  if (process_ != 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(0);
  const int nowhere = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int inherited : {0, 1, 2}) dup2(nowhere, inherited);
  const Management management;
  management.HoldDevices();
  for (;;) pause();
}

DeviceKeeper::~DeviceKeeper() {
  if (process_ < 0) return;
  kill(process_, SIGKILL);  // not waited for: a driver that hangs does not let it go
}
#endif

}  // namespace seedlm::bench
