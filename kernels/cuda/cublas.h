// cuBLAS, opened at run time: a program or plug-in that multiplies matrices starts without it.
#pragma once

#include <string>

#include "kernels/cuda/device.h"

namespace seedlm::cuda {

// A handle of cuBLAS on the device that is current when it is opened. Not thread-safe. With
// SEEDLM_CUDA_EMULATION products are made by emulation/cublas_model.cc.
class Cublas {
 public:
  Cublas() = default;
  ~Cublas();
  Cublas(const Cublas&) = delete;
  Cublas& operator=(const Cublas&) = delete;

  // "" or why there is no cuBLAS: none of its versions is installed and gives a handle. Products go
  // to `stream`.
  std::string Open(cudaStream_t stream);

  // c = a b^T in float32 on the stream; a [rows][terms], b [columns][terms], c [columns][rows], all
  // row-major, the device's. False: cuBLAS refuses.
  bool MultiplyTransposed(const float* a, int rows, const float* b, int columns, int terms,
                          float* c) const;

  // cuBLAS's C interface, as far as it is used here; its handles and codes are opaque.
  struct Api {
    int (*create)(void** handle) = nullptr;
    int (*destroy)(void* handle) = nullptr;
    int (*set_stream)(void* handle, cudaStream_t stream) = nullptr;
    // Column-major: c [m x n] = alpha op(a) [m x k] op(b) [k x n] + beta c.
    int (*sgemm)(void* handle, int op_a, int op_b, int m, int n, int k, const float* alpha,
                 const float* a, int a_stride, const float* b, int b_stride, const float* beta,
                 float* c, int c_stride) = nullptr;
  };

 private:
  std::string Start(const char* name, cudaStream_t stream);

  Api api_;
  void* handle_ = nullptr;
};

}  // namespace seedlm::cuda
