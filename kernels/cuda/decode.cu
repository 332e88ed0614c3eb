#include <algorithm>

#include "kernels/codec/shape.h"
#include "kernels/cuda/decode.h"
#include "kernels/cuda/decode_kernel.h"
#include "kernels/cuda/seed_search_plan.h"

namespace seedlm::cuda {
namespace {

constexpr int kThreads = 128;

template <class S>
cudaError_t DecodeFor(const PlanesView& planes, WeightType type, void* weights,
                      cudaStream_t stream) {
  constexpr int kMostParts = 65'535;  // of a grid's second dimension
  constexpr int kEach = 4;            // blocks of a thread, so that it starts once for several
  const LaunchShape parts_of_rows{
      static_cast<int>(planes.rows),
      std::min(CeilDivide(planes.blocks_per_row, kThreads * kEach), kMostParts), kThreads};
  switch (type) {
    case WeightType::kF32:
      return Launch(DecodeKernel<S, WeightType::kF32>, parts_of_rows, stream, planes, weights);
    case WeightType::kF16:
      return Launch(DecodeKernel<S, WeightType::kF16>, parts_of_rows, stream, planes, weights);
    case WeightType::kBF16:
      break;
  }
  return Launch(DecodeKernel<S, WeightType::kBF16>, parts_of_rows, stream, planes, weights);
}

template <class S>
cudaError_t CompareFor(const PlanesView& planes, WeightType type, const void* original,
                       Comparison* rows, cudaStream_t stream) {
  const LaunchShape block_a_row{static_cast<int>(planes.rows), 1, kThreads,
                                kThreads * sizeof(Comparison)};
  return Launch(CompareKernel<S>, block_a_row, stream, planes, type, original, rows);
}

}  // namespace

cudaError_t QueueDecode(const codec::Profile& profile, const PlanesView& planes, WeightType type,
                        void* weights, cudaStream_t stream) {
  return codec::WithShape(profile, [&](auto shape) {
    return DecodeFor<decltype(shape)>(planes, type, weights, stream);
  });
}

cudaError_t QueueCompare(const codec::Profile& profile, const PlanesView& planes, WeightType type,
                         const void* original, Comparison* rows, cudaStream_t stream) {
  return codec::WithShape(profile, [&](auto shape) {
    return CompareFor<decltype(shape)>(planes, type, original, rows, stream);
  });
}

}  // namespace seedlm::cuda
