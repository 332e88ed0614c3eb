#include "kernels/search/cell_index.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <new>
#include <utility>

namespace seedlm::search {
namespace {

constexpr int kMaxProbes = 64;
constexpr size_t kSlab = size_t{8} << 20;  // bytes
constexpr int kDenseBin = 512;  // seeds of a bin of gaps: a mean gap of 128, rarely above 255

// Splitmix64's mixer: neighbouring keys go far apart.
uint64_t Mix(uint64_t key) {
  key = (key ^ (key >> 30)) * 0xbf58476d1ce4e5b9u;
  key = (key ^ (key >> 27)) * 0x94d049bb133111ebu;
  return key ^ (key >> 31);
}

// Eight bytes at once.
uint64_t Eight(const uint8_t* bytes) {
  uint64_t eight;
  std::memcpy(&eight, bytes, sizeof eight);
  return eight;
}

// How many of them are 0.
int ZeroBytes(uint64_t eight) {
  constexpr uint64_t kLow = 0x7F7F7F7F7F7F7F7Fu;
  return std::popcount(~(((eight & kLow) + kLow) | eight | kLow));
}

uint32_t SumOfBytes(uint64_t eight) {
  constexpr uint64_t kEven = 0x00FF00FF00FF00FFu;
  return static_cast<uint32_t>((((eight & kEven) + ((eight >> 8) & kEven)) * 0x0001000100010001u) >>
                               48);
}

}  // namespace

bool MemoryBudget::Take(int64_t bytes) {
  int64_t left = left_.load();
  do {
    if (left < bytes) return false;
  } while (!left_.compare_exchange_weak(left, left - bytes));
  return true;
}

CellIndex::CellIndex(const codec::Profile& profile, const Resolution& resolution, double margin,
                     MemoryBudget& budget)
    : profile_(profile),
      resolution_(resolution),
      margin_(margin),
      coding_(resolution.dense() ? Coding::kGaps : Coding::kPlain),
      bins_(resolution.dense() ? std::min(kBins, resolution.entries / kDenseBin) : kBins),
      end_(std::pow(std::sin(resolution.reach), 2)),
      grain_(kGrains / (end_ * (1 + 1e-5))),  // so that x <= end() stays inside, rounded
      bin_(kGrains),
      until_(kGrains),
      budget_(budget),
      room_for_(resolution.list_bytes() * 5 / 4),
      slots_(std::bit_ceil(static_cast<uint64_t>(resolution.cells) * 3 / 2)) {
  // The share of seeds with sin^2 <= x grows like x^((C - P) / 2): bins of about equal content.
  const double power = (profile.block - profile.rank) / 2.0;
  for (int g = 0; g < kGrains; ++g) {
    const double x = static_cast<double>(g) / kGrains;
    bin_[static_cast<size_t>(g)] =
        static_cast<uint8_t>(std::min<double>(bins_ - 1, bins_ * std::pow(x, power)));
  }
  // A need is met by the bins up to its own grain's and, as rounding can move x and the need across
  // a border of grains, the next one's.
  for (int g = 0; g < kGrains; ++g) {
    until_[static_cast<size_t>(g)] =
        static_cast<uint8_t>(bin_[static_cast<size_t>(std::min(g + 1, kGrains - 1))] + 1);
  }
}

CellIndex::~CellIndex() { budget_.GiveBack(taken_); }

void CellIndex::PrefetchFind(uint64_t key) const {
  __builtin_prefetch(&slots_[Mix(key) & (slots_.size() - 1)]);
}

uint32_t CellIndex::Find(uint64_t key) {
  if (key == 0) return kNoCell;
  const size_t mask = slots_.size() - 1;
  size_t at = Mix(key) & mask;
  for (int probe = 0; probe < kMaxProbes; ++probe, at = (at + 1) & mask) {
    uint64_t found = slots_[at].key.load(std::memory_order_relaxed);
    if (found == 0 &&
        slots_[at].key.compare_exchange_strong(found, key, std::memory_order_relaxed)) {
      return static_cast<uint32_t>(at);
    }
    if (found == key) return static_cast<uint32_t>(at);  // the exchange reads what is there
  }
  return kNoCell;
}

// What Publish works with; a thread's own.
struct CellIndex::Workshop {
  std::vector<uint8_t> bin_of;  // of an entry, or of a seed that is in the list: [65536]
  std::vector<uint16_t> seeds;  // by bin

  // For gaps. The first two are as large as they can have to be: nothing may throw while in_list
  // has bits.
  std::vector<uint64_t> in_list;   // [1024], a bit a seed; zeros between uses
  std::vector<uint8_t> bin_codes;  // of each bin, with room for it
  std::vector<uint8_t> code;
};

namespace {

// The code of a bin of gaps as it grows.
struct GapWriter {
  uint8_t* out = nullptr;
  uint32_t last = 0;

