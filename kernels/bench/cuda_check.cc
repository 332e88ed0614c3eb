// One program that shows on a machine with an NVIDIA GPU what this project claims of it: first that
// the codes are the reference's, then how fast they are found. Needs a driver, nothing else; cuBLAS
// is used where it is found.
//
//   cuda_check [--small] [--device N] [--blocks N] [--commit TEXT] > result.json
//
// --small: sizes for compute-sanitizer and for the emulation; its rates mean nothing. Exit status:
// 0 all codes are right, 1 some are not, 2 CUDA failed or an argument is not known.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "kernels/bench/cuda_check_ceilings.h"
#include "kernels/bench/cuda_check_correct.h"
#include "kernels/bench/cuda_check_ladder.h"
#include "kernels/cuda/device.h"

namespace seedlm::bench {
namespace {

using nlohmann::ordered_json;

struct Options {
  bool small = false;
  int device = 0;
  int64_t blocks = int64_t{1} << 20;
  std::string commit;
};

bool Parse(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--small") {
      options.small = true;
      continue;
    }
    if (++i == argc) return false;
    if (name == "--device") {
      options.device = std::atoi(argv[i]);
    } else if (name == "--blocks") {
      options.blocks = std::atoll(argv[i]);
    } else if (name == "--commit") {
      options.commit = argv[i];
    } else {
      return false;
    }
  }
  return options.blocks > 0;
}

int Fail(cudaError_t error, const char* what) {
  std::cerr << "cuda_check: " << what << ": " << cudaGetErrorString(error) << '\n';
  return 2;
}

std::string Today() {
  const std::time_t now = std::time(nullptr);
  char text[16];
  std::strftime(text, sizeof text, "%F", std::gmtime(&now));
  return text;
}

int Run(const Options& options) {
  cudaDeviceProp device;
  int driver = 0;
  cudaError_t error = cudaSetDevice(options.device);
  if (error == cudaSuccess) error = cudaGetDeviceProperties(&device, options.device);
  if (error == cudaSuccess) error = cudaDriverGetVersion(&driver);
  if (error != cudaSuccess) return Fail(error, "no device");

  ordered_json result;
  result["program"] = "cuda_check";
  result["device"] = device.name;
  result["processors"] = device.multiProcessorCount;
  result["driver"] = driver;
  result["date"] = Today();
  result["commit"] = options.commit;
  result["small"] = options.small;

  const int threads = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  const CheckSizes sizes = options.small ? CheckSizes{3, 3, 2, threads, false}
                                         : CheckSizes{2048, options.blocks, 4096, threads, true};
  bool failed = false;
  error = CheckAll(sizes, device.multiProcessorCount, result["checks"], failed);
  if (error != cudaSuccess) return Fail(error, "checking codes");
  if (!failed) {  // a wrong result has no speed
    Ceilings ceilings;
    error = MeasureCeilings(device.multiProcessorCount, options.small, ceilings);
    if (error != cudaSuccess) return Fail(error, "measuring ceilings");
    result["ceilings"] = {{"fma_per_second", ceilings.fma_per_second},
                          {"tensor_flops_per_second", ceilings.tensor_flops_per_second},
                          {"copy_bytes_per_second", ceilings.copy_bytes_per_second}};
    error = TimeLadder(options.small ? 3 : options.blocks, device.multiProcessorCount, ceilings,
                       options.small, result["ladder"]);
    if (error != cudaSuccess) return Fail(error, "timing the ladder");
  }
  result["correct"] = !failed;
  std::cout << result.dump(2) << '\n';
  return failed ? 1 : 0;
}

}  // namespace
}  // namespace seedlm::bench

int main(int argc, char** argv) {
  seedlm::bench::Options options;
  if (!seedlm::bench::Parse(argc, argv, options)) {
    std::cerr << "usage: cuda_check [--small] [--device N] [--blocks N] [--commit TEXT]\n";
    return 2;
  }
  return seedlm::bench::Run(options);
}
