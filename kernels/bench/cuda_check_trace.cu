#include <cxxabi.h>

#include <algorithm>
#include <cstdlib>
#include <numeric>
#include <optional>

#include "kernels/bench/cuda_check_trace.h"
#include "kernels/cuda/cell_search_kernel.h"
#include "kernels/cuda/launch_watcher.h"
#include "kernels/cuda/seed_search_kernel.h"

namespace seedlm::bench {
namespace {

// "ScanKernel"; in the emulation, which has no names, "kernel 3".
std::string KernelName(const void* kernel, size_t number) {
#if defined(SEEDLM_CUDA_EMULATION)
  static_cast<void>(kernel);
  return "kernel " + std::to_string(number);
#else
  const char* mangled = nullptr;
  if (cudaFuncGetName(&mangled, kernel) != cudaSuccess) return "kernel " + std::to_string(number);
  int status = 0;
  char* readable = abi::__cxa_demangle(mangled, nullptr, nullptr, &status);
  std::string name = status == 0 ? readable : mangled;
  std::free(readable);
  name = name.substr(0, name.find('<'));  // templates
  if (const size_t space = name.rfind(' '); space != std::string::npos) name.erase(0, space + 1);
  if (const size_t room = name.rfind(':'); room != std::string::npos) name.erase(0, room + 1);
  return name;
#endif
}

template <typename T>
cudaError_t Download(const T* from, size_t count, cudaStream_t stream, std::vector<T>& to) {
  to.resize(count);
  const cudaError_t error =
      cudaMemcpyAsync(to.data(), from, count * sizeof(T), cudaMemcpyDeviceToHost, stream);
  return error == cudaSuccess ? cudaStreamSynchronize(stream) : error;
}

}  // namespace

class SearchTrace::Watcher : public cuda::LaunchWatcher {
 public:
  struct Launch {
    std::string name;
    cudaEvent_t begin = nullptr;
    cudaEvent_t end = nullptr;
  };

  ~Watcher() override {
    for (const Launch& launch : launches) {
      cudaEventDestroy(launch.begin);
      cudaEventDestroy(launch.end);
    }
  }
  void Before(const void* kernel, cudaStream_t stream) override {
    Launch launch{KernelName(kernel, launches.size())};
    Keep(cudaEventCreate(&launch.begin));
    Keep(cudaEventCreate(&launch.end));
    if (error == cudaSuccess) Keep(cudaEventRecord(launch.begin, stream));
    launches.push_back(std::move(launch));
  }
  void After(cudaStream_t stream) override {
    if (error == cudaSuccess) Keep(cudaEventRecord(launches.back().end, stream));
  }
  void Argument(const std::type_info& type, const void* argument) override {
    if (type == typeid(cuda::Workspace)) work = *static_cast<const cuda::Workspace*>(argument);
    if (type == typeid(cuda::CellWork)) cells = *static_cast<const cuda::CellWork*>(argument);
  }
  void Keep(cudaError_t next) {
    if (error == cudaSuccess) error = next;
  }

  std::vector<Launch> launches;
  std::optional<cuda::Workspace> work;
  std::optional<cuda::CellWork> cells;
  cudaError_t error = cudaSuccess;
};

SearchTrace::SearchTrace() : watcher_(std::make_unique<Watcher>()) {
  cuda::launch_watcher = watcher_.get();
}

SearchTrace::~SearchTrace() { cuda::launch_watcher = nullptr; }

cudaError_t SearchTrace::Read(int64_t count, cudaStream_t stream, SearchCounts& counts) {
  Watcher& seen = *watcher_;
  seen.Keep(cudaStreamSynchronize(stream));
  for (const auto& [name, begin, end] : seen.launches) {
    float milliseconds = 0;
    if (seen.error == cudaSuccess) seen.Keep(cudaEventElapsedTime(&milliseconds, begin, end));
    counts.seconds.emplace_back(name, 1e-3 * static_cast<double>(milliseconds));
  }
  if (seen.error != cudaSuccess || !seen.work) return seen.error;
  std::vector<uint32_t> words;
  seen.Keep(Download(seen.work->counters, 2, stream, words));
  if (seen.error != cudaSuccess) return seen.error;
  counts.queued = words[0];
  counts.hard_blocks = words[1];
  counts.capacity = seen.work->queue_capacity;
  const auto entries = static_cast<size_t>(std::min(counts.queued, counts.capacity));
  seen.Keep(Download(seen.work->queue_block, entries, stream, words));
  if (seen.error != cudaSuccess) return seen.error;
  counts.survivors =
      static_cast<int64_t>(entries) - std::count(words.begin(), words.end(), cuda::kNone);
  if (!seen.cells) return seen.error;
  seen.Keep(Download(seen.cells->prefixes, static_cast<size_t>(count), stream, words));
  counts.prefixes = std::accumulate(words.begin(), words.end(), int64_t{0});
  if (seen.error == cudaSuccess) seen.Keep(Download(seen.cells->cursor + 1, 1, stream, words));
  if (seen.error == cudaSuccess) counts.visits = words[0];
  return seen.error;
}

}  // namespace seedlm::bench
