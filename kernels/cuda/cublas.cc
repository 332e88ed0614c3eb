#include "kernels/cuda/cublas.h"

#include <dlfcn.h>

#include <utility>

namespace seedlm::cuda {

#if !defined(SEEDLM_CUDA_EMULATION)
namespace {

constexpr const char* kLibraries[] = {"libcublas.so.13", "libcublas.so.12", "libcublas.so"};

// "" or why not. The library stays loaded for good.
std::string LoadCublas(const char* name, Cublas::Api& api) {
  void* library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return dlerror();
  api.create = reinterpret_cast<decltype(api.create)>(dlsym(library, "cublasCreate_v2"));
  api.destroy = reinterpret_cast<decltype(api.destroy)>(dlsym(library, "cublasDestroy_v2"));
  api.set_stream = reinterpret_cast<decltype(api.set_stream)>(dlsym(library, "cublasSetStream_v2"));
  api.sgemm = reinterpret_cast<decltype(api.sgemm)>(dlsym(library, "cublasSgemm_v2"));
  const bool whole = api.create != nullptr && api.destroy != nullptr && api.set_stream != nullptr &&
                     api.sgemm != nullptr;
  return whole ? "" : std::string(name) + " lacks functions of its second interface";
}

}  // namespace
#else
constexpr const char* kLibraries[] = {"model that refuses", "model"};
std::string LoadCublas(const char* name, Cublas::Api& api);  // emulation/cublas_model.cc
#endif

Cublas::~Cublas() {
  if (handle_ != nullptr) api_.destroy(handle_);
}

std::string Cublas::Open(cudaStream_t stream) {
  std::string reasons;
  for (const char* name : kLibraries) {
    std::string why = LoadCublas(name, api_);
    if (why.empty()) why = Start(name, stream);
    if (why.empty()) return "";
    reasons += (reasons.empty() ? "" : "; ") + why;
  }
  return "no cuBLAS: " + reasons;
}

// A library that is there and gives no handle, as one that is newer than the driver, is not the
// last word.
std::string Cublas::Start(const char* name, cudaStream_t stream) {
  if (const int status = api_.create(&handle_); status != 0) {
    handle_ = nullptr;
    return std::string(name) + ": cublasCreate fails with status " + std::to_string(status);
  }
  const int status = api_.set_stream(handle_, stream);
  if (status == 0) return "";
  api_.destroy(std::exchange(handle_, nullptr));
  return std::string(name) + ": cublasSetStream fails with status " + std::to_string(status);
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
