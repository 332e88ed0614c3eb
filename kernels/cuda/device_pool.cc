#include "kernels/cuda/device_pool.h"

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "kernels/cuda/cell_lists.h"
#include "kernels/cuda/cuda_raii.h"
#include "kernels/cuda/cuda_status.h"

namespace seedlm::cuda {
namespace {

constexpr int kLeastCapability = 8;  // the architectures that the plug-in is compiled for

std::string CudaVersion(int version) {
  return absl::StrCat(version / 1000, ".", version % 1000 / 10);
}

std::string WhyNoDriver() {
  int driver = 0, runtime = 0;
  cudaDriverGetVersion(&driver);
  cudaRuntimeGetVersion(&runtime);
  if (driver == 0) return "no NVIDIA driver";
  return absl::StrCat("the NVIDIA driver is too old: it knows CUDA ", CudaVersion(driver),
                      ", this build needs ", CudaVersion(runtime));
}

std::string WhyNoDevice() {
  const char* visible = std::getenv("CUDA_VISIBLE_DEVICES");
  if (visible == nullptr) return "no NVIDIA device";
  if (*visible == '\0') return "no NVIDIA device: CUDA_VISIBLE_DEVICES is set and empty";
  return absl::StrCat("no NVIDIA device: none is left by CUDA_VISIBLE_DEVICES=", visible);
}

std::string PciAddress(const cudaDeviceProp& properties) {
  return absl::StrFormat("%08X:%02X:%02X.0", properties.pciDomainID, properties.pciBusID,
                         properties.pciDeviceID);
}

size_t TableBytes() {
  size_t bytes = 0;
  for (const codec::Profile& profile : codec::kProfiles) {
    bytes += SearchTables::UpperBoundBytes(profile);
  }
  return bytes;
}

size_t AllCellBytes() {
  size_t bytes = 0;
  for (const codec::Profile& profile : codec::kProfiles) {
    if (UsesCells(profile)) bytes += CellBytes(CellShapeOf(profile));
  }
  return bytes;
}

// What the driver takes beside, for the stacks of kernels.
size_t StackBytes(const cudaDeviceProp& properties) {
  return static_cast<size_t>(properties.multiProcessorCount) *
         static_cast<size_t>(properties.maxThreadsPerMultiProcessor) *
         static_cast<size_t>(kPipeline.stack_bytes);
}

// What searches read of a profile, on a device.
struct DeviceTables {
  DeviceMemory tables, cells;
  TableView view;
};

// `index`: null, or whose lists are taken over.
absl::StatusOr<DeviceTables> MakeTables(const codec::Profile& profile, bool with_cells,
                                        search::IndexStore* index) {
  const SearchTables& tables = SearchTables::For(profile);
  auto memory = MakeDeviceMemory(tables.bytes().size());
  if (!memory.ok()) return memory.status();
  auto stream = MakeStream();
  if (!stream.ok()) return stream.status();
  DeviceTables made{*std::move(memory), {}, {}};
  made.view = tables.ViewAt(static_cast<const std::byte*>(made.tables.get()));
  std::optional<CellImage> image;
  if (with_cells && UsesCells(profile)) {
    const CellShape shape = CellShapeOf(profile);
    auto cells = MakeDeviceMemory(CellBytes(shape));
    if (!cells.ok()) return cells.status();
    made.cells = *std::move(cells);
    image.emplace(profile, shape, index == nullptr ? nullptr : &index->At(profile, 0));
    made.view.cells = image->ViewAt(made.cells.get());
  }
  cudaError_t error = cudaMemcpyAsync(made.tables.get(), tables.bytes().data(),
                                      tables.bytes().size(), cudaMemcpyHostToDevice, stream->get());
  if (error == cudaSuccess && image) error = image->Queue(made.view.cells, stream->get());
  const cudaError_t ended = cudaStreamSynchronize(stream->get());  // the image is in use until then
  if (error == cudaSuccess) error = ended;
  if (error != cudaSuccess) return ToStatus(error, "uploading the tables");
  return made;
}

}  // namespace

bool UsesCells(const codec::Profile& profile) { return profile.block == codec::k4bit.block; }

struct DevicePool::Device {
  int index = 0;
  std::string name, pci_address;
  int processors = 0;
  size_t memory = 0;
  int max_lanes = 0;
  bool cells = false;  // whether there is memory for their lists

  // Guarded by the pool's mutex.
  int in_use = 0;
  int made = 0;
  std::vector<std::unique_ptr<DeviceLane>> idle;
  absl::Status failed;

