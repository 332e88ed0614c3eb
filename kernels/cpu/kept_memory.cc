#include "kernels/cpu/kept_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <limits>
#include <mutex>

namespace seedlm::cpu {
namespace {

constexpr size_t kHuge = size_t{2} << 20;

size_t RoundUp(size_t bytes) {
  if (bytes > std::numeric_limits<size_t>::max() - 2 * kHuge) throw std::bad_alloc();
  return (bytes + kHuge - 1) / kHuge * kHuge;
}

// At a multiple of kHuge; null: there is no memory.
std::byte* Map(size_t size) {
  const size_t room = size + kHuge;
  void* memory = ::mmap(nullptr, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return nullptr;
  auto* begin = static_cast<std::byte*>(memory);
  const size_t before = (kHuge - reinterpret_cast<uintptr_t>(begin) % kHuge) % kHuge;
  if (before > 0) ::munmap(begin, before);
  ::munmap(begin + before + size, room - before - size);
#ifdef MADV_HUGEPAGE
  ::madvise(begin + before, size, MADV_HUGEPAGE);
#endif
  return begin + before;
}

// Contents may go. False: the system cannot take such memory.
bool MarkFree([[maybe_unused]] std::byte* memory, [[maybe_unused]] size_t size) {
#ifdef MADV_FREE
  return ::madvise(memory, size, MADV_FREE) == 0;
#else
  return false;
#endif
}

struct Piece {
  std::byte* memory;
  size_t size;

  // Whether it does for `wanted` bytes without much of it lying idle.
  bool Fits(size_t wanted) const { return size >= wanted && size - wanted <= wanted / 4; }
};

struct Pool {
  std::mutex mutex;  // guards all below
  KeptMemory::Usage usage;
  std::vector<Piece> kept;  // given back last at the end
  std::vector<Piece> used;

  static Pool& Get() {
    static auto& pool = *new Pool;  // never destroyed: a process that exits may still be searching
    return pool;
  }

  Piece TakeKept(std::vector<Piece>::iterator at) {
    const Piece piece = *at;
    usage.kept -= piece.size;
    kept.erase(at);
    return piece;
  }

  // Unmaps what was kept longest until no more than `bytes` are kept.
  void Shrink(size_t bytes) {
    while (usage.kept > bytes) {
      const Piece piece = TakeKept(kept.begin());
      ::munmap(piece.memory, piece.size);
    }
  }

  // Makes a piece, in place of those that are kept where both would be more than the peak.
  Piece Make(size_t size) {
    const size_t in_use = usage.in_use + size;
    Shrink(std::max(usage.peak, in_use) - in_use);
    Piece piece{Map(size), size};
    if (piece.memory != nullptr) return piece;
    Shrink(0);
    piece.memory = Map(size);
    if (piece.memory == nullptr) throw std::bad_alloc();
    return piece;
  }
};

}  // namespace

void* KeptMemory::Take(size_t bytes) {
  const size_t size = RoundUp(bytes);
  Pool& pool = Pool::Get();
  const std::lock_guard lock(pool.mutex);
  pool.used.reserve(pool.used.size() + 1);
  pool.kept.reserve(pool.kept.size() + pool.used.size() + 1);  // so that GiveBack need not
  auto best = pool.kept.end();  // the smallest that does, of these the one given back last
  for (auto it = pool.kept.begin(); it != pool.kept.end(); ++it) {
    if (it->Fits(size) && (best == pool.kept.end() || it->size <= best->size)) best = it;
  }
  const Piece piece = best != pool.kept.end() ? pool.TakeKept(best) : pool.Make(size);
  pool.used.push_back(piece);
  pool.usage.in_use += piece.size;
  pool.usage.peak = std::max(pool.usage.peak, pool.usage.in_use);
  return piece.memory;
}

void KeptMemory::GiveBack(void* memory) noexcept {
  Pool& pool = Pool::Get();
  const std::lock_guard lock(pool.mutex);
  const auto at = std::find_if(pool.used.begin(), pool.used.end(),
                               [memory](const Piece& piece) { return piece.memory == memory; });
  assert(at != pool.used.end());
  const Piece piece = *at;
  pool.used.erase(at);
  pool.usage.in_use -= piece.size;
  if (!MarkFree(piece.memory, piece.size)) {
    ::munmap(piece.memory, piece.size);
    return;
  }
  pool.usage.kept += piece.size;
  pool.kept.push_back(piece);
}

KeptMemory::Usage KeptMemory::usage() {
  Pool& pool = Pool::Get();
  const std::lock_guard lock(pool.mutex);
  return pool.usage;
}

}  // namespace seedlm::cpu
