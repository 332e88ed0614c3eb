// The slots of a tensor-core product (tensor_tile.h says what stands in them).
#pragma once

namespace seedlm::cuda {

constexpr int TensorTerms(int block) { return block * (block + 1) / 2; }
// Steps of 16 slots: the terms and two for the threshold.
constexpr int TensorSteps(int block) { return (TensorTerms(block) + 2 + 15) / 16; }

}  // namespace seedlm::cuda