  std::mutex tables_mutex;  // guards tables
  std::map<std::string_view, DeviceTables> tables;
};

DevicePool::DevicePool(const PoolOptions& options) : options_(options) {}

DevicePool::~DevicePool() {
  for (const auto& device : devices_) {
    cudaSetDevice(device->index);
    device->idle.clear();
    device->tables.clear();
  }
}

absl::StatusOr<std::unique_ptr<DevicePool>> DevicePool::Make(const PoolOptions& options) {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error == cudaErrorInsufficientDriver) return absl::FailedPreconditionError(WhyNoDriver());
  if (error == cudaErrorNoDevice || (error == cudaSuccess && count == 0)) {
    return absl::FailedPreconditionError(WhyNoDevice());
  }
  if (error != cudaSuccess) {
    return absl::FailedPreconditionError(ToStatus(error, "cudaGetDeviceCount").message());
  }
  std::unique_ptr<DevicePool> pool(new DevicePool(options));
  std::string reasons;
  for (int i = 0; i < count; ++i) {
    backend::DeviceInfo info{i, {}, {}, 0, {}};
    const absl::Status added = pool->Add(info);
    if (added.ok()) continue;
    absl::StrAppend(&reasons, reasons.empty() ? "" : "; ", added.message());
    info.why_unavailable = std::string(added.message());
    pool->refused_.push_back(std::move(info));
  }
  if (pool->devices_.empty()) return absl::FailedPreconditionError(reasons);
  return pool;
}

// A device that can be used joins the pool, with as many lanes as its free memory has room for.
absl::Status DevicePool::Add(backend::DeviceInfo& info) {
  const int index = info.index;
  cudaDeviceProp properties;
  if (const cudaError_t error = cudaGetDeviceProperties(&properties, index); error != cudaSuccess) {
    return ToStatus(error, absl::StrCat("device ", index));
  }
  info.name = properties.name;
  info.pci_address = PciAddress(properties);
  info.memory = static_cast<int64_t>(properties.totalGlobalMem);
  auto device = std::make_unique<Device>();
  device->index = index;
  device->name = properties.name;
  device->pci_address = info.pci_address;
  device->processors = properties.multiProcessorCount;
  device->memory = properties.totalGlobalMem;
  if (properties.major < kLeastCapability) {
    return absl::FailedPreconditionError(absl::StrCat(
        "device ", index, " (", device->name, ") has compute capability ", properties.major, ".",
        properties.minor, ", ", kLeastCapability, ".0 is needed"));
  }
  size_t available = 0, total = 0;
  cudaError_t error = cudaSetDevice(index);
  if (error == cudaSuccess) error = cudaMemGetInfo(&available, &total);
  if (error != cudaSuccess) return ToStatus(error, absl::StrCat("device ", index));
  const size_t lane = DeviceLane::DeviceBytes(options_.batch_blocks);
  const size_t always = TableBytes() + StackBytes(properties);
  if (available < always + lane) {
    return absl::FailedPreconditionError(
        absl::StrCat("device ", index, " (", device->name, ") is too small: ", available >> 20,
                     " MiB are free, ", (always + lane) >> 20, " MiB are needed"));
  }
  available -= always;
  device->cells = options_.method == SearchMethod::kCells && available >= AllCellBytes() + lane;
  if (device->cells) available -= AllCellBytes();
  device->max_lanes = static_cast<int>(
      std::min<size_t>(static_cast<size_t>(options_.lanes_per_device), available / lane));
  devices_.push_back(std::move(device));
  return absl::OkStatus();
}

absl::Status DevicePool::Tried::Why(const Device* device) const {
  for (const auto& [tried, why] : devices_) {
    if (tried == device) return why;
  }
  return absl::OkStatus();
}

DevicePool::Device* DevicePool::LeastBusy(const Tried& tried) const {
  Device* best = nullptr;
  for (const auto& device : devices_) {
    if (!device->failed.ok() || device->in_use >= device->max_lanes) continue;
    if (!tried.Why(device.get()).ok()) continue;
    if (best == nullptr || device->in_use < best->in_use) best = device.get();
  }
  return best;
}

// OK: there is one left.
absl::Status DevicePool::AllFailed(const Tried& tried) const {
  std::string reasons;
  for (const auto& device : devices_) {
    const absl::Status why = device->failed.ok() ? tried.Why(device.get()) : device->failed;
    if (why.ok()) return absl::OkStatus();
    absl::StrAppend(&reasons, reasons.empty() ? "" : "; ", "device ", device->index, " (",
                    device->name, "): ", why.message());
  }
  return absl::UnavailableError(absl::StrCat("no CUDA device is left: ", reasons));
}

absl::StatusOr<int> DevicePool::AnyDevice() const {
  const std::lock_guard lock(mutex_);
  const Device* best = nullptr;
  for (const auto& device : devices_) {
    if (!device->failed.ok()) continue;
    if (best == nullptr || device->in_use < best->in_use) best = device.get();
  }
  if (best == nullptr) return AllFailed({});
  return best->index;
}

absl::Status DevicePool::Health() const {
  const std::lock_guard lock(mutex_);
  return AllFailed({});
}

