// The RTL matrix-vector units against exact arithmetic on the codec's integers, bit for bit, with
// random back-pressure on every stream; and their cycles against the simulator's.
//
//   gemv_lockstep --matrices N [--seed S]    random sequences of matrices, N on each unit; extremes
//   gemv_lockstep --cycles SIDE              cycles of square matrices, alone and in sequence
//   gemv_lockstep --alone SIDE               cycles of one square matrix
//   gemv_lockstep --model FILE [--seed S]    every tensor of a compressed 4bit file
#include <Vgemv_float16.h>
#include <Vgemv_fp16.h>
#include <Vgemv_int8.h>
#include <Vgemv_pow2.h>

#include <iterator>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "hardware/sim/machine.h"
#include "kernels/codec/narrow.h"
#include "kernels/format/packed_tensor.h"
#include "tests/hardware/gemv_job.h"
#include "tests/hardware/lockstep.h"

namespace seedlm::hardware {
namespace {

template <class Model>
struct UnitOf;
template <>
struct UnitOf<Vgemv_float16> {
  static constexpr Unit unit{UnitKind::kSeedlm, kLanes, Activations::kFloat16};
  static constexpr Levels levels = Levels::kFitted;
  static constexpr const char* name = "seedlm, float16 activations";
};
template <>
struct UnitOf<Vgemv_pow2> {
  static constexpr Unit unit{UnitKind::kSeedlm, kLanes, Activations::kFloat16};
  static constexpr Levels levels = Levels::kPow2;
  static constexpr const char* name = "seedlm, float16 activations, levels as shifts";
};
template <>
struct UnitOf<Vgemv_int8> {
  static constexpr Unit unit{UnitKind::kSeedlm, kLanes, Activations::kInt8};
  static constexpr Levels levels = Levels::kFitted;
  static constexpr const char* name = "seedlm, int8 activations";
};
template <>
struct UnitOf<Vgemv_fp16> {
  static constexpr Unit unit{UnitKind::kFp16, kLanes, Activations::kFloat16};
  static constexpr Levels levels = Levels::kNone;
  static constexpr const char* name = "fp16";
};

// How streams behave in a run.
struct Behaviour {
  int percent = 100;                     // chance a cycle of each stream
  const MemoryConfig* memory = nullptr;  // weights arrive through this port instead
  int result_interval = 1;
};

struct Outcome {
  int64_t cycles;  // as the simulator counts them
  uint32_t flags;  // of all rows
};

// Runs the jobs one after the other; compares every result.
template <class Model>
Outcome Run(const std::vector<Job>& jobs, const Behaviour& behaviour, Random& random) {
  constexpr Unit unit = UnitOf<Model>::unit;
  Beats commands{{}, {}, 16, 0}, vectors{{}, {}, kLanes, 0}, words{{}, {}, kLanes, 0},
      scales{{}, {}, 1, 0};
  struct Row {
    size_t job, row;
  };
  std::vector<Row> rows;
  std::vector<std::vector<Fixed>> x(jobs.size());
  for (size_t j = 0; j < jobs.size(); ++j) {
    const Job& job = jobs[j];
    const std::array<uint32_t, 16> bits = Encode(job.command);
    commands.data.insert(commands.data.end(), bits.begin(), bits.end());
    vectors.data.insert(vectors.data.end(), job.vector.begin(), job.vector.end());
    if (!job.vector.empty()) {
      vectors.last.resize(vectors.count(), false);
      vectors.last.back() = true;
    }
    x[j] = job.vector.empty() ? x[j - 1] : Values(job.vector, unit.activations);
    words.data.insert(words.data.end(), job.weights.begin(), job.weights.end());
    for (const float scale : job.scales) scales.data.push_back(codec::FloatBits(scale));
    for (size_t r = 0; r < static_cast<size_t>(job.command.rows); ++r) rows.push_back({j, r});
  }
  Patience command(&random, behaviour.percent), vector(&random, behaviour.percent),
      word(&random, behaviour.percent), scale(&random, behaviour.percent);
  Receiver accept(&random, behaviour.percent);
  HeldOutput<Model> output;
  MemoryPort port(behaviour.memory != nullptr ? *behaviour.memory : MemoryConfig{},
                  static_cast<int64_t>(4 * words.data.size()));
  Model model;
  model.s_axis_command_tvalid = model.s_axis_vector_tvalid = model.s_axis_weights_tvalid = 0;
  model.s_axis_scales_tvalid = model.m_axis_tready = 0;
  Reset(model);
  size_t received = 0;
  uint32_t flags = 0, known = 15;
  int64_t cycle = 0, next_result = 0;
  const int64_t limit = 100'000 + 200 * static_cast<int64_t>(words.count() + vectors.count());
  for (; received < rows.size(); ++cycle) {
    if (cycle > limit) Fail(std::string(UnitOf<Model>::name) + " stands still");
    port.Tick();
    model.s_axis_command_tvalid = commands.left() && command.Draw();
    if (commands.left()) Drive(model.s_axis_command_tdata, commands.next(), 16);
    model.s_axis_vector_tvalid = vectors.left() && vector.Draw();
    if (vectors.left()) Drive(model.s_axis_vector_tdata, vectors.next(), kLanes);
    model.s_axis_vector_tlast = vectors.left() && vectors.next_is_last();
    const bool offered =
        behaviour.memory != nullptr ? port.fifo_bytes() >= unit.word_bytes() : word.Draw();
    model.s_axis_weights_tvalid = words.left() && offered;
    if (words.left()) Drive(model.s_axis_weights_tdata, words.next(), kLanes);
    model.s_axis_scales_tvalid = scales.left() && scale.Draw();
    if (scales.left()) model.s_axis_scales_tdata = *scales.next();
    model.m_axis_tready = accept.Draw() && cycle >= next_result;
    model.clk = 0;
    model.eval();
    output.Look(model);
    if (model.s_axis_command_tvalid && model.s_axis_command_tready) {
      ++commands.sent;
      command.Taken();
    }
    if (model.s_axis_vector_tvalid && model.s_axis_vector_tready) {
      ++vectors.sent;
      vector.Taken();
    }
    if (model.s_axis_weights_tvalid && model.s_axis_weights_tready) {
      ++words.sent;
      word.Taken();
      port.Take(unit.word_bytes());
    }
    if (model.s_axis_scales_tvalid && model.s_axis_scales_tready) {
      ++scales.sent;
      scale.Taken();
    }
    if (model.m_axis_tvalid && model.m_axis_tready) {
      const Row at = rows[received];
      const Job& job = jobs[at.job];
      const Result expected = Expected(job, UnitOf<Model>::levels, x[at.job], at.row);
      flags |= expected.flags;
      known &= expected.known;
      if ((expected.means_something && model.m_axis_tdata != expected.bits) ||
          ((model.m_axis_tuser ^ expected.flags) & expected.known) != 0) {
        Fail(std::string(UnitOf<Model>::name) + ", matrix " + std::to_string(at.job) + " row " +
             std::to_string(at.row) + ": " + std::to_string(model.m_axis_tdata) + " flags " +
             std::to_string(model.m_axis_tuser) + ", expected " + std::to_string(expected.bits) +
             " flags " + std::to_string(expected.flags));
      }
      const bool last = at.row + 1 == static_cast<size_t>(job.command.rows);
      if ((model.m_axis_tlast != 0) != last) Fail("tlast");
      ++received;
      next_result = cycle + behaviour.result_interval;
    }
    model.clk = 1;
    model.eval();
  }
  if (((model.error ^ flags) & known) != 0) {
    Fail(std::string(UnitOf<Model>::name) + ": the error flags");
  }
  if (words.left() || vectors.left() || scales.left() || commands.left()) Fail("input is left");
  return {cycle, flags};
}

template <class Model>
void RunRandom(size_t count, Random& random) {
  size_t matched_rows = 0, matrices = 0;
  while (matrices < count) {
    std::vector<Job> jobs;
    const size_t batch = 1 + random() % 6;
    int lines = 1;
    for (size_t i = 0; i < batch; ++i) {
      const bool keep_last = i > 0 && random() % 3 == 0;
      if (keep_last) jobs.back().command.keep_vector = true;
      if (!keep_last) lines = static_cast<int>(1 + random() % 9);
      const int64_t rows = static_cast<int64_t>(1 + random() % 20);
      jobs.push_back(RandomJob(UnitOf<Model>::unit, UnitOf<Model>::levels, rows, lines, keep_last,
                               random() % 4 == 0, random));
      matched_rows += static_cast<size_t>(rows);
    }
    Behaviour behaviour;
    behaviour.percent = random() % 3 == 0 ? 100 : static_cast<int>(20 + random() % 80);
    Run<Model>(jobs, behaviour, random);
    matrices += batch;
  }
  std::printf("gemv_lockstep: %s: matched %zu rows of %zu matrices, %d lanes\n",
              UnitOf<Model>::name, matched_rows, matrices, kLanes);
}

// The same matrices in RTL and in the simulator.
template <class Model>
void CompareCycles(int64_t side, bool alone, Random& random) {
  MemoryConfig slow;
  slow.bytes_per_cycle = 3 * kLanes;
  slow.latency = 37;
  slow.burst_beats = 16;
  slow.outstanding = 3;
  slow.burst_gap = 2;
  slow.refresh_interval = 500;
  slow.refresh_cycles = 23;
  const struct {
    const char* name;
    int count;
    bool same_vector;
    const MemoryConfig* memory;
    int result_interval;
  } cases[] = {{"alone", 1, false, nullptr, 1},
               {"three in sequence", 3, false, nullptr, 1},
               {"three on one vector", 3, true, nullptr, 1},
               {"slow memory", 2, false, &slow, 1},
               {"slow receiver", 2, false, nullptr, 11}};
  for (const auto& test : std::span(cases).first(alone ? 1 : std::size(cases))) {
    std::vector<Job> jobs;
    std::vector<Matrix> matrices;
    for (int i = 0; i < test.count; ++i) {
      const bool keep_last = test.same_vector && i > 0;
      if (keep_last) jobs.back().command.keep_vector = true;
      const int lines = static_cast<int>((side + kColumnsPerLine - 1) / kColumnsPerLine);
      jobs.push_back(RandomJob(UnitOf<Model>::unit, UnitOf<Model>::levels, side, lines, keep_last,
                               false, random));
      matrices.push_back({"m", side, side, keep_last});
    }
    const int64_t rtl = Run<Model>(jobs, {100, test.memory, test.result_interval}, random).cycles;
    MachineConfig config;
    config.unit = UnitOf<Model>::unit;
    if (test.memory != nullptr) config.memory = *test.memory;
    config.result_interval = test.result_interval;
    const absl::StatusOr<Report> report = Simulate(config, matrices);
    if (!report.ok()) Fail(std::string(report.status().message()));
    std::printf("gemv_lockstep: %s, %d x %d, %s: %lld cycles in RTL, %lld simulated\n",
                UnitOf<Model>::name, static_cast<int>(side), static_cast<int>(side), test.name,
                static_cast<long long>(rtl), static_cast<long long>(report->cycles));
    if (rtl != report->cycles) Fail("cycles differ");
  }
}

template <class Model>
void RunExtremes(Random& random) {
  const Job job = ExtremeJob(UnitOf<Model>::unit, UnitOf<Model>::levels);
  const Job overlong = OverlongJob(UnitOf<Model>::unit, UnitOf<Model>::levels, random);
  Run<Model>({job, overlong, job}, {80, nullptr, 1}, random);
  std::printf("gemv_lockstep: %s: matched the extremes in rows of %d columns\n",
              UnitOf<Model>::name, job.command.lines_per_row * kColumnsPerLine);
}

template <class Model>
void RunModel(const std::string& path, const std::vector<format::PackedTensor>& tensors,
              Random& random) {
  std::vector<Job> jobs;
  size_t rows = 0;
  for (const format::PackedTensor& tensor : tensors) {
    jobs.push_back(TensorJob(UnitOf<Model>::unit, UnitOf<Model>::levels, tensor, random));
    rows += static_cast<size_t>(tensor.rows);
  }
  const uint32_t flags = Run<Model>(jobs, {70, nullptr, 1}, random).flags;
  std::printf("gemv_lockstep: %s: %s %zu rows of %zu tensors of %s\n", UnitOf<Model>::name,
              flags == 0 ? "matched" : "flagged", rows, jobs.size(), path.c_str());
}

void RunModel(const std::string& path, Random& random) {
  const auto file = format::OpenPackedFile(path);
  if (!file.ok()) Fail(std::string(file.status().message()));
  if (file->packed.empty()) Fail(path + ": holds no compressed tensor");
  RunModel<Vgemv_float16>(path, file->packed, random);
  RunModel<Vgemv_int8>(path, file->packed, random);
  RunModel<Vgemv_pow2>(path, file->packed, random);
}

}  // namespace
}  // namespace seedlm::hardware

