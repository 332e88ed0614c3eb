#undef _FORTIFY_SOURCE  // its longjmp knows one stack only

#include "kernels/cuda/emulation/fibres.h"

#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#ifdef SEEDLM_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace seedlm::cuda::emulation {
namespace {

std::atomic<Schedule> schedule_of_all{Schedule::kAscending};

constexpr size_t kStackBytes = size_t{256} << 10;  // untouched pages cost nothing

// AddressSanitizer has to be told whose stack is in use. `keep`: where the side that is left keeps
// its fake stack.
struct Stack {
  const void* bottom = nullptr;
  size_t size = 0;
};

void StartSwitch([[maybe_unused]] void** keep, [[maybe_unused]] const Stack& to) {
#ifdef SEEDLM_ASAN
  __sanitizer_start_switch_fiber(keep, to.bottom, to.size);
#endif
}

void FinishSwitch([[maybe_unused]] void* kept, [[maybe_unused]] Stack* from) {
#ifdef SEEDLM_ASAN
  __sanitizer_finish_switch_fiber(kept, from == nullptr ? nullptr : &from->bottom,
                                  from == nullptr ? nullptr : &from->size);
#endif
}

// A place to go on from. makecontext begins a stack; from then on setjmp and longjmp, as
// swapcontext asks the kernel for the signal mask each time, which took over half of the tests.
struct Context {
  ucontext_t start;
  jmp_buf place;
  bool left = false;  // at `place`; otherwise at `start`
};

void SwitchTo(Context& from, Context& to) {
#ifdef SEEDLM_ASAN
  swapcontext(&from.start, &to.start);  // it does not follow longjmp from stack to stack
#else
  if (_setjmp(from.place) != 0) return;
  from.left = true;
  if (to.left) _longjmp(to.place, 1);
  setcontext(&to.start);
  std::abort();  // there is no such context
#endif
}

class StackMemory {
 public:
  StackMemory() {
    memory_ = mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory_ == MAP_FAILED) throw std::bad_alloc();
  }
  ~StackMemory() { munmap(memory_, kStackBytes); }
  StackMemory(const StackMemory&) = delete;
  StackMemory& operator=(const StackMemory&) = delete;

  void* get() const { return memory_; }
  // Forgets the frames of a fibre that was given up.
  void Clean() {
#ifdef SEEDLM_ASAN
    __asan_unpoison_memory_region(memory_, kStackBytes);
#endif
  }

 private:
  void* memory_;
};

// A meeting of fibres: who waits for generation g goes on when it has passed.
struct Meeting {
  int living = 0;
  int arrived = 0;
  uint64_t generation = 0;

  void ReleaseIfComplete() {
    if (arrived == 0 || arrived < living) return;
    arrived = 0;
    ++generation;
  }
};

struct Warp {
  Meeting meeting;
  // Two sets: a lane may give its next value while another still reads the last.
  std::array<std::array<uint64_t, kWarp>, 2> values{};
  std::array<unsigned, 2> present{};
};

// Begun once and used for one thread of a block after the other, unless it is given up.
struct Fibre {
  Context context;
  StackMemory stack;
  void* fake_stack = nullptr;
  Dim3 thread;
  int index = 0;
  Warp* warp = nullptr;
  const Meeting* waits_for = nullptr;
  uint64_t waits_beyond = 0;
  bool done = true;  // with its thread, ready for the next
  bool begun = false;
};

// The block that this thread runs.
class BlockRun {
 public:
  std::string Run(Dim3 grid, Dim3 block, size_t shared_bytes, const std::function<void()>& body);

  void SyncThreads() { Wait(block_); }
  uint64_t Exchange(unsigned mask, uint64_t value, int from);
  void Gather(unsigned mask, uint64_t value, uint64_t (&all)[kWarp]);
  unsigned Ballot(unsigned mask, bool value);

  Dim3 grid, size, index;
  Fibre* current = nullptr;
  std::unique_ptr<std::byte, decltype(&std::free)> shared{nullptr, &std::free};

 private:
  static void Entry();
  static void Begin(Fibre& fibre);
  void StartBlock();
  std::string RunBlock();
  void Resume(Fibre& fibre);
  void Leave();
  void Wait(Meeting& meeting);
  size_t Give(unsigned mask, uint64_t value);

