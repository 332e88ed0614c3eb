#include "kernels/cuda/cublas.h"

#include <dlfcn.h>

namespace seedlm::cuda {

#if !defined(SEEDLM_CUDA_EMULATION)
namespace {

// "" or why not. The library stays loaded for good.
std::string LoadCublas(Cublas::Api& api) {
  void* library = nullptr;
  std::string why;
  for (const char* name : {"libcublas.so.13", "libcublas.so.12", "libcublas.so"}) {
    library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    if (library != nullptr) break;
    why += (why.empty() ? "" : "; ") + std::string(dlerror());
  }
  if (library == nullptr) return "no cuBLAS: " + why;
  api.create = reinterpret_cast<decltype(api.create)>(dlsym(library, "cublasCreate_v2"));
  api.destroy = reinterpret_cast<decltype(api.destroy)>(dlsym(library, "cublasDestroy_v2"));
  api.set_stream = reinterpret_cast<decltype(api.set_stream)>(dlsym(library, "cublasSetStream_v2"));
  api.sgemm = reinterpret_cast<decltype(api.sgemm)>(dlsym(library, "cublasSgemm_v2"));
  const bool whole = api.create != nullptr && api.destroy != nullptr && api.set_stream != nullptr &&
                     api.sgemm != nullptr;
  return whole ? "" : "no cuBLAS: the library lacks functions of its second interface";
}

}  // namespace
#else
std::string LoadCublas(Cublas::Api& api);  // emulation/cublas_model.cc
#endif

Cublas::~Cublas() {
  if (handle_ != nullptr) api_.destroy(handle_);
}

std::string Cublas::Open(cudaStream_t stream) {
  if (std::string why = LoadCublas(api_); !why.empty()) return why;
  if (const int status = api_.create(&handle_); status != 0) {
    handle_ = nullptr;
    return "no cuBLAS: cublasCreate fails with status " + std::to_string(status);
  }
  const int status = api_.set_stream(handle_, stream);
  return status == 0 ? ""
                     : "no cuBLAS: cublasSetStream fails with status " + std::to_string(status);
}

bool Cublas::MultiplyTransposed(const float* a, int rows, const float* b, int columns, int terms,
                                float* c) const {
  constexpr int kAsIs = 0, kTransposed = 1;  // CUBLAS_OP_N, CUBLAS_OP_T
  const float one = 1, zero = 0;
  // Row-major [rows][terms] is column-major [terms x rows].
  return api_.sgemm(handle_, kTransposed, kAsIs, rows, columns, terms, &one, a, terms, b, terms,
                    &zero, c, rows) == 0;
}

}  // namespace seedlm::cuda
