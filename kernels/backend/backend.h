// The door to everything that can search: CPU kernels now, GPU kernels through a plug-in.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/backend/code_check.h"
#include "kernels/backend/layer_output.h"
#include "kernels/backend/shard.h"

namespace seedlm::backend {

// A device of a backend that has some.
struct DeviceInfo {
  int index = 0;            // EncodedShard::device, as a number; other tools may count otherwise
  std::string pci_address;  // "00000000:1B:00.0", as nvidia-smi shows it; empty: not known
  std::string name;
  int64_t memory = 0;           // bytes, all that it has; 0: it could not be asked
  std::string why_unavailable;  // empty: it is in use
};

// Encodes shards. Thread-safe: EncodeAll may run on several threads at once; each call uses the
// calling thread (and, if it has one, its device) only. Every backend returns the same bytes for
// the same input.
class Backend {
 public:
  // Of each shard of a call, in their order.
  using Results = std::vector<absl::StatusOr<EncodedShard>>;

  virtual ~Backend() = default;

  // The registry's name: "reference", "cpu", "cuda".
  virtual std::string_view name() const = 0;
  // What does the work, for people: "AVX2, sliding correlation".
  virtual std::string description() const = 0;

  // The devices that this process sees, those that cannot be used or were taken out with the
  // reason. Here: none, it computes on the host's processors.
  virtual std::vector<DeviceInfo> Devices() const { return {}; }

  // Encodes shards, which may be of different tensors: blocks never cross rows, the last block of a
  // row is padded with zeros. The blocks of small shards are searched together, which is faster
  // than a call for each; a shard's bytes and its error do not depend on the others.
  // REQUIRES: all are of one profile and one fit.
  // Errors, of each shard: INVALID_ARGUMENT for a weight that is NaN or infinite, naming row and
  // column in the tensor, or for kNearest with a fitted table; CANCELLED soon after `stop` is
  // requested (within about 0.1 s); UNAVAILABLE if the device is lost: another backend can encode
  // the shard; INTERNAL if the machine fails.
  virtual Results EncodeAll(std::span<const ShardTask> shards, std::stop_token stop) const = 0;

  // Of a result: another device or backend can encode the shard.
  using IsLost = bool(const absl::Status& status);
  // Replaces the results that are lost by those of encode(their shards). `results`: of `shards`.
  static void EncodeLost(std::span<const ShardTask> shards, IsLost& is_lost,
                         const std::function<Results(std::span<const ShardTask>)>& encode,
                         Results& results);

  // How many blocks of a call, about, make it as fast as it can be. Whoever cuts work into calls
  // needs no larger ones.
  virtual int64_t BlocksTogether(const codec::Profile& profile) const = 0;

  // One shard.
  absl::StatusOr<EncodedShard> Encode(const EncodeSpec& spec, const WeightRows& weights,
                                      std::stop_token stop) const {
    const ShardTask shard{&spec, weights};
    return std::move(EncodeAll({&shard, 1}, std::move(stop)).front());
  }

  // A meter for one layer; the backend must outlive it. Here: the CPU's, which every machine has.
  // Errors: FAILED_PRECONDITION where the device has no library for products, RESOURCE_EXHAUSTED
  // and UNAVAILABLE as EncodeAll.
  virtual absl::StatusOr<std::unique_ptr<OutputMeter>> MeterOutputs(
      const Activations& activations) const {
    return MakeCpuOutputMeter(activations);
  }

  // FindForeignCodes, by whatever is fastest. Here: one code after the other, on the host.
  virtual std::vector<size_t> FindForeign(const CodedBlocks& blocks) const {
    return FindForeignCodes(blocks);
  }

  // OK, or why no call of this backend can succeed any more: UNAVAILABLE, all of its devices are
  // lost, with the reasons.
  virtual absl::Status Health() const { return absl::OkStatus(); }
};

}  // namespace seedlm::backend