  std::vector<std::unique_ptr<Fibre>> fibres_;
  std::vector<Warp> warps_;
  std::vector<size_t> order_;
  std::minstd_rand random_;
  Meeting block_;
  const std::function<void()>* body_ = nullptr;
  size_t shared_bytes_ = 0;
  Context scheduler_;
  void* scheduler_fake_stack_ = nullptr;
  Stack scheduler_stack_;
  std::string fault_;
};

BlockRun& Current() {
  static thread_local BlockRun run;
  return run;
}

void BlockRun::Entry() {
  BlockRun& run = Current();
  FinishSwitch(nullptr, &run.scheduler_stack_);
  Fibre& fibre = *run.current;
  for (;;) {
    (*run.body_)();
    fibre.done = true;
    --run.block_.living;
    run.block_.ReleaseIfComplete();
    --fibre.warp->meeting.living;
    fibre.warp->meeting.ReleaseIfComplete();
    run.Leave();
  }
}

void BlockRun::Begin(Fibre& fibre) {
  fibre.stack.Clean();
  fibre.fake_stack = nullptr;
  getcontext(&fibre.context.start);
  fibre.context.start.uc_stack.ss_sp = fibre.stack.get();
  fibre.context.start.uc_stack.ss_size = kStackBytes;
  fibre.context.start.uc_link = nullptr;
  makecontext(&fibre.context.start, &BlockRun::Entry, 0);
  fibre.context.left = false;
  fibre.begun = true;
}

void BlockRun::Resume(Fibre& fibre) {
  current = &fibre;
  StartSwitch(&scheduler_fake_stack_, {fibre.stack.get(), kStackBytes});
  SwitchTo(scheduler_, fibre.context);
  FinishSwitch(scheduler_fake_stack_, nullptr);
}

void BlockRun::Leave() {
  Fibre& fibre = *current;
  StartSwitch(&fibre.fake_stack, scheduler_stack_);
  SwitchTo(fibre.context, scheduler_);
  FinishSwitch(fibre.fake_stack, &scheduler_stack_);
}

void BlockRun::Wait(Meeting& meeting) {
  Fibre& fibre = *current;
  const uint64_t generation = meeting.generation;
  ++meeting.arrived;
  meeting.ReleaseIfComplete();
  if (meeting.generation != generation) return;
  fibre.waits_for = &meeting;
  fibre.waits_beyond = generation;
  Leave();
}

// Returns the set of values that all lanes have given.
size_t BlockRun::Give(unsigned mask, uint64_t value) {
  Warp& warp = *current->warp;
  const int lane = current->index % kWarp;
  const size_t set = warp.meeting.generation % 2;
  if ((mask >> lane & 1) == 0) fault_ = "a lane takes part in an exchange that its mask leaves out";
  if (warp.meeting.arrived == 0) warp.present[set] = 0;
  if (__builtin_popcount(mask) < warp.meeting.living) {
    fault_ = "an exchange of a part of a warp is not emulated";
  }
  warp.values[set][static_cast<size_t>(lane)] = value;
  warp.present[set] |= 1u << lane;
  Wait(warp.meeting);
  return set;
}

uint64_t BlockRun::Exchange(unsigned mask, uint64_t value, int from) {
  const size_t set = Give(mask, value);
  const Warp& warp = *current->warp;
  if (from < 0 || from >= kWarp || (warp.present[set] >> from & 1) == 0) return value;
  return warp.values[set][static_cast<size_t>(from)];
}

void BlockRun::Gather(unsigned mask, uint64_t value, uint64_t (&all)[kWarp]) {
  const size_t set = Give(mask, value);
  const Warp& warp = *current->warp;
  for (int lane = 0; lane < kWarp; ++lane) {
    all[lane] = warp.present[set] >> lane & 1 ? warp.values[set][static_cast<size_t>(lane)] : 0;
  }
}

unsigned BlockRun::Ballot(unsigned mask, bool value) {
  const size_t set = Give(mask, value ? 1 : 0);
  const Warp& warp = *current->warp;
  unsigned bits = 0;
  for (int lane = 0; lane < kWarp; ++lane) {
    if (warp.present[set] >> lane & 1 && warp.values[set][static_cast<size_t>(lane)] != 0) {
      bits |= 1u << lane;
    }
  }
  return bits;
}

