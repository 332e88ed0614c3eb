#include "kernels/cpu/index_search.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/search/lattice.h"

namespace seedlm::cpu {

using codec::Candidate;
using search::CellIndex;
using search::SeedTable;

namespace {

constexpr size_t kGroup = 4;        // blocks that are scored together
constexpr int kStopInterval = 256;  // visits between two looks at the stop token
constexpr size_t kStage = 8;        // blocks of a cell that pass the stages together
// sin^2 alpha that a block is expected to need: until blocks have told, and then so much more than
// the mean of so many.
constexpr double kFirstShare = 0.02;
constexpr double kShareMargin = 1.05;
constexpr double kShareMemory = 64;
constexpr double kShareLimit = 4;  // times what is expected: a block that needs more is scanned

size_t RunUp(size_t count) {
  constexpr size_t kRun = 16 * Scores::kRun;
  return (count + kRun - 1) / kRun * kRun;
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
      profile_(spec.profile),
      fit_(spec.fit),
      index_(index),
      seeds_(SeedTable::For(spec.profile)),
      // kNearest has no use for the seeds that bytes let through in vain: it looks at each in full.
      by_bytes_(spec.fit == codec::Fit::kOptimal && kernels.score_byte_rows != nullptr &&
                seeds_.has_byte_rows()),
      exhaustive_(kernels, spec),
      filing_(kernels, spec.profile, index),
      lists_(kernels, spec, index),
      expected_share_(kFirstShare) {}

void IndexSearch::ScoreBuffer::Reserve(size_t blocks, size_t count) {
  stride = RunUp(count);
  if (scores.size() >= blocks * stride) return;
  scores.resize(blocks * stride);
  peaks.resize(blocks * stride / Scores::kRun);
}

Scores IndexSearch::ScoreBuffer::At(size_t block) {
  return {&scores[block * stride], &peaks[block * stride / Scores::kRun], stride};
}

absl::Status IndexSearch::Run(const Batch& batch, std::span<const Section> sections,
                              std::stop_token stop) {
  sections_ = sections;
  section_ends_.clear();
  rest_.clear();
  size_t count = 0;
  for (const Section& section : sections) count += section.places.size();
  filing_.Clear(count);
  for (const auto& [spec, places] : sections) {
    section_ends_.push_back(places.back() + 1);
    filing_.Add(batch, places, ScannedNorms(*spec), rest_);
    statistics_.blocks += static_cast<int64_t>(places.size());
  }
  filing_.Sort();
  const auto visits = filing_.visits();
  if (absl::Status status = lists_.Build(visits, stop); !status.ok()) return status;
  for (size_t v = 0; v < visits.size(); ++v) {
    if (v % kStopInterval == 0 && stop.stop_requested()) {
      return absl::CancelledError("encoding was stopped");
    }
    const CellFiling::Visit& visit = visits[v];
    PrefetchVisit(batch, v + 1);
    if (const List* list = index_.list(visit.cell); list != nullptr && list->size() > 0) {
      SearchCell(batch, visit, *list);
      continue;
    }
    for (uint32_t i = visit.first; i < visit.last; ++i) rest_.push_back(filing_.place(i));
  }
  statistics_.exhaustive += static_cast<int64_t>(rest_.size());
  statistics_.visits += static_cast<int64_t>(visits.size());
  statistics_.lists_built = lists_.built();
  return ScanRest(batch, std::move(stop));
}

absl::Status IndexSearch::ScanRest(const Batch& batch, std::stop_token stop) {
  std::sort(rest_.begin(), rest_.end());
  std::vector<Section> sections;
  auto first = rest_.begin();
  for (size_t s = 0; s < sections_.size(); ++s) {
    const auto last = std::lower_bound(first, rest_.end(), section_ends_[s]);
    if (first != last) sections.push_back({sections_[s].spec, {first, last}});
    first = last;
  }
  return exhaustive_.Run(batch, sections, std::move(stop));
}

const backend::EncodeSpec& IndexSearch::SpecOf(uint32_t place) const {
  const auto end = std::upper_bound(section_ends_.begin(), section_ends_.end(), place);
  return *sections_[static_cast<size_t>(end - section_ends_.begin())].spec;
}

// Asks for what a visit begins with.
void IndexSearch::PrefetchVisit(const Batch& batch, size_t visit) {
  constexpr int kListStart = 512;  // bytes; the processor's own prefetching goes on from there
  const auto visits = filing_.visits();
  if (visit + 2 < visits.size()) index_.PrefetchList(visits[visit + 2].cell);
  if (visit + 1 < visits.size()) {
    if (const List* list = index_.list(visits[visit + 1].cell); list != nullptr) {
      const char* bytes = reinterpret_cast<const char*>(list);
      for (int i = 0; i < kListStart; i += 64) __builtin_prefetch(bytes + i);
    }
  }
  ahead_ = {};
  if (visit >= visits.size()) return;
  const size_t width = static_cast<size_t>(profile_.block);
  for (uint32_t i = visits[visit].first; i < visits[visit].last; ++i) {
    const uint32_t place = filing_.place(i);
    __builtin_prefetch(batch.weights + place * width);
    __builtin_prefetch(batch.best + place);
  }
  const List* list = index_.list(visits[visit].cell);
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

void IndexSearch::SearchCell(const Batch& batch, const CellFiling::Visit& visit, const List& list) {
  double centre[codec::kMaxBlock];
  search::CentreOfKey(visit.key, profile_.block, centre);
  const size_t count = visit.count();
  if (items_.size() < count) items_.resize(count);
  order_.clear();
  for (size_t i = 0; i < count; ++i) {
    LoadItem(batch, filing_.place(visit.first + static_cast<uint32_t>(i)), centre, list, items_[i]);
    order_.push_back(static_cast<uint64_t>(items_[i].prefix) << 32 | i);
  }
  // The longest prefix first: blocks that are scored together need about equally many seeds.
  std::sort(order_.begin(), order_.end(), std::greater<>());
  const int longest = static_cast<int>(order_.front() >> 32);
  fetched_ = longest;
  decoded_ = 0;
  FetchRows(SeedsOf(list, longest), longest, tiles_);
  scores_.Reserve(kStage, static_cast<size_t>(longest));
  places_.resize(std::max(places_.size(), RoundUp(static_cast<size_t>(list.size()))));
  ahead_a_block_ = ahead_.size() / count + 1;
  for (size_t i = 0; i < count; i += kStage) {
    SearchGroup(batch, list, std::span(order_).subspan(i, std::min(kStage, count - i)));
  }
}

// The first `count` seeds of the list of this visit.
const uint16_t* IndexSearch::SeedsOf(const List& list, int count) {
  if (index_.coding() == CellIndex::Coding::kPlain) return index_.Seeds(list, count, nullptr);
  if (count > decoded_) {
    // A little more at first, for those that turn out to need it; then all.
    decoded_ = decoded_ > 0 ? list.size() : std::min(list.size(), count + count / 8);
    decoded_seeds_.resize(std::max(decoded_seeds_.size(), static_cast<size_t>(list.size())));
    kernels_.decode_gaps(list.begin, list.code, decoded_, decoded_seeds_.data());
  }
  return decoded_seeds_.data();
}

void IndexSearch::LoadItem(const Batch& batch, uint32_t place, const double* centre,
                           const List& list, Item& item) {
  const size_t width = static_cast<size_t>(profile_.block);
  item.place = place;
  item.spec = &SpecOf(place);
  kernels_.prepare_for_cell(profile_, item.spec->levels, seeds_, batch.weights + place * width,
                            centre, by_bytes_, item.block);
  item.prefix = std::max(1, index_.Prefix(list, index_.Need(item.block.cosine, expected_share_)));
}

// Items of a visit whose rows are in tiles_. In stages, so that what the next one reads of
// scattered memory is on its way meanwhile.
void IndexSearch::SearchGroup(const Batch& batch, const List& list,
                              std::span<const uint64_t> order) {
  const size_t count = order.size();
  const uint16_t* seeds = SeedsOf(list, 0);
  const auto item_at = [&](size_t k) -> Item& { return items_[static_cast<uint32_t>(order[k])]; };
  units_.clear();
  byte_units_.clear();
  for (size_t k = 0; k < count; ++k) LoadUnit(item_at(k));
  for (size_t k = 0; k < count; k += kGroup) {
    const size_t some = std::min(kGroup, count - k);
    const int prefix = item_at(k).prefix;  // the longest of these
    for (size_t i = k; i < k + some; ++i) item_at(i).prefix = prefix;
    ScoreRows(tiles_.data(), prefix, k, some, scores_.At(k));
  }
  candidates_.clear();
  for (size_t k = 0; k < count; ++k) {
    Item& item = item_at(k);
    const int top = kernels_.largest(scores_.At(k), item.prefix);
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
    Finish(item, best);
    // Where that one did badly, not nearly all seeds: most often the better ones do well.
    item.share = std::min(Share(item, best), kShareLimit * expected_share_);
    Collect(item, seeds, scores_.At(k), item.prefix, item.share);
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
void IndexSearch::LoadUnit(const Item& item) {
  if (by_bytes_) {
    byte_units_.push_back(item.block.bytes);
  } else {
    units_.insert(units_.end(), item.block.pairs, item.block.pairs + profile_.block);
  }
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
                            const Scores& out) {
  if (by_bytes_) {
    kernels_.score_byte_rows(profile_, tiles, count, &byte_units_[first], static_cast<int>(blocks),
                             out);
  } else {
    kernels_.score_rows(profile_, tiles, count,
                        &units_[first * static_cast<size_t>(profile_.block)],
                        static_cast<int>(blocks), out);
  }
  statistics_.scored += static_cast<int64_t>(blocks) * count;
}

// Where the tile of a seed, a multiple of 16, begins.
size_t IndexSearch::TileStart(int seed) const {
  const size_t seeds = static_cast<size_t>(seed);
  return by_bytes_ ? ByteTileWords(seeds) : TileWords(profile_, seeds);
}

// Looks at the seeds behind the item's prefix that `best` still asks for. False: the list is too
// short, or some of the prefix were left out that `best` asks for.
bool IndexSearch::Extend(Item& item, size_t place, const List& list, Candidate& best) {
  const double share = Share(item, best);
  const double need = index_.Need(item.block.cosine, share);
  if (share > item.share || need > index_.end()) return false;
  expected_share_ += (kShareMargin * share - expected_share_) / kShareMemory;
  const int until = index_.Prefix(list, need);
  int from = item.prefix / 16 * 16;  // tiles are whole
  if (until <= item.prefix) return true;
  const uint16_t* seeds = SeedsOf(list, until);
  more_scores_.Reserve(1, static_cast<size_t>(until));
  const auto score = [&](const int32_t* tiles, int end) {
    const int count = end - from;
    ScoreRows(tiles, count, place, 1, more_scores_.At(0));
    Collect(item, seeds + from, more_scores_.At(0), count, share);
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
void IndexSearch::Collect(Item& item, const uint16_t* seeds, const Scores& scores, int count,
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
  if (fit_ == codec::Fit::kOptimal) {
    kernels_.finish(item.block.finish, seeds.data(), static_cast<int>(seeds.size()), best);
    return;
  }
  for (const uint32_t seed : seeds) {
    codec::EvaluateSeed(profile_, fit_, item.block.finish.block, item.spec->levels, seed, best);
  }
}

// sin^2 alpha: no seed with a larger angle can improve on `best`.
double IndexSearch::Share(const Item& item, const Candidate& best) const {
  return codec::ErrorBudget(1, best.error * item.block.finish.inverse_squared_norm);
}

// A seed whose computed score is below this cannot improve on a best code of that share.
float IndexSearch::Threshold(const Item& item, double share) const {
  constexpr double kUnit = SeedTable::kRowUnit * SeedTable::kRowUnit;
  return static_cast<float>((1 - share - item.block.slack) * (by_bytes_ ? 1 : kUnit * kUnit));
}

}  // namespace seedlm::cpu
