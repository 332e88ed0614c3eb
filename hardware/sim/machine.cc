#include "hardware/sim/machine.h"

#include <bit>
#include <vector>

#include "absl/strings/str_cat.h"

namespace seedlm::hardware {
namespace {

constexpr int kBlock = 8;

int64_t LinesPerRow(const Unit& unit, int64_t columns) {
  return (columns + unit.columns_per_line() - 1) / unit.columns_per_line();
}

int64_t WordsPerRow(const Unit& unit, int64_t columns) {
  return LinesPerRow(unit, columns) * (unit.columns_per_line() / unit.weights_per_word());
}

absl::Status CheckMatrix(const Unit& unit, const Matrix& matrix, bool first) {
  const auto refuse = [&](const auto&... reason) {
    return absl::InvalidArgumentError(absl::StrCat("matrix '", matrix.name, "': ", reason...));
  };
  if (matrix.rows <= 0 || matrix.columns <= 0) {
    return refuse("has ", matrix.rows, " rows and ", matrix.columns, " columns");
  }
  if (matrix.columns % kBlock != 0) {
    return refuse("a row of ", matrix.columns, " weights is no multiple of the block of ", kBlock);
  }
  if (LinesPerRow(unit, matrix.columns) > kMaxLines) {
    return refuse("a row of ", matrix.columns, " weights is longer than the vector memory, ",
                  kMaxLines * unit.columns_per_line());
  }
  if (matrix.rows > (int64_t{1} << 20)) return refuse("has more than 2^20 rows");
  if (first && matrix.same_vector) return refuse("there is no vector before it");
  return absl::OkStatus();
}

// The two banks of activations, and the loader that fills them in the order of the matrices.
class VectorBanks {
 public:
  VectorBanks(const Unit& unit, std::span<const Matrix> matrices)
      : unit_(unit), matrices_(matrices) {
    Next(0);
  }
  // Whether the vector that the running matrix needs is whole.
  bool ready() const { return full_ > 0; }
  // The running matrix, number `matrix`, has taken its last word; the next one may keep its bank.
  void Release(size_t matrix) {
    const size_t next = matrix + 1;
    if (next < matrices_.size() && matrices_[next].same_vector) return;
    released_ = true;
  }
  // One cycle, after the unit has looked at ready().
  void Tick() {
    if (loading_ < matrices_.size() && full_ < 2) {
      if (--beats_left_ == 0) {
        ++full_;
        Next(loading_ + 1);
      }
    }
    if (released_) {
      --full_;
      released_ = false;
    }
  }

 private:
  void Next(size_t matrix) {
    while (matrix < matrices_.size() && matrices_[matrix].same_vector) ++matrix;
    loading_ = matrix;
    if (matrix < matrices_.size()) {
      beats_left_ = LinesPerRow(unit_, matrices_[matrix].columns) * unit_.beats_per_line();
    }
  }
  const Unit unit_;
  std::span<const Matrix> matrices_;
  size_t loading_ = 0;  // the matrix whose vector is being loaded
  int64_t beats_left_ = 0;
  int full_ = 0;
  bool released_ = false;
};

Stall MemoryStall(PortState state) {
  switch (state) {
    case PortState::kLatency:
      return Stall::kLatency;
    case PortState::kBurstGap:
      return Stall::kBurstGap;
    case PortState::kRefresh:
      return Stall::kRefresh;
    case PortState::kDelivering:
    case PortState::kDone:
      break;
  }
  return Stall::kBandwidth;
}

// What the stages hold: nothing, a word, or the last word of a row.
constexpr uint8_t kEmpty = 0, kWord = 1, kRowEnd = 2;

class Machine {
 public:
  Machine(const MachineConfig& config, std::span<const Matrix> matrices, int64_t words)
      : config_(config),
        matrices_(matrices),
        banks_(config.unit, matrices),
        port_(config.memory, words * config.unit.word_bytes()),
        stages_(static_cast<size_t>(config.unit.latency()), kEmpty) {
    Start();
  }

  bool done() const { return results_left_ == 0 && matrix_ == matrices_.size(); }

  void Cycle(Report& report, const CycleObserver* observer) {
    port_.Tick();
    const bool at_end = stages_.back() == kRowEnd;
    const bool receiver_ready = report.cycles >= next_result_;
    const bool moves = !at_end || receiver_ready;
    const bool result = at_end && receiver_ready;
    if (result) {
      --results_left_;
      next_result_ = report.cycles + config_.result_interval;
    }
    Stall stall = Stall::kDrain;
    const bool taken = Issue(moves, stall);
    if (taken) {
      ++report.words;
    } else {
      ++report.stalls[static_cast<size_t>(stall)];
    }
    if (observer != nullptr) {
      (*observer)({report.cycles, taken, stall, stages_, port_.fifo_bytes(), result});
    }
    if (moves) {
      for (size_t i = stages_.size() - 1; i > 0; --i) stages_[i] = stages_[i - 1];
      stages_[0] = taken ? (row_ended_ ? kRowEnd : kWord) : kEmpty;
    }
    banks_.Tick();
    ++report.cycles;
  }

