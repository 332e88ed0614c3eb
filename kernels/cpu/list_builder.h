// Lists of cells that have none, where they pay.
#pragma once

#include <cstdint>
#include <span>
#include <stop_token>
#include <vector>

#include "absl/status/status.h"
#include "kernels/backend/shard.h"
#include "kernels/cpu/cell_filing.h"
#include "kernels/cpu/search_kernels.h"
#include "kernels/search/cache_aligned.h"
#include "kernels/search/cell_index.h"

namespace seedlm::cpu {

// Not thread-safe, but several may work on one index. What it is made from must outlive it.
class ListBuilder {
 public:
  ListBuilder(const SearchKernels& kernels, const backend::EncodeSpec& spec,
              search::CellIndex& index)
      : kernels_(kernels), spec_(spec), index_(index) {}

  // Builds the lists of the cells where they pay, as far as there is memory. CANCELLED after
  // `stop`.
  absl::Status Build(std::span<const CellFiling::Visit> visits, std::stop_token stop);

  int64_t built() const { return built_; }

 private:
  struct Wanted {
    size_t blocks;
    uint32_t cell;
  };
  std::vector<Wanted> ListsThatPay(std::span<const CellFiling::Visit> visits) const;
  void BuildSome(std::span<const uint32_t> cells);

  const SearchKernels& kernels_;
  const backend::EncodeSpec& spec_;
  search::CellIndex& index_;
  search::AlignedFloats scores_;
  int64_t built_ = 0;
};

}  // namespace seedlm::cpu
