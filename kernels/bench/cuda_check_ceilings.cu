#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include "kernels/bench/bench_support.h"
#include "kernels/bench/cuda_check_ceilings.h"
#include "kernels/bench/cuda_check_timer.h"
#include "kernels/cuda/cuda_raii.h"
#include "kernels/cuda/seed_search_plan.h"
#include "kernels/cuda/tensor_tile.h"

namespace seedlm::bench {
namespace {

constexpr int kThreads = 256;
constexpr int kChains = 8;  // independent, so that latency is hidden

// A mixing of 32 bits (the finaliser of MurmurHash3).
__device__ inline uint32_t Mixed(uint32_t x) {
  x ^= x >> 16;
  x *= 0x85EBCA6Bu;
  x ^= x >> 13;
  x *= 0xC2B2AE35u;
  return x ^ x >> 16;
}

// Two random float16 of 0.5 <= |x| < 1, so that sums stay finite.
__device__ inline uint32_t RandomHalves(uint32_t number) {
  return (Mixed(number) & 0x83FF83FFu) | 0x38003800u;
}

__global__ void RandomKernel(uint32_t* words, int64_t count, uint32_t or_bits, uint32_t seed) {
  const int64_t index = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (index < count) words[index] = Mixed(static_cast<uint32_t>(index) ^ seed) | or_bits;
}

template <typename T>
__device__ inline T FusedAdd(T a, T b, T c) {
  if constexpr (sizeof(T) == sizeof(float)) {
    return cuda::MulAdd(a, b, c);
  } else {
    return fma(a, b, c);
  }
}

// Results go to memory, or the compiler removes it all.
template <typename T>
__global__ void FmaKernel(int steps, T* out) {
  T chain[kChains];
  const T factor = T(1) + T(1e-7) * static_cast<T>(threadIdx.x);
  SEEDLM_UNROLL
  for (int i = 0; i < kChains; ++i) chain[i] = static_cast<T>(i);
  for (int step = 0; step < steps; ++step) {
    SEEDLM_UNROLL
    for (int i = 0; i < kChains; ++i) chain[i] = FusedAdd<T>(chain[i], factor, T(0.5));
  }
  T sum = 0;
  SEEDLM_UNROLL
  for (int i = 0; i < kChains; ++i) sum += chain[i];
  out[int64_t{blockIdx.x} * blockDim.x + threadIdx.x] = sum;
}

// Products of the same shape as the search's, from registers. Random operands: a device that
// multiplies zeros takes less power and runs faster.
__global__ void MmaKernel(int steps, float* out) {
  const uint32_t number = (blockIdx.x * blockDim.x + threadIdx.x) * 64;
  cuda::FragmentA a[2];
  cuda::FragmentB b[kChains];
  cuda::FragmentD chain[kChains] = {};
  SEEDLM_UNROLL
  for (uint32_t i = 0; i < 8; ++i) a[i / 4].at[i % 4] = RandomHalves(number + i);
  SEEDLM_UNROLL
  for (uint32_t i = 0; i < 2 * kChains; ++i) b[i / 2].at[i % 2] = RandomHalves(number + 8 + i);
  for (int step = 0; step < steps; step += 2) {
    SEEDLM_UNROLL
    for (int i = 0; i < kChains; ++i) cuda::MultiplyAccumulate(chain[i], a[0], b[i]);
    SEEDLM_UNROLL
    for (int i = 0; i < kChains; ++i) cuda::MultiplyAccumulate(chain[i], a[1], b[i]);
  }
  float sum = 0;
  SEEDLM_UNROLL
  for (int i = 0; i < kChains; ++i) sum += chain[i].at[0] + chain[i].at[3];
  out[int64_t{blockIdx.x} * blockDim.x + threadIdx.x] = sum;
}
constexpr double kMmaFlops = 2.0 * 16 * 8 * 16;  // of a warp's product

struct Buffers {
  cuda::Stream stream, other;
  cuda::DeviceMemory first, second;
  cuda::PinnedMemory up, down;
};

absl::StatusOr<Buffers> MakeBuffers(size_t device_bytes, size_t pinned_bytes) {
  Buffers made;
  for (cuda::Stream* stream : {&made.stream, &made.other}) {
    auto one = cuda::MakeStream();
    if (!one.ok()) return one.status();
    *stream = *std::move(one);
  }
  for (cuda::DeviceMemory* memory : {&made.first, &made.second}) {
    auto one = cuda::MakeDeviceMemory(device_bytes);
    if (!one.ok()) return one.status();
    *memory = *std::move(one);
  }
  for (cuda::PinnedMemory* memory : {&made.up, &made.down}) {
    auto one = cuda::MakePinnedMemory(pinned_bytes);
    if (!one.ok()) return one.status();
    *memory = *std::move(one);
    std::memset(memory->get(), 0x5B, pinned_bytes);  // its pages are there
  }
  return made;
}

}  // namespace

cudaError_t QueueRandomBits(uint32_t* words, int64_t count, uint32_t or_bits, uint32_t seed,
                            cudaStream_t stream) {
  return cuda::Launch(RandomKernel, {cuda::CeilDivide(count, kThreads), 1, kThreads}, stream, words,
                      count, or_bits, seed);
}

absl::StatusOr<Ceilings> MeasureCeilings(int processors, bool small) {
  constexpr int kRepeats = 5;
  const int steps = small ? 4 : 1 << 14;
  const int blocks = small ? 1 : 16 * processors;
  const size_t bytes = small ? size_t{1} << 16 : size_t{1} << 30;
  const size_t pinned = small ? size_t{1} << 12 : size_t{1} << 28;
  const auto made = MakeBuffers(bytes, pinned);
  if (!made.ok()) return made.status();
  const Buffers& buffers = *made;
  cudaStream_t stream = buffers.stream.get();
  void *first = buffers.first.get(), *second = buffers.second.get();
  const cuda::LaunchShape shape{blocks, 1, kThreads};
  Timer timer(stream);
  cudaError_t error = cudaSuccess;
  // The least of several.
  const auto time = [&](const auto& queue) {
    double least = 1e30, seconds = 0;
    for (int i = 0; i < kRepeats && error == cudaSuccess; ++i) {
      error = timer.Time(queue, seconds);
      least = std::min(least, seconds);
    }
    return least;
  };
  const auto rounds = static_cast<double>(int64_t{blocks} * kThreads * kChains) * steps;
  const auto size = static_cast<double>(pinned);
  Ceilings ceilings;
  ceilings.fma_per_second =
      rounds / time([&] {
        return cuda::Launch(FmaKernel<float>, shape, stream, steps, static_cast<float*>(first));
      });
  ceilings.fma64_per_second =
      rounds / time([&] {
        return cuda::Launch(FmaKernel<double>, shape, stream, steps, static_cast<double*>(first));
      });
  ceilings.tensor_flops_per_second =
      rounds / cuda::kWarpSize * kMmaFlops / time([&] {
        return cuda::Launch(MmaKernel, shape, stream, steps, static_cast<float*>(first));
      });
  if (error == cudaSuccess) {
    error = QueueRandomBits(static_cast<uint32_t*>(first), static_cast<int64_t>(bytes / 4), 0, 1,
                            stream);
  }
  ceilings.copy_bytes_per_second =
      2.0 * static_cast<double>(bytes) /
      time([&] { return cudaMemcpyAsync(second, first, bytes, cudaMemcpyDeviceToDevice, stream); });
  const auto upload = [&](cudaStream_t on) {
    return cudaMemcpyAsync(first, buffers.up.get(), pinned, cudaMemcpyHostToDevice, on);
  };
  const auto download = [&](cudaStream_t on) {
    return cudaMemcpyAsync(buffers.down.get(), second, pinned, cudaMemcpyDeviceToHost, on);
  };
  ceilings.upload_bytes_per_second = size / time([&] { return upload(stream); });
  ceilings.download_bytes_per_second = size / time([&] { return download(stream); });
  const Stopwatch both;
  for (int i = 0; i < kRepeats && error == cudaSuccess; ++i) {
    error = upload(stream);
    if (error == cudaSuccess) error = download(buffers.other.get());
  }
  for (cudaStream_t each : {stream, buffers.other.get()}) {
    if (error == cudaSuccess) error = cudaStreamSynchronize(each);
  }
  ceilings.both_bytes_per_second = size * kRepeats / both.seconds();
  if (error != cudaSuccess) return cuda::ToStatus(error, "measuring ceilings");
  return ceilings;
}

// The fields by their names, for both directions.
template <typename CeilingsOrConst, typename Visit>
void ForEachField(CeilingsOrConst& ceilings, const Visit& visit) {
  visit("fma_per_second", ceilings.fma_per_second);
  visit("fma64_per_second", ceilings.fma64_per_second);
  visit("tensor_flops_per_second", ceilings.tensor_flops_per_second);
  visit("copy_bytes_per_second", ceilings.copy_bytes_per_second);
  visit("upload_bytes_per_second", ceilings.upload_bytes_per_second);
  visit("download_bytes_per_second", ceilings.download_bytes_per_second);
  visit("both_bytes_per_second", ceilings.both_bytes_per_second);
}

nlohmann::ordered_json ToJson(const Ceilings& ceilings) {
  nlohmann::ordered_json json;
  ForEachField(ceilings, [&](const char* name, double value) { json[name] = value; });
  return json;
}

Ceilings CeilingsOf(const nlohmann::ordered_json& json) {
  Ceilings ceilings;
  ForEachField(ceilings, [&](const char* name, double& value) { value = json.value(name, 0.0); });
  return ceilings;
}

}  // namespace seedlm::bench
