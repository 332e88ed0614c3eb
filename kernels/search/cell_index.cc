#include "kernels/search/cell_index.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>

namespace seedlm::search {
namespace {

constexpr int kMaxProbes = 64;

// Splitmix64's mixer: neighbouring keys go far apart.
uint64_t Mix(uint64_t key) {
  key = (key ^ (key >> 30)) * 0xbf58476d1ce4e5b9u;
  key = (key ^ (key >> 27)) * 0x94d049bb133111ebu;
  return key ^ (key >> 31);
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
      end_(std::pow(std::sin(resolution.reach), 2)),
      grain_(kGrains / (end_ * (1 + 1e-5))),  // so that x <= end() stays inside, rounded
      bin_(kGrains),
      until_(kGrains),
      budget_(budget),
      room_for_(ListBytes(static_cast<size_t>(resolution.entries) * 5 / 4)),
      slots_(std::bit_ceil(static_cast<uint64_t>(resolution.cells) * 3 / 2)) {
  // The share of seeds with sin^2 <= x grows like x^((C - P) / 2): bins of about equal content.
  const double power = (profile.block - profile.rank) / 2.0;
  for (int g = 0; g < kGrains; ++g) {
    const double x = static_cast<double>(g) / kGrains;
    bin_[static_cast<size_t>(g)] =
        static_cast<uint8_t>(std::min<double>(kBins - 1, kBins * std::pow(x, power)));
  }
  // A need is met by the bins up to its own grain's and, as rounding can move x and the need across
  // a border of grains, the next one's.
  for (int g = 0; g < kGrains; ++g) {
    until_[static_cast<size_t>(g)] =
        static_cast<uint8_t>(bin_[static_cast<size_t>(std::min(g + 1, kGrains - 1))] + 1);
  }
}

CellIndex::~CellIndex() {
  for (Slot& slot : slots_) {
    const List* list = slot.list.load();
    if (list == nullptr) continue;
    budget_.GiveBack(ListBytes(list->begin[kBins]));
    std::free(const_cast<List*>(list));
  }
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

void CellIndex::Publish(uint32_t cell, std::span<const ListEntry> entries) {
  if (list(cell) != nullptr) return;
  uint32_t count[kBins + 1] = {};
  const float grain = static_cast<float>(grain_);
  const auto bin_of = [&](float x) -> int {
    const float at = x * grain;
    if (at >= kGrains) return kBins;  // beyond the list's end
    return bin_[static_cast<size_t>(std::max(at, 0.0f))];
  };
  for (const ListEntry& entry : entries) ++count[bin_of(entry.x)];
  const size_t total = entries.size() - count[kBins];
  List* made = Allocate(total);
  if (made == nullptr) return;
  uint32_t next[kBins + 1];
  uint32_t sum = 0;
  for (int b = 0; b < kBins; ++b) {
    made->begin[b] = static_cast<uint16_t>(sum);
    next[b] = sum;
    sum += count[b];
  }
  made->begin[kBins] = static_cast<uint16_t>(sum);
  for (const ListEntry& entry : entries) {
    const int bin = bin_of(entry.x);
    if (bin < kBins) made->seeds[next[bin]++] = entry.seed;
  }
  Install(cell, made);
}

void CellIndex::Restore(uint32_t cell, const uint16_t* begin, std::span<const uint16_t> seeds) {
  if (cell == kNoCell || list(cell) != nullptr) return;
  List* made = Allocate(seeds.size());
  if (made == nullptr) return;
  std::copy(begin, begin + kBins + 1, made->begin);
  std::copy(seeds.begin(), seeds.end(), made->seeds);
  Install(cell, made);
}

CellIndex::List* CellIndex::Allocate(size_t seeds) {
  const int64_t bytes = ListBytes(seeds);
  if (!budget_.Take(bytes)) return nullptr;
  void* memory = std::malloc(static_cast<size_t>(bytes));
  if (memory == nullptr) budget_.GiveBack(bytes);  // as if the budget were used up
  return static_cast<List*>(memory);
}

void CellIndex::Install(uint32_t cell, List* made) {
  const List* none = nullptr;
  if (slots_[cell].list.compare_exchange_strong(none, made, std::memory_order_release,
                                                std::memory_order_relaxed)) {
    ++lists_;
    return;
  }
  budget_.GiveBack(ListBytes(made->begin[kBins]));  // another thread was faster
  std::free(made);
}

double CellIndex::Need(double cosine, double share) const {
  constexpr double kRounding = 1e-7;
  const double sine = std::sqrt(std::max(0.0, 1 - cosine * cosine)) + kRounding;
  if (share >= cosine * cosine) return 1 + margin_;  // a right angle or more: every seed
  const double sum = sine * std::sqrt(1 - share) + cosine * std::sqrt(share);
  return sum * sum + margin_ + kRounding;
}

}  // namespace seedlm::search
