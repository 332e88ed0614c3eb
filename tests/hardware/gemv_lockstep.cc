// The RTL matrix-vector units against exact arithmetic on the codec's integers, bit for bit, with
// random back-pressure on every stream; and their cycles against the simulator's.
//
//   gemv_lockstep --matrices N [--seed S]    random sequences of matrices, N on each unit
//   gemv_lockstep --cycles SIDE              cycles of square matrices, alone and in sequence
//   gemv_lockstep --model FILE [--seed S]    every 4bit tensor of a compressed file
#include <Vgemv_float16.h>
#include <Vgemv_fp16.h>
#include <Vgemv_int8.h>
#include <Vgemv_pow2.h>

#include <cmath>
#include <string>
#include <vector>

#include "hardware/sim/command.h"
#include "hardware/sim/machine.h"
#include "kernels/codec/basis.h"
#include "kernels/codec/bitpack.h"
#include "kernels/codec/block_code.h"
#include "kernels/codec/narrow.h"
#include "kernels/format/packed_tensor.h"
#include "tests/hardware/lockstep.h"

namespace seedlm::hardware {
namespace {

__extension__ typedef __int128 Wide;

constexpr int kLanes = SEEDLM_LANES;
constexpr int kColumnsPerLine = 8 * kLanes;
constexpr uint32_t kZeroSeed = 1, kNotFinite = 2;

enum class Levels { kFitted, kPow2, kNone };  // kNone: float16 weights

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

// One product: what goes in.
struct Job {
  Command command;
  std::vector<uint32_t> vector;   // as on the wire, whole lines; empty: the one before is kept
  std::vector<uint32_t> weights;  // rows of whole words
  std::vector<float> scales;      // one a row, or none
};

// An integer, and whether it stands for a value that was not finite.
struct Fixed {
  int64_t value = 0;
  bool not_finite = false;
};

Fixed FromFloat16(uint32_t half) {
  if ((half & 0x7C00) == 0x7C00) return {0, true};
  return {static_cast<int64_t>(std::ldexp(codec::FromFloat16(static_cast<uint16_t>(half)), 24)),
          false};
}

std::vector<Fixed> Values(const std::vector<uint32_t>& wire, bool int8) {
  std::vector<Fixed> values;
  for (const uint32_t word : wire) {
    for (int i = 0; i < (int8 ? 4 : 2); ++i) {
      values.push_back(int8 ? Fixed{static_cast<int8_t>(word >> (8 * i)), false}
                            : FromFloat16((word >> (16 * i)) & 0xFFFF));
    }
  }
  return values;
}

struct Result {
  uint32_t bits = 0;
  uint32_t flags = 0;
};

// The row's result and flags, by definition.
Result Expected(const Job& job, Levels levels, const std::vector<Fixed>& x, size_t row) {
  const size_t line_words = static_cast<size_t>(kLanes) * (levels == Levels::kNone ? 4 : 1);
  const size_t row_words = line_words * static_cast<size_t>(job.command.lines_per_row);
  const uint32_t* words = &job.weights[row * row_words];
  Wide sum = 0;
  Result result;
  for (const Fixed& value : x) {
    if (value.not_finite) result.flags |= kNotFinite;
  }
  for (size_t i = 0; i < row_words; ++i) {
    if (levels == Levels::kNone) {
      for (size_t k = 0; k < 2; ++k) {
        const Fixed w = FromFloat16((words[i] >> (16 * k)) & 0xFFFF);
        if (w.not_finite) result.flags |= kNotFinite;
        sum += static_cast<Wide>(w.value) * x[2 * i + k].value;
      }
      continue;
    }
    const codec::BlockCode code = codec::UnpackWord(codec::k4bit, words[i], 0);
    if (code.seed == 0) result.flags |= kZeroSeed;
    const codec::Basis basis = codec::MakeBasis(codec::k4bit, code.seed);
    Wide dot = 0;
    for (size_t c = 0; c < 8; ++c) {
      int64_t s = 0;
      for (size_t p = 0; p < 3; ++p) s += int64_t{basis.at[c][p]} * code.q[p];
      dot += static_cast<Wide>(s) * x[8 * i + c].value;
    }
    const size_t level = code.level;
    if (levels == Levels::kFitted) dot *= job.command.levels.digits[level];
    sum += dot * (static_cast<Wide>(1) << job.command.levels.shift[level]);
  }
  const double scale = job.scales.empty() ? 1.0 : double{job.scales[row]};
  const double product = double{static_cast<float>(sum)} * scale;  // 24 + 24 bits: exact
  result.bits = codec::FloatBits(static_cast<float>(std::ldexp(product, job.command.unit)));
  return result;
}

// How streams behave in a run.
struct Behaviour {
  int percent = 100;                     // chance a cycle of each stream
  const MemoryConfig* memory = nullptr;  // weights arrive through this port instead
  int result_interval = 1;
};

// Runs the jobs one after the other; compares every result; returns cycles as the simulator counts
// them.
template <class Model>
int64_t Run(const std::vector<Job>& jobs, const Behaviour& behaviour, Random& random) {
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
    x[j] =
        job.vector.empty() ? x[j - 1] : Values(job.vector, unit.activations == Activations::kInt8);
    words.data.insert(words.data.end(), job.weights.begin(), job.weights.end());
    for (const float scale : job.scales) scales.data.push_back(codec::FloatBits(scale));
    for (size_t r = 0; r < static_cast<size_t>(job.command.rows); ++r) rows.push_back({j, r});
  }
  Patience command(&random, behaviour.percent), vector(&random, behaviour.percent),
      word(&random, behaviour.percent), scale(&random, behaviour.percent),
      accept(&random, behaviour.percent);
  MemoryPort port(behaviour.memory != nullptr ? *behaviour.memory : MemoryConfig{},
                  static_cast<int64_t>(4 * words.data.size()));
  Model model;
  model.s_axis_command_tvalid = model.s_axis_vector_tvalid = model.s_axis_weights_tvalid = 0;
  model.s_axis_scales_tvalid = model.m_axis_tready = 0;
  Reset(model);
  size_t received = 0;
  uint32_t flags = 0;
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
      if (model.m_axis_tdata != expected.bits || model.m_axis_tuser != expected.flags) {
        Fail(std::string(UnitOf<Model>::name) + ", matrix " + std::to_string(at.job) + " row " +
             std::to_string(at.row) + ": " + std::to_string(model.m_axis_tdata) + " flags " +
             std::to_string(model.m_axis_tuser) + ", expected " + std::to_string(expected.bits) +
             " flags " + std::to_string(expected.flags));
      }
      const bool last = at.row + 1 == static_cast<size_t>(job.command.rows);
      if ((model.m_axis_tlast != 0) != last) Fail("tlast");
      ++received;
      accept.Taken();
      next_result = cycle + behaviour.result_interval;
    }
    model.clk = 1;
    model.eval();
  }
  if (model.error != flags) Fail(std::string(UnitOf<Model>::name) + ": the error flags");
  if (words.left() || vectors.left() || scales.left() || commands.left()) Fail("input is left");
  return cycle;
}

