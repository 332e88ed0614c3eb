#include "kernels/cpu/index_search.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "absl/strings/str_cat.h"
#include "kernels/search/bound_table.h"
#include "kernels/search/lattice.h"

namespace seedlm::cpu {

using codec::Candidate;
using search::BoundTable;
using search::CellIndex;
using search::kChunk;
using search::SeedTable;

namespace {

constexpr int kGroup = 4;           // blocks that are scored together, centres that are scanned
constexpr int kStopInterval = 256;  // visits between two looks at the stop token
constexpr size_t kStage = 8;        // blocks of a cell that pass the stages together
// sin^2 alpha that a block is expected to need: until blocks have told, and then so much more than
// the mean of so many.
constexpr double kFirstShare = 0.02;
constexpr double kShareMargin = 1.05;
constexpr double kShareMemory = 64;
constexpr double kShareLimit = 4;  // times what is expected: a block that needs more is scanned

// The cell of a block.
uint64_t KeyOf(const codec::Profile& profile, const codec::BlockTask& task, double radius) {
  const double scale = radius / std::sqrt(task.squared_norm);
  float x[codec::kMaxBlock];
  for (int c = 0; c < profile.block; ++c) x[c] = static_cast<float>(task.weights[c] * scale);
  return profile.block == 8 ? search::CellKey<8>(search::NearestOfDPlus<8>(x))
                            : search::CellKey<12>(search::NearestOfDPlus<12>(x));
}

// The centre of a cell, of unit norm.
void CentreOf(const codec::Profile& profile, uint64_t key, double* centre) {
  const search::LatticePoint point = search::PointOfKey(key, profile.block);
  double squared = 0;
  for (int c = 0; c < profile.block; ++c) squared += point.twice[c] * point.twice[c];
  for (int c = 0; c < profile.block; ++c) centre[c] = point.twice[c] / std::sqrt(squared);
}

}  // namespace

std::string IndexStatistics::ToString() const {
  return absl::StrCat(blocks, " blocks in ", visits, " cells, ", lists_built, " lists built, ",
                      fetched, " seeds fetched, ", scored, " pairs scored, ", finished,
                      " finished, ", exhaustive, " blocks scanned exhaustively");
}

IndexSearch::IndexSearch(const SearchKernels& kernels, const backend::EncodeSpec& spec,
                         CellIndex& index)
    : kernels_(kernels),
      spec_(spec),
      index_(index),
      seeds_(SeedTable::For(spec.profile)),
      // kNearest has no use for the seeds that bytes let through in vain: it looks at each in full.
      by_bytes_(spec.fit == codec::Fit::kOptimal && kernels.score_byte_rows != nullptr &&
                seeds_.has_byte_rows()),
      exhaustive_(kernels, spec),
      expected_share_(kFirstShare) {}

absl::Status IndexSearch::Run(const Batch& batch, std::stop_token stop) {
  rest_.clear();
  File(batch);
  SortFiled();
  if (absl::Status status = BuildLists(stop); !status.ok()) return status;
  for (size_t v = 0; v < visits_.size(); ++v) {
    if (v % kStopInterval == 0 && stop.stop_requested()) {
      return absl::CancelledError("encoding was stopped");
    }
    const Visit& visit = visits_[v];
    PrefetchVisit(batch, v + 1);
    if (const CellIndex::List* list = index_.list(visit.cell);
        list != nullptr && list->size() > 0) {
      SearchCell(batch, visit, *list);
      continue;
    }
    for (uint32_t i = visit.first; i < visit.last; ++i) {
      rest_.push_back(static_cast<uint32_t>(filed_[i]));
    }
  }
  statistics_.blocks += static_cast<int64_t>(batch.places.size());
  statistics_.exhaustive += static_cast<int64_t>(rest_.size());
  std::sort(rest_.begin(), rest_.end());
  return exhaustive_.Run({batch.weights, rest_, batch.best}, stop);
}

// Asks for what a visit begins with.
void IndexSearch::PrefetchVisit(const Batch& batch, size_t visit) {
  constexpr int kListStart = 512;  // bytes; the processor's own prefetching goes on from there
  if (visit + 1 < visits_.size()) {
    if (const CellIndex::List* list = index_.list(visits_[visit + 1].cell); list != nullptr) {
      const char* bytes = reinterpret_cast<const char*>(list);
      for (int i = 0; i < kListStart; i += 64) __builtin_prefetch(bytes + i);
    }
  }
  ahead_ = {};
  if (visit >= visits_.size()) return;
  const size_t width = static_cast<size_t>(spec_.profile.block);
  for (uint32_t i = visits_[visit].first; i < visits_[visit].last; ++i) {
    const uint32_t place = static_cast<uint32_t>(filed_[i]);
    __builtin_prefetch(batch.weights + place * width);
    __builtin_prefetch(batch.best + place);
  }
  const CellIndex::List* list = index_.list(visits_[visit].cell);
  if (list == nullptr || index_.coding() != CellIndex::Coding::kPlain) return;
  // Lists of neighbours in a batch are about equally long.
  const size_t count = static_cast<size_t>(std::min(fetched_, list->size()));
  ahead_ = {index_.Seeds(*list, 0, nullptr), count};
}

// Rows of the next visit come closer while this one's blocks are searched.
void IndexSearch::PrefetchSome(size_t count) {
  count = std::min(count, ahead_.size());
  for (const uint16_t seed : ahead_.first(count)) seeds_.PrefetchRow(seed);
  ahead_ = ahead_.subspan(count);
}

// Cell and place of each block; those that no list can help go to rest_ at once.
void IndexSearch::File(const Batch& batch) {
  constexpr size_t kTogether = 32;  // whose places in the table of cells are asked for ahead
  const size_t width = static_cast<size_t>(spec_.profile.block);
  const double radius = index_.resolution().radius;
  filed_.clear();
  for (size_t first = 0; first < batch.places.size(); first += kTogether) {
    const auto places =
        batch.places.subspan(first, std::min(kTogether, batch.places.size() - first));
    uint64_t keys[kTogether];
    for (size_t i = 0; i < places.size(); ++i) {
      const codec::BlockTask task =
          kernels_.make_task(spec_.profile, batch.weights + places[i] * width);
      keys[i] = exhaustive_.HasShortcut(task) ? 0 : KeyOf(spec_.profile, task, radius);
      index_.PrefetchFind(keys[i]);
    }
    for (size_t i = 0; i < places.size(); ++i) {
      const uint32_t cell = index_.Find(keys[i]);
      if (cell == CellIndex::kNoCell) {
        rest_.push_back(places[i]);
      } else {
        filed_.push_back(uint64_t{cell} << 32 | places[i]);
      }
    }
  }
}

// By cell, then place: two passes of a radix sort over the cells' numbers; then visits_.
void IndexSearch::SortFiled() {
  constexpr int kBits = 11;
  constexpr uint32_t kMask = (1u << kBits) - 1;
  constexpr size_t kFew = 256;
  if (filed_.size() < kFew) std::sort(filed_.begin(), filed_.end());
  sorting_.resize(filed_.size());
  for (int shift = 32; filed_.size() >= kFew && (index_.cell_slots() - 1) >> (shift - 32) != 0;
       shift += kBits) {
    uint32_t begin[kMask + 2] = {};
    for (const uint64_t entry : filed_) ++begin[((entry >> shift) & kMask) + 1];
    for (uint32_t d = 0; d < kMask; ++d) begin[d + 1] += begin[d];
    for (const uint64_t entry : filed_) sorting_[begin[(entry >> shift) & kMask]++] = entry;
    filed_.swap(sorting_);
  }
  visits_.clear();
  for (uint32_t i = 0; i < filed_.size(); ++i) {
    const uint32_t cell = static_cast<uint32_t>(filed_[i] >> 32);
    if (visits_.empty() || visits_.back().cell != cell) visits_.push_back({cell, i, i});
    visits_.back().last = i + 1;
  }
  statistics_.visits += static_cast<int64_t>(visits_.size());
}

// A list pays where its cell has more blocks than it costs scans: in this batch, or where enough
// are to come. Threads that begin at the same time begin at different cells, so that they do not
// build the same lists.
absl::Status IndexSearch::BuildLists(std::stop_token stop) {
  constexpr double kSaved = 0.85;  // of a scan, by a list
  const double pays = index_.resolution().list_scans() / kSaved;
  const bool more_to_come = static_cast<double>(spec_.blocks_to_come) >=
                            pays * static_cast<double>(index_.resolution().cells);
  std::vector<uint32_t> cells;
  const size_t offset = visits_.empty() ? 0 : index_.NextStart() % visits_.size();
  for (size_t v = 0; v < visits_.size(); ++v) {
    const Visit& visit = visits_[(v + offset) % visits_.size()];
    if (index_.list(visit.cell) != nullptr) continue;
    if (visit.last - visit.first < pays && !more_to_come) continue;
    if (!index_.HasRoom()) break;
    cells.push_back(visit.cell);
    if (cells.size() < kGroup) continue;
    if (stop.stop_requested()) return absl::CancelledError("encoding was stopped");
    Build(cells);
    cells.clear();
  }
  if (!cells.empty()) Build(cells);
  return absl::OkStatus();
}

// Lists from a scan of all seeds for the centres.
void IndexSearch::Build(std::span<const uint32_t> cells) {
  const BoundTable& bounds = BoundTable::For(spec_.profile);
  std::vector<float> x[kGroup];
  std::vector<uint32_t> seeds[kGroup];
  size_t kept[kGroup] = {};
  int16_t centres[kGroup * codec::kMaxBlock];
  for (size_t i = 0; i < cells.size(); ++i) {
    double centre[codec::kMaxBlock];
    CentreOf(spec_.profile, index_.key(cells[i]), centre);
    for (int c = 0; c < spec_.profile.block; ++c) {
      centres[i * static_cast<size_t>(spec_.profile.block) + static_cast<size_t>(c)] =
          static_cast<int16_t>(std::lrint(centre[c] * bounds.block_unit()));
    }
    x[i].resize(static_cast<size_t>(index_.resolution().entries));
    seeds[i].resize(x[i].size());
  }
  const float threshold = static_cast<float>(1 - index_.end()) - 0x1p-20f;
  more_scores_.resize(kGroup * kChunk);
  for (int chunk = 0; chunk < bounds.chunks(); ++chunk) {
    kernels_.chunk_scores(bounds, centres, static_cast<int>(cells.size()), chunk,
                          more_scores_.data());
    for (size_t i = 0; i < cells.size(); ++i) {
      if (x[i].size() < kept[i] + kChunk + 16) {
        x[i].resize(2 * x[i].size() + kChunk + 16);
        seeds[i].resize(x[i].size());
      }
      kept[i] +=
          static_cast<size_t>(kernels_.keep(&more_scores_[i * kChunk], bounds.Seeds(chunk), kChunk,
                                            threshold, &x[i][kept[i]], &seeds[i][kept[i]]));
    }
  }
  for (size_t i = 0; i < cells.size(); ++i) {
    index_.Publish(cells[i], std::span(x[i]).first(kept[i]), std::span(seeds[i]).first(kept[i]));
  }
  statistics_.lists_built += static_cast<int64_t>(cells.size());
}

void IndexSearch::SearchCell(const Batch& batch, const Visit& visit, const CellIndex::List& list) {
  double centre[codec::kMaxBlock];
  CentreOf(spec_.profile, index_.key(visit.cell), centre);
  const size_t count = visit.last - visit.first;
  if (items_.size() < count) items_.resize(count);
  order_.clear();
  for (size_t i = 0; i < count; ++i) {
    LoadItem(batch, static_cast<uint32_t>(filed_[visit.first + i]), centre, list, items_[i]);
    order_.push_back(static_cast<uint64_t>(items_[i].prefix) << 32 | i);
  }
  // The longest prefix first: blocks that are scored together need about equally many seeds.
  std::sort(order_.begin(), order_.end(), std::greater<>());
  const int longest = static_cast<int>(order_.front() >> 32);
  fetched_ = longest;
  decoded_ = 0;
  FetchRows(SeedsOf(list, longest), longest, tiles_);
  const size_t stride = RoundUp(static_cast<size_t>(longest));
  scores_.resize(std::max(scores_.size(), kStage * stride));
  places_.resize(std::max(places_.size(), RoundUp(static_cast<size_t>(list.size()))));
  ahead_a_block_ = ahead_.size() / count + 1;
  for (size_t i = 0; i < count; i += kStage) {
    SearchGroup(batch, list, std::span(order_).subspan(i, std::min(kStage, count - i)), stride);
  }
}

// The first `count` seeds of the list of this visit.
const uint16_t* IndexSearch::SeedsOf(const CellIndex::List& list, int count) {
  if (index_.coding() == CellIndex::Coding::kPlain) return index_.Seeds(list, count, nullptr);
  if (count > decoded_) {
    // A little more at first, for those that turn out to need it; then all.
    decoded_ = decoded_ > 0 ? list.size() : std::min(list.size(), count + count / 8);
    decoded_seeds_.resize(std::max(decoded_seeds_.size(), static_cast<size_t>(list.size())));
    index_.Seeds(list, decoded_, decoded_seeds_.data());
  }
  return decoded_seeds_.data();
}

void IndexSearch::LoadItem(const Batch& batch, uint32_t place, const double* centre,
                           const CellIndex::List& list, Item& item) {
  const size_t width = static_cast<size_t>(spec_.profile.block);
  item.task = kernels_.make_task(spec_.profile, batch.weights + place * width);
  item.place = place;
  item.inverse_norm = 1 / std::sqrt(item.task.squared_norm);
  double dot = 0;
  for (size_t c = 0; c < width; ++c) dot += item.task.weights[c] * item.inverse_norm * centre[c];
  item.cosine = std::fabs(dot);
  item.prefix = std::max(1, index_.Prefix(list, index_.Need(item.cosine, expected_share_)));
}

// Items of a visit whose rows are in tiles_. In stages, so that what the next one reads of
// scattered memory is on its way meanwhile.
void IndexSearch::SearchGroup(const Batch& batch, const CellIndex::List& list,
                              std::span<const uint64_t> order, size_t stride) {
  const size_t count = order.size();
  const uint16_t* seeds = SeedsOf(list, 0);
  const auto item_at = [&](size_t k) -> Item& { return items_[static_cast<uint32_t>(order[k])]; };
  units_.clear();
  byte_units_.clear();
  for (size_t k = 0; k < count; ++k) LoadUnit(item_at(k));
  for (size_t k = 0; k < count; k += kGroup) {
    const size_t some = std::min<size_t>(kGroup, count - k);
    const int prefix = item_at(k).prefix;  // the longest of these
    for (size_t i = k; i < k + some; ++i) item_at(i).prefix = prefix;
    ScoreRows(tiles_.data(), prefix, k, some, &scores_[k * stride], stride);
  }
  candidates_.clear();
  for (size_t k = 0; k < count; ++k) {
    Item& item = item_at(k);
    const int top = kernels_.largest(&scores_[k * stride], item.prefix);
    item.first = candidates_.size();
    candidates_.push_back(seeds[std::min(top, item.prefix - 1)]);
    item.last = candidates_.size();
    item.top = candidates_.back();
    seeds_.PrefetchRecord(candidates_.back());
  }
  // The seed with the largest score first: its error is close to the best, so that only a few
  // others are left to look at.
  for (size_t k = 0; k < count; ++k) {
    Item& item = item_at(k);
    Candidate& best = batch.best[item.place];
    Start(item, best);
    // Where that one did badly, not nearly all seeds: most often the better ones do well.
    item.share = std::min(Share(item, best), kShareLimit * expected_share_);
    Collect(item, seeds, &scores_[k * stride], item.prefix, item.share);
    PrefetchSome(ahead_a_block_);
  }
  for (size_t k = 0; k < count; ++k) {
    Item& item = item_at(k);
    Candidate& best = batch.best[item.place];
    Finish(item, best);
    if (!Extend(item, k, list, best)) rest_.push_back(item.place);
  }
}

// The block as rows of seeds are multiplied by it, behind those that are there.
void IndexSearch::LoadUnit(Item& item) {
  const size_t width = static_cast<size_t>(spec_.profile.block);
  if (!by_bytes_) {
    item.slack = seeds_.row_margin();
    for (size_t c = 0; c < width; ++c) {
      const double u = item.task.weights[c] * item.inverse_norm;
      units_.push_back(static_cast<int16_t>(std::lrint(u * SeedTable::kRowUnit)));
    }
    return;
  }
  double largest = 0;
  for (size_t c = 0; c < width; ++c) {
    largest = std::max(largest, std::fabs(item.task.weights[c] * item.inverse_norm));
  }
  const double unit = largest / SeedTable::kByteUnit;
  ByteBlock block{};
  double squared = 0;
  for (size_t c = 0; c < width; ++c) {
    const double u = item.task.weights[c] * item.inverse_norm;
    block.weights[c] = static_cast<int8_t>(std::lrint(u / unit));
    block.offset -= 128 * block.weights[c];
    const double error = u - block.weights[c] * unit;
    squared += error * error;
  }
  block.scale = static_cast<float>(unit * unit);
  byte_units_.push_back(block);
  item.slack = 2 * std::sqrt(squared) + SeedTable::kByteMargin;
}

void IndexSearch::FetchRows(const uint16_t* seeds, int count, search::AlignedWords& tiles) {
  tiles.resize(
      std::max(tiles.size(), TileStart(static_cast<int>(RoundUp(static_cast<size_t>(count))))));
  const auto fetch = by_bytes_ ? kernels_.fetch_byte_rows : kernels_.fetch_rows;
  fetch(seeds_, seeds, count, tiles.data());
  statistics_.fetched += count;
}

// Of the first `blocks` units from `first` on.
void IndexSearch::ScoreRows(const int32_t* tiles, int count, size_t first, size_t blocks,
                            float* scores, size_t stride) {
  if (by_bytes_) {
    kernels_.score_byte_rows(spec_.profile, tiles, count, &byte_units_[first],
                             static_cast<int>(blocks), scores, stride);
  } else {
    kernels_.score_rows(spec_.profile, tiles, count,
                        &units_[first * static_cast<size_t>(spec_.profile.block)],
                        static_cast<int>(blocks), scores, stride);
  }
  statistics_.scored += static_cast<int64_t>(blocks) * count;
}

// Where the tile of a seed, a multiple of 16, begins.
size_t IndexSearch::TileStart(int seed) const {
  const size_t seeds = static_cast<size_t>(seed);
  return by_bytes_ ? ByteTileWords(seeds) : TileWords(spec_.profile, seeds);
}

void IndexSearch::Start(Item& item, Candidate& best) {
  if (spec_.fit == codec::Fit::kOptimal) {
    item.finish = MakeFinishTask(spec_.profile, item.task, spec_.levels, seeds_);
  }
  Finish(item, best);
}

// Looks at the seeds behind the item's prefix that `best` still asks for. False: the list is too
// short, or some of the prefix were left out that `best` asks for.
bool IndexSearch::Extend(Item& item, size_t place, const CellIndex::List& list, Candidate& best) {
  const double share = Share(item, best);
  const double need = index_.Need(item.cosine, share);
  if (share > item.share || need > index_.end()) return false;
  expected_share_ += (kShareMargin * share - expected_share_) / kShareMemory;
  const int until = index_.Prefix(list, need);
  int from = item.prefix / 16 * 16;  // tiles are whole
  if (until <= item.prefix) return true;
  const uint16_t* seeds = SeedsOf(list, until);
  more_scores_.resize(std::max(more_scores_.size(), RoundUp(static_cast<size_t>(until))));
  const auto score = [&](const int32_t* tiles, int end) {
    const int count = end - from;
    ScoreRows(tiles, count, place, 1, more_scores_.data(), 0);
    Collect(item, seeds + from, more_scores_.data(), count, share);
    Finish(item, best);
    from = end;
  };
  if (const int end = std::min(until, fetched_); end > from) {
    score(&tiles_[TileStart(from)], end);
  }
  if (until > from) {
    FetchRows(seeds + from, until - from, more_tiles_);
    score(more_tiles_.data(), until);
  }
  return true;
}

// Those of `count` seeds whose scores reach the threshold become the item's.
void IndexSearch::Collect(Item& item, const uint16_t* seeds, const float* scores, int count,
                          double share) {
  const int found = kernels_.select(scores, count, Threshold(item, share), places_.data());
  item.first = candidates_.size();
  for (int i = 0; i < found; ++i) {
    const int place = static_cast<int>(places_[static_cast<size_t>(i)]);
    if (place >= count) break;
    if (seeds[place] == item.top) continue;  // has been looked at
    candidates_.push_back(seeds[place]);
    seeds_.PrefetchRecord(seeds[place]);
  }
  item.last = candidates_.size();
}

// Looks at the item's seeds.
void IndexSearch::Finish(const Item& item, Candidate& best) {
  const auto seeds = std::span(candidates_).subspan(item.first, item.last - item.first);
  statistics_.finished += static_cast<int64_t>(seeds.size());
  if (spec_.fit == codec::Fit::kOptimal) {
    kernels_.finish(item.finish, seeds.data(), static_cast<int>(seeds.size()), best);
    return;
  }
  for (const uint32_t seed : seeds) {
    codec::EvaluateSeed(spec_.profile, spec_.fit, item.task, spec_.levels, seed, best);
  }
}

// sin^2 alpha: no seed with a larger angle can improve on `best`.
double IndexSearch::Share(const Item& item, const Candidate& best) const {
  return codec::ErrorBudget(1, best.error / item.task.squared_norm);
}

// A seed whose computed score is below this cannot improve on a best code of that share.
float IndexSearch::Threshold(const Item& item, double share) const {
  constexpr double kUnit = SeedTable::kRowUnit * SeedTable::kRowUnit;
  return static_cast<float>((1 - share - item.slack) * (by_bytes_ ? 1 : kUnit * kUnit));
}

}  // namespace seedlm::cpu
