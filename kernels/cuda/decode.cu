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
  const LaunchShape thread_a_block{CeilDivide(planes.rows * planes.blocks_per_row, kThreads), 1,
                                   kThreads};
  switch (type) {
    case WeightType::kF32:
      return Launch(DecodeKernel<S, WeightType::kF32>, thread_a_block, stream, planes, weights);
    case WeightType::kF16:
      return Launch(DecodeKernel<S, WeightType::kF16>, thread_a_block, stream, planes, weights);
    case WeightType::kBF16:
      break;
  }
  return Launch(DecodeKernel<S, WeightType::kBF16>, thread_a_block, stream, planes, weights);
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
