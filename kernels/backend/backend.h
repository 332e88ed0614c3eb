// The door to everything that can search: CPU kernels now, GPU kernels through a plug-in.
#pragma once

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "kernels/backend/layer_output.h"
#include "kernels/backend/shard.h"

namespace seedlm::backend {

// Encodes shards. Thread-safe: Encode may run on several threads at once; each call uses the
// calling thread (and, if it has one, its device) only. Every backend returns the same bytes for
// the same input.
class Backend {
 public:
  virtual ~Backend() = default;

  // The registry's name: "reference", "cpu", "cuda".
  virtual std::string_view name() const = 0;
  // What does the work, for people: "AVX2, sliding correlation".
  virtual std::string description() const = 0;

  // Encodes `weights`, blocks never crossing rows, the last block of a row padded with zeros.
  // Errors: INVALID_ARGUMENT for a weight that is NaN or infinite, naming row and column
  // in the tensor, or for kNearest with a fitted table; CANCELLED soon after `stop` is requested
  // (within about 0.1 s); UNAVAILABLE if the device is lost: another backend can encode the shard;
  // INTERNAL if the machine fails.
  virtual absl::StatusOr<EncodedShard> Encode(const EncodeSpec& spec, const WeightRows& weights,
                                              std::stop_token stop) const = 0;

  // A meter for one layer; the backend must outlive it. Here: the CPU's, which every machine has.
  // Errors: FAILED_PRECONDITION where the device has no library for products, RESOURCE_EXHAUSTED
  // and UNAVAILABLE as Encode.
  virtual absl::StatusOr<std::unique_ptr<OutputMeter>> MeterOutputs(
      const Activations& activations) const {
    return MakeCpuOutputMeter(activations);
  }

  // OK, or why no call of this backend can succeed any more: UNAVAILABLE, all of its devices are
  // lost, with the reasons.
  virtual absl::Status Health() const { return absl::OkStatus(); }
};

}  // namespace seedlm::backend
