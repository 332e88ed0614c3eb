// What work may take of a machine's memory.
#include "server/scheduler/memory_plan.h"

#include <catch2/catch.hpp>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>

#include "server/machine_memory.h"
#include "server/scheduler/policy.h"
#include "server/work_memory.h"
#include "tests/server/status_matcher.h"
#include "tests/server/temporary_directory.h"

namespace seedlm::server {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;
constexpr int64_t kGiB = int64_t{1} << 30;

TEST_CASE("with enough memory work is as large as it was wanted") {
  const MemoryWanted wanted{64 * kGiB, kGiB, 16};
  const auto plan = PlanMemory(wanted);
  REQUIRE(plan.ok());
  CHECK(plan->index == kGiB);
  CHECK(plan->workers == 16);
  CHECK(plan->shards_together == kShardsTogether);
  CHECK(plan->bytes <= wanted.bytes);
  CHECK(plan->Shortfall(wanted).empty());
}

TEST_CASE("whatever the memory, the plan stays within it, and more of it gives no fewer workers") {
  const int workers = GENERATE(1, 2, 16, 192);
  const int64_t index = GENERATE(int64_t{0}, kGiB, 8 * kGiB);
  MemoryPlan before{};
  for (int64_t bytes = 64 * kMiB; bytes < 400 * kGiB; bytes += bytes / 7) {
    CAPTURE(workers, index, bytes);
    const MemoryWanted wanted{bytes, index, workers};
    const auto plan = PlanMemory(wanted);
    if (!plan.ok()) {
      CHECK(before.bytes == 0);  // never again, once there was room
      CHECK_THAT(plan.status(),
                 IsStatus(absl::StatusCode::kResourceExhausted, {"too little; one thread"}));
      CHECK(bytes < LeastPlan().bytes);
      continue;
    }
    CHECK(plan->bytes <= bytes);
    CHECK(plan->workers >= before.workers);
    // As many workers as before: the index is no smaller, and with the same one no less together.
    if (plan->workers == before.workers) CHECK(plan->index >= before.index);
    if (plan->workers == before.workers && plan->index == before.index) {
      CHECK(plan->shards_together >= before.shards_together);
    }
    // Nothing is left idle that would do for more.
    if (plan->index < index) CHECK(plan->bytes == bytes);
    before = *plan;
  }
  CHECK(before.workers == workers);
  CHECK(before.index == index);
}

TEST_CASE("memory that is short costs shards together first, then index, then threads") {
  const auto plan = [](int64_t bytes) { return *PlanMemory({bytes, kGiB, 16}); };
  CHECK(plan(8 * kGiB).shards_together < kShardsTogether);
  CHECK(plan(8 * kGiB).workers == 16);
  CHECK(plan(8 * kGiB).index == kGiB);
  CHECK(plan(2 * kGiB).index < kGiB);
  CHECK(plan(kGiB).workers < 16);
  CHECK(plan(kGiB).Shortfall({kGiB, kGiB, 16}).find(" of 16 threads, an index of ") !=
        std::string::npos);
}

TEST_CASE("the least that is enough") {
  const int64_t least = LeastPlan().bytes;
  CHECK_FALSE(PlanMemory({least - 1, 0, 8}).ok());
  for (const int64_t more : {0, 1}) {
    const auto plan = PlanMemory({least + more, kGiB, 8});
    REQUIRE(plan.ok());
    CHECK(plan->workers == 1);
    CHECK(plan->index == more);
  }
  const auto all = PlanMemory({std::numeric_limits<int64_t>::max(), int64_t{1} << 40, 4096});
  REQUIRE(all.ok());
  CHECK(all->workers == 4096);
}

TEST_CASE("a server's options say how much, or the machine does") {
  ServerOptions options;
  options.threads = 8;
  SECTION("the machine's three quarters") {
    const auto memory = PlanWorkMemory(options, 4 * kGiB);
    REQUIRE(memory.ok());
    CHECK(memory->plan.bytes <= 3 * kGiB);
    CHECK(memory->warning.empty());
  }
  SECTION("the machine is small") {
    const auto memory = PlanWorkMemory(options, kGiB);
    REQUIRE(memory.ok());
    CHECK(memory->plan.bytes <= 768 * kMiB);
    CHECK(memory->warning.find("768 MiB of memory, three quarters") != std::string::npos);
  }
  SECTION("the machine is too small for anything") {
    const auto memory = PlanWorkMemory(options, 64 * kMiB);
    REQUIRE(memory.ok());
    CHECK(memory->plan.workers == 1);
    CHECK(memory->plan.index == 0);
    CHECK(memory->warning.find("48 MiB of memory are too little") != std::string::npos);
  }
  SECTION("the machine does not say") {
    const auto memory = PlanWorkMemory(options, 0);
    REQUIRE(memory.ok());
    CHECK(memory->plan.workers == 8);
    CHECK(memory->plan.index == options.index_memory);
  }
  SECTION("the options win") {
    options.memory = 16 * kGiB;
    const auto memory = PlanWorkMemory(options, 32 * kGiB);
    REQUIRE(memory.ok());
    CHECK(memory->plan.workers == 8);
    CHECK(memory->warning.empty());
    CHECK(PlanWorkMemory(options, kGiB)->warning ==
          "--memory is 16384 MiB, this machine gives 1024 MiB");
  }
  SECTION("an index that is not wanted takes nothing") {
    options.search = "exhaustive";
    options.memory = 16 * kGiB;
    CHECK(PlanWorkMemory(options, 0)->plan.index == 0);
  }
  SECTION("the options say too little") {
    options.memory = 100 * kMiB;
    CHECK_THAT(PlanWorkMemory(options, kGiB).status(),
               IsStatus(absl::StatusCode::kInvalidArgument,
                        {"--memory: 100 MiB of memory are too little; one thread"}));
  }
}

class FakeMachine {
 public:
  void Write(const std::string& path, const std::string& text) {
    const std::string whole = root() + path;
    std::filesystem::create_directories(std::filesystem::path(whole).parent_path());
    std::ofstream(whole) << text;
  }
  std::string root() const { return directory_.path(); }