// A matrix of random codes or weights. `hostile`: zero seeds and values that are not finite may be.
Job RandomJob(const Unit& unit, Levels levels, int64_t rows, int lines, bool keep_last,
              bool hostile, Random& random) {
  Job job;
  job.command.rows = rows;
  job.command.lines_per_row = lines;
  job.command.unit = static_cast<int>(random() % 100) - 150;
  if (random() % 8 == 0) job.command.unit = static_cast<int>(random() % 400) - 300;
  for (size_t i = 0; i < job.command.levels.digits.size(); ++i) {
    job.command.levels.digits[i] = 0x800000u | (static_cast<uint32_t>(random()) & 0x7FFFFFu);
    job.command.levels.shift[i] = static_cast<int>(random() % (kMaxLevelShift + 1));
  }
  const auto halves = [&](uint32_t bits) {
    for (const int at : {0, 16}) {
      const bool not_finite = ((bits >> at) & 0x7C00) == 0x7C00;
      if (not_finite && !(hostile && random() % 64 == 0)) bits &= ~(0x4000u << at);
    }
    return bits;
  };
  if (!keep_last) {
    job.vector.resize(static_cast<size_t>(lines * kLanes * unit.beats_per_line()));
    for (uint32_t& word : job.vector) {
      word = static_cast<uint32_t>(random());
      if (unit.activations == Activations::kFloat16) word = halves(word);
    }
  }
  const int words_per_line = levels == Levels::kNone ? 4 * kLanes : kLanes;
  job.weights.resize(static_cast<size_t>(rows * lines * words_per_line));
  for (uint32_t& word : job.weights) {
    word = static_cast<uint32_t>(random());
    if (levels == Levels::kNone) {
      word = halves(word);
    } else if ((word & 0xFFFF) == 0 || (hostile && random() % 500 == 0)) {
      word = (word & 0xFFFF0000u) | (hostile ? 0 : 1);
    }
  }
  job.command.row_scales = random() % 2 != 0;
  for (int64_t r = 0; job.command.row_scales && r < rows; ++r) {
    const uint32_t exponent = static_cast<uint32_t>(random() % 8 == 0 ? random() % 255 : 127);
    job.scales.push_back(
        codec::FloatFromBits((static_cast<uint32_t>(random()) & 0x807FFFFFu) | (exponent << 23)));
  }
  return job;
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
void CompareCycles(int64_t side, Random& random) {
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
  for (const auto& test : cases) {
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
    const int64_t rtl = Run<Model>(jobs, {100, test.memory, test.result_interval}, random);
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

void RunModel(const std::string& path, Random& random) {
  const auto file = format::OpenPackedFile(path);
  if (!file.ok()) Fail(std::string(file.status().message()));
  std::vector<Job> jobs;
  size_t rows = 0;
  for (const format::PackedTensor& tensor : file->packed) {
    if (tensor.profile.name != codec::k4bit.name || tensor.columns % 8 != 0) Fail(tensor.name);
    const absl::StatusOr<IntegerLevels> levels = ToIntegerLevels(tensor.scale);
    if (!levels.ok()) Fail(std::string(levels.status().message()));
    const int lines = static_cast<int>((tensor.columns + kColumnsPerLine - 1) / kColumnsPerLine);
    Job job = RandomJob(UnitOf<Vgemv_float16>::unit, Levels::kFitted, tensor.rows, lines, false,
                        false, random);
    job.command.levels = *levels;
    job.command.unit = levels->unit - 24;
    job.weights.assign(job.weights.size(), 1);  // the padding's block
    const size_t row_words = static_cast<size_t>(lines * kLanes);
    for (int64_t r = 0; r < tensor.rows; ++r) {
      for (int64_t b = 0; b < tensor.blocks_per_row(); ++b) {
        job.weights[static_cast<size_t>(r) * row_words + static_cast<size_t>(b)] =
            codec::PackWord(codec::k4bit, tensor.CodeAt(r, b));
      }
    }
    rows += static_cast<size_t>(tensor.rows);
    jobs.push_back(std::move(job));
  }
  if (jobs.empty()) Fail(path + ": holds no compressed tensor");
  Run<Vgemv_float16>(jobs, {70, nullptr, 1}, random);
  std::printf("gemv_lockstep: matched %zu rows of %zu tensors of %s\n", rows, jobs.size(),
              path.c_str());
}

}  // namespace
}  // namespace seedlm::hardware

int main(int argc, char** argv) {
  using namespace seedlm::hardware;
  size_t matrices = 0;
  std::vector<int64_t> sides;
  std::string model;
  Random random(1);
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string option = argv[i];
    if (option == "--matrices") matrices = std::stoul(argv[i + 1]);
    if (option == "--cycles") sides.push_back(std::stol(argv[i + 1]));
    if (option == "--model") model = argv[i + 1];
    if (option == "--seed") random.seed(std::stoul(argv[i + 1]));
  }
  if (matrices == 0 && sides.empty() && model.empty()) {
    std::fprintf(stderr,
                 "usage: gemv_lockstep --matrices N | --cycles SIDE | --model FILE [--seed S]\n");
    return 2;
  }
  if (matrices != 0) {
    RunRandom<Vgemv_float16>(matrices, random);
    RunRandom<Vgemv_pow2>(matrices, random);
    RunRandom<Vgemv_int8>(matrices, random);
    RunRandom<Vgemv_fp16>(matrices, random);
  }
  for (const int64_t side : sides) {
    CompareCycles<Vgemv_float16>(side, random);
    CompareCycles<Vgemv_int8>(side, random);
    CompareCycles<Vgemv_fp16>(side, random);
  }
  if (!model.empty()) RunModel(model, random);
  return 0;
}
