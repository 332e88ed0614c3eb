// cuBLAS for the emulation: sgemm as a loop, at its place in the stream.
#include <string_view>

#include "kernels/cuda/cublas.h"
#include "kernels/cuda/emulation/runtime_api.h"

namespace seedlm::cuda {
namespace {

struct Handle {
  cudaStream_t stream = nullptr;
};

int Create(void** handle) {
  *handle = new Handle;
  return 0;
}

int Destroy(void* handle) {
  delete static_cast<Handle*>(handle);
  return 0;
}

int SetStream(void* handle, cudaStream_t stream) {
  static_cast<Handle*>(handle)->stream = stream;
  return 0;
}

int Sgemm(void* handle, int op_a, int op_b, int m, int n, int k, const float* alpha, const float* a,
          int a_stride, const float* b, int b_stride, const float* beta, float* c, int c_stride) {
  const float by = *alpha, keep = *beta;  // the host's, read at once
  const auto product = [=] {
    for (int64_t j = 0; j < n; ++j) {
      for (int64_t i = 0; i < m; ++i) {
        float sum = 0;
        for (int64_t t = 0; t < k; ++t) {
          const float x = op_a == 0 ? a[i + t * a_stride] : a[t + i * a_stride];
          const float y = op_b == 0 ? b[t + j * b_stride] : b[j + t * b_stride];
          sum += x * y;
        }
        float& out = c[i + j * c_stride];
        out = by * sum + (keep == 0 ? 0 : keep * out);
      }
    }
  };
  const cudaError_t queued =
      emulation::Enqueue(static_cast<Handle*>(handle)->stream, dim3(1), dim3(1), 0, product);
  return queued == cudaSuccess ? 0 : 13;  // CUBLAS_STATUS_EXECUTION_FAILED
}

}  // namespace

// Two libraries: the first gives no handle, as one that is newer than the driver.
std::string LoadCublas(const char* name, Cublas::Api& api) {
  if (!emulation::HasCublas()) return "no " + std::string(name) + " is emulated";
  constexpr int kNotInitialized = 1;
  const bool refuses = std::string_view(name) != "model";
  api = {&Create, &Destroy, &SetStream, &Sgemm};
  if (refuses) api.create = [](void**) { return kNotInitialized; };
  return "";
}

}  // namespace seedlm::cuda