absl::StatusOr<DevicePool::Lease> DevicePool::Take(std::stop_token stop, Tried& tried) {
  for (;;) {
    Device* device = nullptr;
    std::unique_ptr<DeviceLane> lane;
    {
      std::unique_lock lock(mutex_);
      absl::Status none_left;
      changed_.wait(lock, stop, [&] {
        device = LeastBusy(tried);
        none_left = AllFailed(tried);
        return device != nullptr || !none_left.ok();
      });
      if (device == nullptr) {
        return none_left.ok() ? absl::CancelledError("encoding was stopped") : none_left;
      }
      ++device->in_use;
      if (!device->idle.empty()) {
        lane = std::move(device->idle.back());
        device->idle.pop_back();
      }
    }
    absl::Status status = ToStatus(cudaSetDevice(device->index), "cudaSetDevice");
    if (status.ok() && lane == nullptr) {
      auto made = DeviceLane::Make(options_.batch_blocks);
      status = made.status();
      if (made.ok()) lane = std::make_unique<DeviceLane>(*std::move(made));
      const std::lock_guard lock(mutex_);
      if (lane != nullptr) ++device->made;
    }
    if (lane != nullptr && status.ok()) return Lease(*this, *device, std::move(lane));

    // Memory that others have taken meanwhile: with fewer lanes the device goes on, without any it
    // waits for the next call.
    const std::lock_guard lock(mutex_);
    --device->in_use;
    if (!absl::IsResourceExhausted(status)) {
      device->failed = status;
    } else if (device->made > 0) {
      device->max_lanes = device->made;
    } else {
      tried.devices_.emplace_back(device, status);
    }
    changed_.notify_all();
  }
}

void DevicePool::GiveBack(Device& device, std::unique_ptr<DeviceLane> lane) {
  const std::lock_guard lock(mutex_);
  --device.in_use;
  if (device.failed.ok()) {
    device.idle.push_back(std::move(lane));
  } else {
    cudaSetDevice(device.index);
    lane.reset();
  }
  changed_.notify_all();
}

void DevicePool::TakeOut(Device& device, const absl::Status& why, Tried& tried) {
  const std::lock_guard lock(mutex_);
  if (absl::IsResourceExhausted(why)) {
    tried.devices_.emplace_back(&device, why);
  } else if (device.failed.ok()) {
    device.failed = why;
  }
  changed_.notify_all();
}

absl::StatusOr<TableView> DevicePool::TablesOn(Device& device, const codec::Profile& profile) {
  const std::lock_guard lock(device.tables_mutex);
  const std::string_view name = SearchTables::For(profile).name();
  const auto found = device.tables.find(name);
  if (found != device.tables.end()) return found->second.view;
  auto made = MakeTables(profile, device.cells, options_.index.get());
  if (!made.ok()) return made.status();
  return device.tables.emplace(name, *std::move(made)).first->second.view;
}

backend::Backend::Results DevicePool::Lease::EncodeAll(std::span<const backend::ShardTask> shards,
                                                       std::stop_token stop) {
  const auto tables = pool_->TablesOn(*device_, shards.front().spec->profile);
  if (!tables.ok()) return backend::Backend::Results(shards.size(), tables.status());
  auto results = lane_->EncodeAll(pool_->options_.method, shards, *tables, device_->processors,
                                  std::move(stop));
  for (auto& shard : results) {
    if (!shard.ok()) continue;
    shard->device = absl::StrCat(device_->index);
    shard->search = absl::StrCat("device ", device_->index,
                                 tables->cells.exists() ? ", by cells" : ", all seeds");
  }
  return results;
}

std::vector<backend::DeviceInfo> DevicePool::Devices() const {
  std::vector<backend::DeviceInfo> infos = refused_;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& device : devices_) {
      infos.push_back({device->index, device->pci_address, device->name,
                       static_cast<int64_t>(device->memory),
                       std::string(device->failed.message())});
    }
  }
  std::sort(infos.begin(), infos.end(),
            [](const auto& a, const auto& b) { return a.index < b.index; });
  return infos;
}

std::string DevicePool::Description() const {
  const std::lock_guard lock(mutex_);
  std::string text;
  for (const auto& device : devices_) {
    absl::StrAppend(&text, text.empty() ? "" : ", ", device->name, " (", device->processors,
                    " processors, ", device->memory >> 30, " GiB)");
    if (!device->failed.ok()) absl::StrAppend(&text, " taken out: ", device->failed.message());
  }
  return text;
}

size_t DevicePool::BytesPerDevice() const {
  const size_t cells = options_.method == SearchMethod::kCells ? AllCellBytes() : 0;
  return TableBytes() + cells +
         static_cast<size_t>(options_.lanes_per_device) *
             DeviceLane::DeviceBytes(options_.batch_blocks);
}

}  // namespace seedlm::cuda
