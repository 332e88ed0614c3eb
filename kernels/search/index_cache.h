// The lists of a cell index in a file, so that the next process need not build them again.
//
// Layout, little-endian, no padding:
//   header   magic "SEEDLMCI", version, C, P, K, taps, bins, grains, coding: u32 each; radius, end:
//            f64; number of lists: u64
//   a list   key u64; bytes of code u32; begin[bins + 1] u16 (the last is the number of seeds);
//            the code of the seeds, as in CellIndex::List
//   end      checksum of all before: u64
// A file is complete and checked before it has its name, and is replaced by a rename: two processes
// that share it see one or the other whole file. Of a file that is of another version, cut, or
// damaged nothing is used: IndexStore throws away the index that read it.
#pragma once

#include <cstdint>
#include <stop_token>
#include <string>

#include "absl/status/status.h"
#include "kernels/search/cell_index.h"

namespace seedlm::search {

// Takes the lists of the file into the index, as many as its memory holds. Errors, each naming the
// file: NOT_FOUND: there is none; DATA_LOSS: of another version, cut or damaged; UNAVAILABLE:
// cannot be read. REQUIRES: nobody else has the index yet, and nobody will after DATA_LOSS: it may
// have some of a damaged file's lists, as only the file's end tells.
absl::Status LoadLists(const std::string& path, CellIndex& index);

// Writes all lists of the index, and the directory if need be. UNAVAILABLE, naming the file: it
// cannot be written. CANCELLED, naming it, soon after `stop`: what was there before is still.
absl::Status SaveLists(const CellIndex& index, const std::string& path,
                       const std::stop_token& stop = {});

}  // namespace seedlm::search