void BlockRun::StartBlock() {
  const size_t threads = size_t{size.x} * size.y * size.z;
  block_ = {static_cast<int>(threads)};
  warps_.assign((threads + kWarp - 1) / kWarp, Warp());
  while (fibres_.size() < threads) fibres_.push_back(std::make_unique<Fibre>());
  for (size_t i = 0; i < threads; ++i) {
    Fibre& fibre = *fibres_[i];
    if (!fibre.begun || !fibre.done) Begin(fibre);
    fibre.thread = {static_cast<unsigned>(i) % size.x, static_cast<unsigned>(i) / size.x % size.y,
                    static_cast<unsigned>(i) / (size.x * size.y)};
    fibre.index = static_cast<int>(i);
    fibre.warp = &warps_[i / kWarp];
    ++fibre.warp->meeting.living;
    fibre.waits_for = nullptr;
    fibre.done = false;
  }
  if (shared_bytes_ > 0) std::memset(shared.get(), 0xCD, shared_bytes_);
}

std::string BlockRun::RunBlock() {
  const size_t threads = size_t{size.x} * size.y * size.z;
  const Schedule schedule = schedule_of_all;
  order_.resize(threads);
  std::iota(order_.begin(), order_.end(), size_t{0});
  if (schedule == Schedule::kDescending) std::reverse(order_.begin(), order_.end());
  StartBlock();
  for (bool progress = true; progress && block_.living > 0;) {
    progress = false;
    if (schedule == Schedule::kShuffled) std::shuffle(order_.begin(), order_.end(), random_);
    for (const size_t i : order_) {
      Fibre& fibre = *fibres_[i];
      if (fibre.done) continue;
      if (fibre.waits_for != nullptr && fibre.waits_for->generation == fibre.waits_beyond) continue;
      fibre.waits_for = nullptr;
      Resume(fibre);
      progress = true;
      if (!fault_.empty()) return fault_;
    }
  }
  return block_.living == 0 ? "" : "threads of a block wait for each other for ever";
}

std::string BlockRun::Run(Dim3 grid_size, Dim3 block_size, size_t shared_bytes,
                          const std::function<void()>& body) {
  grid = grid_size;
  size = block_size;
  body_ = &body;
  shared_bytes_ = shared_bytes;
  constexpr size_t kAlignment = 64;
  shared.reset(shared_bytes == 0
                   ? nullptr
                   : static_cast<std::byte*>(std::aligned_alloc(
                         kAlignment, (shared_bytes + kAlignment - 1) / kAlignment * kAlignment)));
  fault_.clear();
  for (index.z = 0; index.z < grid.z; ++index.z) {
    for (index.y = 0; index.y < grid.y; ++index.y) {
      for (index.x = 0; index.x < grid.x; ++index.x) {
        if (std::string wrong = RunBlock(); !wrong.empty()) return wrong;
      }
    }
  }
  return "";
}

}  // namespace

void SetSchedule(Schedule schedule) { schedule_of_all = schedule; }

std::string RunGrid(Dim3 grid, Dim3 block, size_t shared_bytes, const std::function<void()>& body) {
  return Current().Run(grid, block, shared_bytes, body);
}

const Dim3& GridSize() { return Current().grid; }
const Dim3& BlockSize() { return Current().size; }
const Dim3& BlockIndex() { return Current().index; }
const Dim3& ThreadIndex() { return Current().current->thread; }
void* DynamicShared() { return Current().shared.get(); }
void SyncThreads() { Current().SyncThreads(); }
uint64_t Exchange(unsigned mask, uint64_t value, int from) {
  return Current().Exchange(mask, value, from);
}
void Gather(unsigned mask, uint64_t value, uint64_t (&all)[kWarp]) {
  Current().Gather(mask, value, all);
}
unsigned Ballot(unsigned mask, bool value) { return Current().Ballot(mask, value); }
int LaneIndex() { return Current().current->index % kWarp; }

}  // namespace seedlm::cuda::emulation