 private:
  TemporaryDirectory directory_;
};

TEST_CASE("a machine gives what it has, or what its control groups leave") {
  FakeMachine machine;
  CHECK(MachineMemory(machine.root()) == 0);
  machine.Write("/proc/meminfo", "MemTotal:       16384000 kB\nMemFree:  1 kB\n");
  CHECK(MachineMemory(machine.root()) == int64_t{16384000} << 10);
  SECTION("version 2: the least on the way up") {
    machine.Write("/proc/self/cgroup", "0::/system.slice/seedlm.service\n");
    machine.Write("/sys/fs/cgroup/system.slice/seedlm.service/memory.max", "max\n");
    CHECK(MachineMemory(machine.root()) == int64_t{16384000} << 10);
    machine.Write("/sys/fs/cgroup/system.slice/memory.max", "2147483648\n");
    CHECK(MachineMemory(machine.root()) == 2 * kGiB);
    machine.Write("/sys/fs/cgroup/system.slice/seedlm.service/memory.max", "1073741824\n");
    CHECK(MachineMemory(machine.root()) == kGiB);
    machine.Write("/sys/fs/cgroup/system.slice/seedlm.service/memory.high", "536870912\n");
    CHECK(MachineMemory(machine.root()) == 512 * kMiB);
  }
  SECTION("in a container, whose own group is the root it sees") {
    machine.Write("/proc/self/cgroup", "0::/docker/0123\n");
    machine.Write("/sys/fs/cgroup/memory.max", "1073741824\n");
    CHECK(MachineMemory(machine.root()) == kGiB);
  }
  SECTION("version 1") {
    machine.Write("/proc/self/cgroup", "9:cpu,cpuacct:/x\n4:memory:/y\n0::/\n");
    machine.Write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    CHECK(MachineMemory(machine.root()) == int64_t{16384000} << 10);
    machine.Write("/sys/fs/cgroup/memory/y/memory.limit_in_bytes", "1073741824\n");
    CHECK(MachineMemory(machine.root()) == kGiB);
  }
  SECTION("what makes no sense is no limit") {
    machine.Write("/proc/self/cgroup", "\n0\n0::relative\n0::/a\n");
    machine.Write("/sys/fs/cgroup/a/memory.max", "-5\nx\n");
    machine.Write("/sys/fs/cgroup/memory.max", "0");
    CHECK(MachineMemory(machine.root()) == int64_t{16384000} << 10);
  }
}

}  // namespace
}  // namespace seedlm::server