  // Bytes that `seeds` take at most: a byte each, those that count 255, and what Add writes behind.
  static size_t Room(uint32_t seeds) { return seeds + (size_t{1} << 16) / 255 + sizeof(uint64_t); }

  // REQUIRES: seed > last. One gap in eight is above 255: a branch for those would often be
  // mispredicted, one for gaps that are above 7 * 255 is not.
  void Add(uint32_t seed) {
    uint32_t gap = seed - last;
    last = seed;
    for (constexpr uint32_t kSeven = 7 * 255; gap > kSeven; gap -= kSeven, out += 7) {
      std::memset(out, 0, 7);
    }
    const uint32_t zeros = (gap - 1) * 0x8081u >> 23;  // (gap - 1) / 255
    const uint64_t eight = static_cast<uint64_t>(gap - 255 * zeros) << (8 * zeros);
    std::memcpy(out, &eight, sizeof eight);
    out += zeros + 1;
  }
};

}  // namespace

void CellIndex::Publish(uint32_t cell, std::span<const float> x, std::span<const uint32_t> seeds) {
  if (list(cell) != nullptr) return;
  thread_local Workshop workshop;
  return coding_ == Coding::kPlain ? PublishPlain(cell, x, seeds, workshop)
                                   : PublishGaps(cell, x, seeds, workshop);
}

// The bin of an entry; kBins: it is beyond the list's end, or no seed. `bins`: bin_.
inline int CellIndex::BinOf(float x, uint32_t seed, float grain, const uint8_t* bins) {
  const float at = std::max(x * grain, 0.0f);
  return at < kGrains && seed != 0 ? bins[static_cast<size_t>(at)] : kBins;
}

// Pointers are local here and below: for all that the compiler knows, a byte that is stored may be
// part of a vector.
void CellIndex::PublishPlain(uint32_t cell, std::span<const float> x,
                             std::span<const uint32_t> seeds, Workshop& workshop) {
  const uint8_t* const bins = bin_.data();
  const auto grain = static_cast<float>(grain_);
  workshop.bin_of.resize(x.size());
  uint8_t* const bin_of = workshop.bin_of.data();
  uint32_t count[kBins + 1] = {};
  for (size_t i = 0; i < x.size(); ++i) {
    const int bin = BinOf(x[i], seeds[i], grain, bins);
    bin_of[i] = static_cast<uint8_t>(bin);
    ++count[bin];
  }
  uint16_t begin[kBins + 1];
  uint32_t next[kBins + 1];
  uint32_t sum = 0;
  for (int b = 0; b <= kBins; ++b) {
    begin[b] = static_cast<uint16_t>(sum);
    next[b] = sum;
    sum += count[b];
  }
  workshop.seeds.resize(sum);
  uint16_t* const by_bin = workshop.seeds.data();
  for (size_t i = 0; i < x.size(); ++i) {
    by_bin[next[bin_of[i]]++] = static_cast<uint16_t>(seeds[i]);
  }
  Install(cell, begin, {reinterpret_cast<const uint8_t*>(by_bin), begin[kBins] * sizeof(uint16_t)});
}

// Seeds come in no order, and each bin's are to ascend: all are marked, then walked through.
void CellIndex::PublishGaps(uint32_t cell, std::span<const float> x,
                            std::span<const uint32_t> seeds, Workshop& workshop) {
  constexpr size_t kWords = (1 << 16) / 64;
  const uint8_t* const bins = bin_.data();
  const auto grain = static_cast<float>(grain_);
  constexpr uint32_t kSeeds = 1 << 16;
  workshop.bin_of.resize(std::max<size_t>(workshop.bin_of.size(), kSeeds));
  workshop.bin_codes.resize(kSeeds + kBins * GapWriter::Room(0));
  workshop.in_list.resize(kWords);
  uint8_t* const bin_of = workshop.bin_of.data();  // of a seed
  uint64_t* const in_list = workshop.in_list.data();
  uint32_t count[kBins + 1] = {};
  for (size_t i = 0; i < x.size(); ++i) {
    const uint32_t seed = seeds[i];
    const int bin = BinOf(x[i], seed, grain, bins);
    ++count[bin];
    if (bin == kBins) continue;
    bin_of[seed] = static_cast<uint8_t>(bin);
    in_list[seed / 64] |= uint64_t{1} << seed % 64;
  }
  uint16_t begin[kBins + 1];
  size_t room[kBins + 1];
  begin[0] = 0;
  room[0] = 0;
  for (int b = 0; b < kBins; ++b) {
    begin[b + 1] = static_cast<uint16_t>(begin[b] + count[b]);
    room[b + 1] = room[b] + (b < bins_ ? GapWriter::Room(count[b]) : 0);
  }
  uint8_t* const codes = workshop.bin_codes.data();
  GapWriter writers[kBins];
  for (int b = 0; b < bins_; ++b) writers[b].out = codes + room[b];
  for (size_t word = 0; word < kWords; ++word) {
    for (uint64_t bits = std::exchange(in_list[word], 0); bits != 0; bits &= bits - 1) {
      const size_t seed = word * 64 + static_cast<size_t>(std::countr_zero(bits));
      writers[bin_of[seed]].Add(static_cast<uint32_t>(seed));
    }
  }
  workshop.code.clear();
  for (int b = 0; b < bins_; ++b) {
    workshop.code.insert(workshop.code.end(), codes + room[b], writers[b].out);
  }
  Install(cell, begin, workshop.code);
}

void CellIndex::Restore(uint32_t cell, const uint16_t* begin, std::span<const uint8_t> code) {
  if (cell == kNoCell || list(cell) != nullptr) return;
  Install(cell, begin, code);
}

void CellIndex::DecodeGaps(const uint16_t* begin, const uint8_t* code, int count, uint16_t* seeds) {
  int at = 0;
  for (int b = 0; at < count; ++b) {
    const int end = std::min<int>(begin[b + 1], count);
    uint32_t seed = 0;
    while (at < end) {
      const uint32_t gap = *code++;
      seed += gap != 0 ? gap : 255;
      seeds[at] = static_cast<uint16_t>(seed);
      at += gap != 0;
    }
  }
}

bool CellIndex::IsSound(const uint16_t* begin, std::span<const uint8_t> code) const {
  if (begin[0] != 0) return false;
  for (int b = 0; b < kBins; ++b) {
    if (begin[b] > begin[b + 1]) return false;
  }
  if (coding_ == Coding::kPlain) {
    if (code.size() != begin[kBins] * sizeof(uint16_t)) return false;
    bool zero = false;
    size_t i = 0;
    for (; i + sizeof(uint64_t) <= code.size(); i += sizeof(uint64_t)) {
      const uint64_t four = Eight(&code[i]);
      zero |= ((four - 0x0001000100010001u) & ~four & 0x8000800080008000u) != 0;
    }
    for (; i < code.size(); i += 2) zero |= code[i] == 0 && code[i + 1] == 0;
    return !zero;
  }
  size_t at = 0;
  for (int b = 0; b < kBins; ++b) {
    uint32_t seed = 0;
    int left = begin[b + 1] - begin[b];
    // Eight bytes, eight seeds at most: seeds ascend, so the last one tells.
    for (; left >= 8 && at + 8 <= code.size() && seed <= 0xFFFF; at += 8) {
      const uint64_t eight = Eight(&code[at]);
      const int zeros = ZeroBytes(eight);
      seed += SumOfBytes(eight) + 255 * static_cast<uint32_t>(zeros);
      left -= 8 - zeros;
    }
    if (seed > 0xFFFF) return false;
    for (; left > 0; ++at) {
      if (at == code.size()) return false;
      seed += code[at] != 0 ? code[at] : 255;
      left -= code[at] != 0;
      if (seed > 0xFFFF) return false;
    }
  }
  return at == code.size();
}

CellIndex::List* CellIndex::Allocate(size_t bytes) {
  constexpr size_t kAlign = alignof(List);
  const size_t size = (offsetof(List, code) + bytes + kAlign - 1) / kAlign * kAlign;
  if (size > kSlab || !budget_.Take(static_cast<int64_t>(size))) return nullptr;
  const std::lock_guard lock(mutex_);
  taken_ += static_cast<int64_t>(size);
  if (slab_left_ < size) {
    slabs_.emplace_back();
    slabs_.back().reserve(kSlab);  // memory that no list has touched is not resident
    slab_left_ = kSlab;
  }
  std::byte* place = slabs_.back().data() + (kSlab - slab_left_);
  slab_left_ -= size;
  return new (place) List;
}

void CellIndex::Install(uint32_t cell, const uint16_t* begin, std::span<const uint8_t> code) {
  List* made = Allocate(code.size());
  if (made == nullptr) return;
  made->bytes = static_cast<uint32_t>(code.size());
  std::copy(begin, begin + kBins + 1, made->begin);
  std::copy(code.begin(), code.end(), made->code);
  const List* none = nullptr;
  // Where another thread was faster, `made` lies unused; that is rare, as threads begin apart.
  if (slots_[cell].list.compare_exchange_strong(none, made, std::memory_order_release,
                                                std::memory_order_relaxed)) {
    ++lists_;
  }
}

double CellIndex::Need(double cosine, double share) const {
  constexpr double kRounding = 1e-7;
  const double sine = std::sqrt(std::max(0.0, 1 - cosine * cosine)) + kRounding;
  if (share >= cosine * cosine) return 1 + margin_;  // a right angle or more: every seed
  const double sum = sine * std::sqrt(1 - share) + cosine * std::sqrt(share);
  return sum * sum + margin_ + kRounding;
}

}  // namespace seedlm::search
