// Compares a compressed checkpoint with its source.
#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "kernels/verify/packed_checkpoint.h"

namespace seedlm::verify {

struct VerifyProgress {
  int64_t done = 0;  // weights
  int64_t total = 0;
  std::string current{};  // tensor
  std::string phase{};    // set while a sample is encoded again, which is not counted in weights
  double phase_fraction = 0;  // of that, 0 .. 1
};

struct VerifyOptions {
  std::optional<double> max_error{};  // of a tensor's relative error
  int sample = 4;                     // blocks of each tensor that are encoded again
};

struct TensorCheck {
  std::string name;
  int64_t rows = 0;
  int64_t columns = 0;
  double squared_error = 0;  // against float32 decoding, before any rounding to the dtype
  double squared_weights = 0;
  double max_error = 0;  // largest |w - decoded|

  // Frobenius norm of the difference over that of the source. All zero on both sides: 0.
  double relative_error() const;
};

struct VerifyReport {
  std::vector<TensorCheck> tensors;         // compressed ones, in file order
  std::vector<std::string> passed_through;  // names of the others that are as they were
  std::vector<std::string> problems;        // "tensor 'N': row 3, block 7: ..."; empty: it passed

  double relative_error() const;
  double max_error() const;
};

// Every compressed tensor is decoded row by row, memory bounded. The others must be byte-identical,
// and both sides must have the same tensors. A damaged plane is a problem, not an error.
// Errors: those of opening the files; CANCELLED after `stop`.
absl::StatusOr<VerifyReport> Verify(const PackedCheckpoint& compressed,
                                    const format::Checkpoint& original,
                                    const VerifyOptions& options, std::stop_token stop,
                                    const std::function<void(const VerifyProgress&)>& on_progress);

}  // namespace seedlm::verify
