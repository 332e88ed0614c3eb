// What a device can do at most, measured: the ceilings that rates are compared with.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>

#include "absl/status/statusor.h"
#include "kernels/cuda/device.h"

namespace seedlm::bench {

struct Ceilings {
  double fma_per_second = 0;           // float32 multiply-adds
  double fma64_per_second = 0;         // float64 operations, each a multiply-add
  double tensor_flops_per_second = 0;  // of float16 products that are added in float32, by mma.sync
  double copy_bytes_per_second = 0;    // of device memory, read plus written
  double upload_bytes_per_second = 0;  // from pinned memory, alone
  double download_bytes_per_second = 0;  // to pinned memory, alone
  double both_bytes_per_second = 0;      // in each direction, both at a time
};

// `small`: sizes for an emulation and for compute-sanitizer; the figures mean nothing then.
absl::StatusOr<Ceilings> MeasureCeilings(int processors, bool small);

nlohmann::ordered_json ToJson(const Ceilings& ceilings);
Ceilings CeilingsOf(const nlohmann::ordered_json& json);  // what ToJson made; absent ones are 0

// Fills `count` words of the device's with random bits, `or_bits` being set in all of them.
cudaError_t QueueRandomBits(uint32_t* words, int64_t count, uint32_t or_bits, uint32_t seed,
                            cudaStream_t stream);

}  // namespace seedlm::bench