int main(int argc, char** argv) {
  using namespace seedlm::hardware;
  size_t matrices = 0;
  std::vector<std::pair<int64_t, bool>> sides;  // and whether alone
  std::string model;
  Random random(1);
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string option = argv[i];
    if (option == "--matrices") matrices = std::stoul(argv[i + 1]);
    if (option == "--cycles") sides.emplace_back(std::stol(argv[i + 1]), false);
    if (option == "--alone") sides.emplace_back(std::stol(argv[i + 1]), true);
    if (option == "--model") model = argv[i + 1];
    if (option == "--seed") random.seed(std::stoul(argv[i + 1]));
  }
  if (matrices == 0 && sides.empty() && model.empty()) {
    std::fprintf(stderr,
                 "usage: gemv_lockstep --matrices N | --cycles SIDE | --alone SIDE | --model FILE "
                 "[--seed S]\n");
    return 2;
  }
  if (matrices != 0) {
    RunRandom<Vgemv_float16>(matrices, random);
    RunRandom<Vgemv_pow2>(matrices, random);
    RunRandom<Vgemv_int8>(matrices, random);
    RunRandom<Vgemv_fp16>(matrices, random);
    RunExtremes<Vgemv_float16>(random);
    RunExtremes<Vgemv_pow2>(random);
    RunExtremes<Vgemv_int8>(random);
    RunExtremes<Vgemv_fp16>(random);
  }
  for (const auto& [side, alone] : sides) {
    CompareCycles<Vgemv_float16>(side, alone, random);
    CompareCycles<Vgemv_int8>(side, alone, random);
    CompareCycles<Vgemv_fp16>(side, alone, random);
  }
  if (!model.empty()) RunModel(model, random);
  return 0;
}
