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
  int threads = 0;                    // 0: one for each core
  // What layers have been fed with (layer_inputs.h), not owned: for these the error of the output
  // is measured, by a backend of the registry.
  const format::Checkpoint* activations = nullptr;
  std::string backend = "auto";
};

struct TensorCheck {
  std::string name;
  int64_t rows = 0;
  int64_t columns = 0;
  double squared_error = 0;  // against float32 decoding, before any rounding to the dtype
  double squared_weights = 0;
  double max_error = 0;  // largest |w - decoded|

  // Of the layer's output Y = X W^T over `samples` rows of X; 0 samples: there were no activations.
  int64_t samples = 0;
  double squared_output_error = 0;  // |X W^T - X W'^T|^2, Frobenius
  double squared_output = 0;        // |X W^T|^2

  // Frobenius norm of the difference over that of the source. All zero on both sides: 0.
  double relative_error() const;
  double output_error() const;  // the same, of the output
};

struct VerifyReport {
  std::vector<TensorCheck> tensors;             // compressed ones, in file order
  std::vector<std::string> passed_through;      // names of the others that are as they were
  std::vector<std::string> unused_activations;  // names that no compressed tensor has
  std::vector<std::string> problems;  // "tensor 'N': row 3, block 7: ..."; empty: it passed

  double relative_error() const;
  double max_error() const;
};

// Every compressed tensor is decoded row by row, memory bounded. The others must be byte-identical,
// and both sides must have the same tensors. A damaged plane is a problem, not an error. If most
// blocks of the first compressed tensor are not the original's, that is the only problem told.
// Errors: those of reading the files, FAILED_PRECONDITION if one changed meanwhile; with
// activations, those of LayerInputs, of backend::OpenBackend and of its meter; CANCELLED after
// `stop`.
absl::StatusOr<VerifyReport> Verify(const PackedCheckpoint& compressed,
                                    const format::Checkpoint& original,
                                    const VerifyOptions& options, std::stop_token stop,
                                    const std::function<void(const VerifyProgress&)>& on_progress);

}  // namespace seedlm::verify
