#include "kernels/cpu/list_builder.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "kernels/search/bound_table.h"
#include "kernels/search/lattice.h"

namespace seedlm::cpu {

using search::BoundTable;
using search::kChunk;

namespace {

constexpr int kGroup = 4;  // centres that are scanned together

}  // namespace

// A list pays where its cell has more blocks than it costs scans: in this batch, or where enough
// are to come.
std::vector<ListBuilder::Wanted> ListBuilder::ListsThatPay(
    std::span<const CellFiling::Visit> visits) const {
  constexpr double kSaved = 0.85;  // of a scan, by a list
  const double pays = index_.resolution().list_scans() / kSaved;
  const bool more_to_come = static_cast<double>(spec_.blocks_to_come) >=
                            pays * static_cast<double>(index_.resolution().cells);
  std::vector<Wanted> wanted;
  for (size_t v = 0; v < visits.size();) {
    const uint32_t cell = visits[v].cell;
    size_t blocks = 0;  // of all visits of the cell
    for (; v < visits.size() && visits[v].cell == cell; ++v) blocks += visits[v].count();
    if (index_.list(cell) != nullptr) continue;
    if (more_to_come || static_cast<double>(blocks) >= pays) wanted.push_back({blocks, cell});
  }
  return wanted;
}

// Where memory is short, the cells that have most blocks: of this batch, and most likely of those
// to come. Threads that begin at the same time begin at different cells, so that they do not build
// the same lists.
absl::Status ListBuilder::Build(std::span<const CellFiling::Visit> visits, std::stop_token stop) {
  std::vector<Wanted> wanted = ListsThatPay(visits);
  if (const auto room = static_cast<size_t>(index_.room()); wanted.size() > room) {
    std::nth_element(wanted.begin(), wanted.begin() + static_cast<std::ptrdiff_t>(room),
                     wanted.end(),
                     [](const Wanted& a, const Wanted& b) { return a.blocks > b.blocks; });
    wanted.resize(room);
  }
  std::vector<uint32_t> cells;
  const size_t offset = wanted.empty() ? 0 : index_.NextStart() % wanted.size();
  for (size_t i = 0; i < wanted.size(); ++i) {
    const uint32_t cell = wanted[(i + offset) % wanted.size()].cell;
    if (index_.list(cell) != nullptr) continue;
    if (!index_.HasRoom()) break;
    cells.push_back(cell);
    if (cells.size() < kGroup) continue;
    if (stop.stop_requested()) return absl::CancelledError("encoding was stopped");
    BuildSome(cells);
    cells.clear();
  }
  if (!cells.empty()) BuildSome(cells);
  return absl::OkStatus();
}

// Lists from a scan of all seeds for the centres.
void ListBuilder::BuildSome(std::span<const uint32_t> cells) {
  const BoundTable& bounds = BoundTable::For(spec_.profile);
  const size_t width = static_cast<size_t>(spec_.profile.block);
  std::vector<float> x[kGroup];
  std::vector<uint32_t> seeds[kGroup];
  size_t kept[kGroup] = {};
  int16_t centres[kGroup * codec::kMaxBlock];
  for (size_t i = 0; i < cells.size(); ++i) {
    double centre[codec::kMaxBlock];
    search::CentreOfKey(index_.key(cells[i]), spec_.profile.block, centre);
    for (size_t c = 0; c < width; ++c) {
      centres[i * width + c] = static_cast<int16_t>(std::lrint(centre[c] * bounds.block_unit()));
    }
    x[i].resize(static_cast<size_t>(index_.resolution().entries));
    seeds[i].resize(x[i].size());
  }
  const float threshold = static_cast<float>(1 - index_.end()) - 0x1p-20f;
  scores_.resize(kGroup * kChunk);
  for (int chunk = 0; chunk < bounds.chunks(); ++chunk) {
    kernels_.chunk_scores(bounds, centres, static_cast<int>(cells.size()), chunk, scores_.data());
    for (size_t i = 0; i < cells.size(); ++i) {
      if (x[i].size() < kept[i] + kChunk + 16) {
        x[i].resize(2 * x[i].size() + kChunk + 16);
        seeds[i].resize(x[i].size());
      }
      kept[i] +=
          static_cast<size_t>(kernels_.keep(&scores_[i * kChunk], bounds.Seeds(chunk), kChunk,
                                            threshold, &x[i][kept[i]], &seeds[i][kept[i]]));
    }
  }
  for (size_t i = 0; i < cells.size(); ++i) {
    index_.Publish(cells[i], std::span(x[i]).first(kept[i]), std::span(seeds[i]).first(kept[i]));
  }
  built_ += static_cast<int64_t>(cells.size());
}

}  // namespace seedlm::cpu
