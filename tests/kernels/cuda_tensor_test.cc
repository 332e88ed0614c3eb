// The scalar model of a tensor core, and what the margin proof takes from it.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <random>
#include <vector>

#include "kernels/cuda/seed_search.h"
#include "kernels/cuda/tensor_tile.h"

namespace seedlm::cuda {
namespace {

std::vector<uint16_t> Halves(const std::vector<float>& values) {
  std::vector<uint16_t> halves;
  for (const float value : values) halves.push_back(codec::ToFloat16(value));
  return halves;
}

TEST_CASE("small integers multiply exactly", "[cuda][tensor]") {
  const auto a = Halves({1, 2, -3, 0.5f}), b = Halves({4, -5, 6, 8});
  CHECK(ModelDotProduct(a.data(), b.data(), 4, 100) == 100 + 4 - 10 - 18 + 4);
  CHECK(ModelDotProduct(a.data(), b.data(), 0, 0) == 0);
}

TEST_CASE("what is far below the largest term is cut off, towards zero", "[cuda][tensor]") {
  const auto a = Halves({1, 0x1p-14f, -0x1p-14f}), b = Halves({1, 0x1.8p-10f, 0x1.8p-10f});
  // 1.5 * 2^-24 beside 1: no bit of it is left with 24 bits, whatever its sign.
  CHECK(ModelDotProduct(a.data(), b.data(), 2, 0) == 1);
  CHECK(ModelDotProduct(a.data(), b.data(), 3, 0) == 1);
}

// The margin counts 17 truncations of 2^-23 of 4 a step; sums that are smaller are cut less.
TEST_CASE("an accumulation errs no more than the margin counts", "[cuda][tensor]") {
  std::mt19937 bits(1);
  std::uniform_real_distribution<float> uniform(-1, 1);
  double worst = 0;
  for (int round = 0; round < 20000; ++round) {
    std::vector<float> x(16), y(16);
    for (int i = 0; i < 16; ++i) {
      x[static_cast<size_t>(i)] = std::ldexp(uniform(bits), -static_cast<int>(bits() % 12));
      y[static_cast<size_t>(i)] = uniform(bits);
    }
    const auto a = Halves(x), b = Halves(y);
    const float accumulator = 2 * uniform(bits);
    double exact = accumulator;
    for (size_t i = 0; i < 16; ++i) {
      exact += double{codec::FromFloat16(a[i])} * double{codec::FromFloat16(b[i])};
    }
    if (std::abs(exact) > 4) continue;
    worst = std::max(worst, std::abs(exact - ModelDotProduct(a.data(), b.data(), 16, accumulator)));
  }
  CHECK(worst <= kAccumulation);
  CHECK(worst > kAccumulation / 100);  // it does cut
}

void MultiplyKernel(const uint16_t* a, const uint16_t* b, float* d) {
  const int g = static_cast<int>(threadIdx.x) / 4, t = static_cast<int>(threadIdx.x) % 4;
  const auto pair = [](uint32_t low, uint32_t high) { return low | high << 16; };
  const auto from_a = [&](int row, int column) {
    return pair(a[row * 16 + column], a[row * 16 + column + 1]);
  };
  const auto from_b = [&](int row) { return pair(b[row * 8 + g], b[(row + 1) * 8 + g]); };
  FragmentD sums{};
  MultiplyAccumulate(
      sums,
      {{from_a(g, 2 * t), from_a(g + 8, 2 * t), from_a(g, 2 * t + 8), from_a(g + 8, 2 * t + 8)}},
      {{from_b(2 * t), from_b(2 * t + 8)}});
  for (int i = 0; i < 4; ++i) d[(g + i / 2 * 8) * 8 + 2 * t + i % 2] = sums.at[i];
}

TEST_CASE("a tile is the product of its matrices", "[cuda][tensor]") {
  std::vector<float> x, y;
  for (int i = 0; i < 16 * 16; ++i) x.push_back(static_cast<float>(i % 7 - 3));
  for (int i = 0; i < 16 * 8; ++i) y.push_back(static_cast<float>(i % 5 - 2));
  const auto a = Halves(x), b = Halves(y);
  std::vector<float> d(16 * 8);
  cudaStream_t stream = nullptr;
  REQUIRE(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess);
  REQUIRE(Launch(MultiplyKernel, {1, 1, 32}, stream, a.data(), b.data(), d.data()) == cudaSuccess);
  REQUIRE(cudaStreamSynchronize(stream) == cudaSuccess);
  cudaStreamDestroy(stream);
  for (size_t row = 0; row < 16; ++row) {
    for (size_t column = 0; column < 8; ++column) {
      float expected = 0;
      for (size_t k = 0; k < 16; ++k) expected += x[row * 16 + k] * y[k * 8 + column];
      CHECK(d[row * 8 + column] == expected);
    }
  }
}

}  // namespace
}  // namespace seedlm::cuda
