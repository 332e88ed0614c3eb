#include "kernels/cpu/kept_memory.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>
#include <mutex>

namespace seedlm::cpu {
namespace {

constexpr size_t kHuge = size_t{2} << 20;
constexpr size_t kMostWaste = 2;  // times what is asked for: a larger piece waits for a better use

size_t RoundUp(size_t bytes) { return (bytes + kHuge - 1) / kHuge * kHuge; }

// At a multiple of kHuge.
std::byte* Map(size_t size) {
  const size_t room = size + kHuge;
  void* memory = ::mmap(nullptr, room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  auto* begin = static_cast<std::byte*>(memory);
  const size_t before = (kHuge - reinterpret_cast<uintptr_t>(begin) % kHuge) % kHuge;
  if (before > 0) ::munmap(begin, before);
  ::munmap(begin + before + size, room - before - size);
  ::madvise(begin + before, size, MADV_HUGEPAGE);
  return begin + before;
}

struct Piece {
  std::byte* memory;
  size_t size;
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

  void Unmap(std::vector<Piece>::iterator piece) {
    ::munmap(piece->memory, piece->size);
    usage.kept -= piece->size;
    kept.erase(piece);
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
    if (it->size < size || it->size > kMostWaste * size) continue;
    if (best == pool.kept.end() || it->size <= best->size) best = it;
  }
  Piece piece;
  if (best != pool.kept.end()) {
    piece = *best;
    pool.usage.kept -= piece.size;
    pool.kept.erase(best);
  } else {
    piece = {Map(size), size};
  }
  pool.used.push_back(piece);
  pool.usage.in_use += piece.size;
  pool.usage.peak_in_use = std::max(pool.usage.peak_in_use, pool.usage.in_use);
  // A piece of another size may be one too many now.
  while (pool.usage.in_use + pool.usage.kept > pool.usage.peak_in_use)
    pool.Unmap(pool.kept.begin());
  return piece.memory;
}

void KeptMemory::GiveBack(void* memory) noexcept {
  Pool& pool = Pool::Get();
  const std::lock_guard lock(pool.mutex);
  const auto it = std::find_if(pool.used.begin(), pool.used.end(),
                               [memory](const Piece& piece) { return piece.memory == memory; });
  const Piece piece = *it;
  pool.used.erase(it);
  pool.usage.in_use -= piece.size;
  pool.usage.kept += piece.size;
  pool.kept.push_back(piece);
  if (::madvise(piece.memory, piece.size, MADV_FREE) != 0) pool.Unmap(pool.kept.end() - 1);
}

KeptMemory::Usage KeptMemory::usage() {
  Pool& pool = Pool::Get();
  const std::lock_guard lock(pool.mutex);
  return pool.usage;
}

}  // namespace seedlm::cpu
