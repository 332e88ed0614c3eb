// What is done next, and in what pieces: pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace seedlm::server {

struct JobView {
  int priority = 0;
  int64_t order = 0;      // of creation, ascending
  bool has_work = false;  // a piece can be handed out now
};

// Index of the job whose work is handed out next: of those that have some, the highest priority,
// then the oldest. So a job that waits for its own last pieces does not keep workers from the next
// job. None: there is nothing to do.
std::optional<size_t> PickJob(std::span<const JobView> jobs);

// A range cut into equal pieces but for the last. Piece i is [i * size, min(total, (i + 1) *
// size)).
struct Pieces {
  int64_t total = 0;
  int64_t size = 1;

  int64_t count() const { return total / size + (total % size != 0); }
  int64_t begin(int64_t piece) const { return piece * size; }
  int64_t length(int64_t piece) const { return piece + 1 < count() ? size : total - begin(piece); }
};

// Rows of a [rows, columns] tensor, about `weights` a piece and at least one row.
// REQUIRES: all positive.
Pieces RowPieces(int64_t rows, int64_t columns, int64_t weights);

}  // namespace seedlm::server