 private:
  void Start() {
    if (matrix_ == matrices_.size()) return;
    words_in_row_ = WordsPerRow(config_.unit, matrices_[matrix_].columns);
    words_left_in_row_ = words_in_row_;
    rows_left_ = matrices_[matrix_].rows;
    results_left_ += rows_left_;
  }

  // Takes a word if there is one and everything is ready for it; says why not otherwise.
  bool Issue(bool moves, Stall& stall) {
    if (!moves) {
      stall = Stall::kResults;
      return false;
    }
    if (command_) {
      command_ = false;
      ++matrix_;
      Start();
      stall = matrix_ == matrices_.size() ? Stall::kDrain : Stall::kCommand;
      return false;
    }
    if (matrix_ == matrices_.size()) return false;
    if (!banks_.ready()) {
      stall = Stall::kVector;
      return false;
    }
    if (!port_.Take(config_.unit.word_bytes())) {
      stall = MemoryStall(port_.state());
      return false;
    }
    row_ended_ = --words_left_in_row_ == 0;
    if (row_ended_) {
      words_left_in_row_ = words_in_row_;
      if (--rows_left_ == 0) {
        banks_.Release(matrix_);
        command_ = true;
      }
    }
    return true;
  }

  const MachineConfig& config_;
  std::span<const Matrix> matrices_;
  VectorBanks banks_;
  MemoryPort port_;
  std::vector<uint8_t> stages_;
  size_t matrix_ = 0;
  bool command_ = false;  // the next cycle fetches the next matrix's command
  bool row_ended_ = false;
  int64_t words_in_row_ = 0, words_left_in_row_ = 0, rows_left_ = 0;
  int64_t results_left_ = 0;
  int64_t next_result_ = 0;
};

absl::StatusOr<Report> Run(const MachineConfig& config, std::span<const Matrix> matrices,
                           int64_t max_cycles, const CycleObserver* observer) {
  if (absl::Status status = config.Validate(); !status.ok()) return status;
  if (matrices.empty()) return absl::InvalidArgumentError("no matrix to run");
  Report report;
  int64_t words = 0;
  for (const Matrix& matrix : matrices) {
    absl::Status status = CheckMatrix(config.unit, matrix, &matrix == matrices.data());
    if (!status.ok()) return status;
    words += matrix.rows * WordsPerRow(config.unit, matrix.columns);
    report.weights += matrix.rows * matrix.columns;
  }
  Machine machine(config, matrices, words);
  while (!machine.done()) {
    if (report.cycles >= max_cycles) {
      return absl::DeadlineExceededError(absl::StrCat("not done after ", max_cycles, " cycles"));
    }
    machine.Cycle(report, observer);
  }
  report.bytes = words * config.unit.word_bytes();
  return report;
}

}  // namespace

std::string_view Name(Stall stall) {
  constexpr std::string_view kNames[kStalls] = {"results",   "vector",  "command",   "latency",
                                                "burst_gap", "refresh", "bandwidth", "drain"};
  return kNames[static_cast<size_t>(stall)];
}

absl::Status MachineConfig::Validate() const {
  if (unit.lanes < 1 || unit.lanes > 1024 || !std::has_single_bit(unsigned(unit.lanes))) {
    return absl::InvalidArgumentError(
        absl::StrCat("lanes ", unit.lanes, " is not a power of two in [1, 1024]"));
  }
  if (unit.kind == UnitKind::kFp16 && unit.activations != Activations::kFloat16) {
    return absl::InvalidArgumentError("the fp16 unit takes float16 activations only");
  }
  if (result_interval < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("result interval ", result_interval, " is not positive"));
  }
  if (absl::Status status = memory.Validate(); !status.ok()) return status;
  if (memory.fifo_bytes < unit.word_bytes() + memory.bytes_per_cycle) {
    return absl::InvalidArgumentError(absl::StrCat("fifo bytes ", memory.fifo_bytes,
                                                   " hold no word of ", unit.word_bytes(),
                                                   " and a beat of ", memory.bytes_per_cycle));
  }
  return absl::OkStatus();
}

absl::StatusOr<Report> Simulate(const MachineConfig& config, std::span<const Matrix> matrices,
                                int64_t max_cycles) {
  return Run(config, matrices, max_cycles, nullptr);
}

absl::StatusOr<Report> Simulate(const MachineConfig& config, std::span<const Matrix> matrices,
                                int64_t max_cycles, CycleObserver observer) {
  return Run(config, matrices, max_cycles, &observer);
}

}  // namespace seedlm::hardware
