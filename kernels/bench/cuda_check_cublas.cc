#include "kernels/bench/cuda_check_cublas.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "kernels/bench/cuda_check_timer.h"
#include "kernels/codec/basis.h"
#include "kernels/codec/seed_search.h"
#include "kernels/cuda/cublas.h"

namespace seedlm::bench {
namespace {

// P_s of seeds [first, first + count): [count][C * C].
std::vector<float> Projections(const codec::Profile& profile, uint32_t first, uint32_t count) {
  const int c_count = profile.block;
  std::vector<float> projections(size_t{count} * static_cast<size_t>(c_count * c_count));
  float* out = projections.data();
  for (uint32_t seed = first; seed < first + count; ++seed) {
    const codec::Factor f = codec::FactorBasis(profile, codec::MakeBasis(profile, seed));
    for (int a = 0; a < c_count; ++a) {
      for (int b = 0; b < c_count; ++b) {
        double sum = 0;
        for (int p = 0; p < profile.rank; ++p) sum += f.q[a][p] * f.q[b][p];
        *out++ = static_cast<float>(sum);
      }
    }
  }
  return projections;
}

// w w^T / |w|^2: [blocks][C * C].
std::vector<float> OuterProducts(const codec::Profile& profile, const std::vector<float>& blocks) {
  const auto width = static_cast<size_t>(profile.block);
  std::vector<float> products;
  products.reserve(blocks.size() * width);
  for (size_t i = 0; i < blocks.size(); i += width) {
    double squared = 0;
    for (size_t c = 0; c < width; ++c) squared += double{blocks[i + c]} * double{blocks[i + c]};
    for (size_t a = 0; a < width; ++a) {
      for (size_t b = 0; b < width; ++b) {
        const double product = double{blocks[i + a]} * double{blocks[i + b]};
        products.push_back(squared > 0 ? static_cast<float>(product / squared) : 0.0f);
      }
    }
  }
  return products;
}

}  // namespace

cudaError_t ScoreByGemm(const codec::Profile& profile, const std::vector<float>& blocks,
                        GemmResult& result) {
  constexpr uint32_t kChunk = 4096;  // seeds a product
  const int terms = profile.block * profile.block;
  const std::vector<float> products = OuterProducts(profile, blocks);
  const int count = static_cast<int>(products.size() / static_cast<size_t>(terms));
  result.seeds.assign(static_cast<size_t>(count), 0);
  result.scores.assign(static_cast<size_t>(count), -1);
  std::vector<float> scores(size_t{kChunk} * static_cast<size_t>(count));

  cudaStream_t stream = nullptr;
  void *a = nullptr, *b = nullptr, *c = nullptr;
  const size_t a_bytes = size_t{kChunk} * static_cast<size_t>(terms) * sizeof(float);
  cudaError_t error = cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
  if (error == cudaSuccess) error = cudaMalloc(&a, a_bytes);
  if (error == cudaSuccess) error = cudaMalloc(&b, products.size() * sizeof(float));
  if (error == cudaSuccess) error = cudaMalloc(&c, scores.size() * sizeof(float));
  std::optional<cuda::Cublas> cublas(std::in_place);
  if (error == cudaSuccess) result.skipped = cublas->Open(stream);
  if (error == cudaSuccess) {
    error = cudaMemcpyAsync(b, products.data(), products.size() * sizeof(float),
                            cudaMemcpyHostToDevice, stream);
  }
  Timer timer(stream);
  for (uint32_t first = 1; first <= profile.seed_count(); first += kChunk) {
    if (error != cudaSuccess || !result.skipped.empty()) break;
    const uint32_t seeds = std::min(kChunk, profile.seed_count() + 1 - first);
    const std::vector<float> projections = Projections(profile, first, seeds);
    error = cudaMemcpyAsync(a, projections.data(), projections.size() * sizeof(float),
                            cudaMemcpyHostToDevice, stream);
    const auto multiply = [&] {
      const bool done = cublas->MultiplyTransposed(
          static_cast<const float*>(a), static_cast<int>(seeds), static_cast<const float*>(b),
          count, terms, static_cast<float*>(c));
      if (!done) result.skipped = "cublasSgemm failed";
      return cudaSuccess;
    };
    double seconds = 0;
    if (error == cudaSuccess && first == 1) multiply();  // the library loads its kernel
    if (error == cudaSuccess) error = timer.Time(multiply, seconds);
    result.seconds += seconds;
    if (error == cudaSuccess) {
      error = cudaMemcpyAsync(scores.data(), c, size_t{seeds} * static_cast<size_t>(count) * 4,
                              cudaMemcpyDeviceToHost, stream);
    }
    if (error == cudaSuccess) error = cudaStreamSynchronize(stream);
    for (size_t i = 0; i < result.seeds.size() && error == cudaSuccess; ++i) {
      const float* of_block = &scores[i * seeds];
      const float* most = std::max_element(of_block, of_block + seeds);
      if (*most <= result.scores[i]) continue;
      result.scores[i] = *most;
      result.seeds[i] = first + static_cast<uint32_t>(most - of_block);
    }
  }
  cublas.reset();  // before its stream
  cudaFree(a);
  cudaFree(b);
  cudaFree(c);
  if (stream != nullptr) cudaStreamDestroy(stream);
  return error;
}

}  // namespace seedlm::bench
