// A waveform of the pipeline's occupancy, as a value change dump (IEEE 1364, clause 18) that any
// viewer reads.
#pragma once

#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "hardware/sim/machine.h"

namespace seedlm::hardware {

// Signals: word_taken, stall (a vector: the number of the cause, see `$comment`), stages (a bit a
// stage), fifo_bytes, result. One time unit is half a clock.
class Trace {
 public:
  // Errors: INVALID_ARGUMENT for a file that cannot be written. An existing file is replaced.
  static absl::StatusOr<Trace> Create(const std::string& path, const Unit& unit);
  void Add(const CycleView& view);
  // Flushes. DATA_LOSS if anything could not be written.
  absl::Status Close();

 private:
  Trace(std::string path, std::ofstream file) : path_(std::move(path)), file_(std::move(file)) {}
  void Put(int signal, const std::string& value);

  std::string path_;
  std::ofstream file_;
  std::vector<std::string> last_;
};

}  // namespace seedlm::hardware
