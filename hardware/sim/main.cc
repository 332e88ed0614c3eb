// seedlm-fpga-sim: cycles of the matrix-vector units, and a compressed model as the FPGA decodes
// it.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "hardware/sim/machine.h"
#include "hardware/sim/model.h"
#include "hardware/sim/report_text.h"
#include "hardware/sim/trace.h"

namespace seedlm::hardware {
namespace {

// The numbers of the client (client/exit_code.h).
enum ExitCode : int {
  kOk = 0,
  kCheckFailed = 1,
  kUsage = 2,
  kInvalidInput = 3,
  kNotFound = 4,
  kAlreadyExists = 5,
  kStorage = 7,
  kInternal = 70,
};

struct Options {
  int64_t rows = 0, columns = 0, count = 1;
  std::string model, unit = "seedlm", activations = "fp16", trace, decode;
  MachineConfig machine;
  double clock_mhz = 250;
  int64_t max_cycles = int64_t{1} << 40;
  bool same_vector = false, pow2 = false, check = false, json = false;
};

ExitCode CodeFor(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kOk;
    case absl::StatusCode::kNotFound:
      return kNotFound;
    case absl::StatusCode::kAlreadyExists:
      return kAlreadyExists;
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnknown:
      return kInternal;
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kDataLoss:
      return kStorage;
    default:
      return kInvalidInput;
  }
}

void Declare(CLI::App& app, Options& options) {
  app.description(
      "Simulates, cycle by cycle, the matrix-vector units of hardware/rtl behind a memory port.");
  app.footer(
      "One of --rows with --cols, or --model, says what is multiplied. Exit codes: 0 done, 1 the\n"
      "decoder differs, 2 wrong command line, 3 invalid input, 4 not found, 5 the output exists.");
  auto* rows = app.add_option("--rows", options.rows, "Rows of one matrix");
  auto* columns = app.add_option("--cols", options.columns, "Columns of one matrix");
  auto* model = app.add_option("--model", options.model,
                               "A compressed checkpoint: every 4bit matrix of it, one token");
  rows->needs(columns)->excludes(model);
  columns->needs(rows)->excludes(model);
  app.add_option("--count", options.count, "The matrix that many times in a row")
      ->check(CLI::Range(1, 1'000'000));
  app.add_flag("--same-vector", options.same_vector,
               "All but the first take the vector that is there, as k and v do after q");
  app.add_option("--unit", options.unit, "seedlm or fp16")
      ->check(CLI::IsMember({"seedlm", "fp16"}))
      ->capture_default_str();
  app.add_option("--activations", options.activations, "fp16 or int8")
      ->check(CLI::IsMember({"fp16", "int8"}))
      ->capture_default_str();
  app.add_flag("--pow2", options.pow2,
               "The unit whose levels are shifts (--scale paper, pow2): refuses other levels")
      ->needs(model);
  app.add_option("--lanes", options.machine.unit.lanes, "32-bit words a cycle")
      ->capture_default_str();
  app.add_option("--clock-mhz", options.clock_mhz, "For seconds; no claim that the RTL reaches it")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  MemoryConfig& memory = options.machine.memory;
  app.add_option("--port-bytes", memory.bytes_per_cycle, "Memory port: bytes a cycle")
      ->capture_default_str();
  app.add_option("--latency", memory.latency, "Cycles from a request to its first beat")
      ->capture_default_str();
  app.add_option("--burst", memory.burst_beats, "Beats a request")->capture_default_str();
  app.add_option("--outstanding", memory.outstanding, "Requests in flight")->capture_default_str();
  app.add_option("--burst-gap", memory.burst_gap, "Idle cycles after a burst")
      ->capture_default_str();
  app.add_option("--refresh-interval", memory.refresh_interval, "Cycles between refreshes, 0 none")
      ->capture_default_str();
  app.add_option("--refresh-cycles", memory.refresh_cycles, "Cycles of a refresh")
      ->capture_default_str();
  app.add_option("--fifo-bytes", memory.fifo_bytes, "Between port and unit")->capture_default_str();
  app.add_option("--result-interval", options.machine.result_interval,
                 "The receiver takes a result every so many cycles")
      ->capture_default_str();
  app.add_option("--max-cycles", options.max_cycles, "Give up after")->check(CLI::PositiveNumber);
  app.add_option("--trace", options.trace, "Waveform of the pipeline's occupancy (VCD)");
  app.add_flag("--check", options.check,
               "Decode the model with the HLS sources and compare with the codec; a 3bit model "
               "is decoded only, without cycles")
      ->needs(model);
  app.add_option("--decode", options.decode, "As --check, and write the weights (safetensors)")
      ->needs(model);
  app.add_flag("--json", options.json, "One JSON object");
}

absl::StatusOr<Report> RunMatrices(const Options& options, const std::vector<Matrix>& matrices) {
  if (options.trace.empty()) {
    return Simulate(options.machine, matrices, options.max_cycles);
  }
  if (absl::Status status = options.machine.Validate(); !status.ok()) return status;
  absl::StatusOr<Trace> trace = Trace::Create(options.trace, options.machine.unit);
  if (!trace.ok()) return trace.status();
  absl::StatusOr<Report> report = Simulate(options.machine, matrices, options.max_cycles,
                                           [&](const CycleView& view) { trace->Add(view); });
  if (absl::Status status = trace->Close(); report.ok() && !status.ok()) return status;
  return report;
}

std::vector<Matrix> GivenMatrices(const Options& options) {
  std::vector<Matrix> matrices;
  for (int64_t i = 0; i < options.count; ++i) {
    matrices.push_back({absl::StrCat(options.rows, "x", options.columns), options.rows,
                        options.columns, options.same_vector && i > 0});
  }
  return matrices;
}

ExitCode CodeFor(const std::vector<TensorCheck>& checks) {
  for (const TensorCheck& check : checks) {
    if (check.differences != 0) return kCheckFailed;
  }
  return kOk;
}

absl::StatusOr<ExitCode> Run(Options& options) {
  options.machine.unit.kind = options.unit == "fp16" ? UnitKind::kFp16 : UnitKind::kSeedlm;
  options.machine.unit.activations =
      options.activations == "int8" ? Activations::kInt8 : Activations::kFloat16;
  std::vector<Matrix> matrices;
  std::vector<TensorCheck> checks;
  if (options.model.empty()) {
    matrices = GivenMatrices(options);
  } else {
    absl::StatusOr<CompressedModel> model = CompressedModel::Open(options.model);
    if (!model.ok()) return model.status();
    if (options.check || !options.decode.empty()) {
      absl::StatusOr<std::vector<TensorCheck>> checked = CheckDecoder(*model, options.decode);
      if (!checked.ok()) return checked.status();
      checks = *std::move(checked);
      // No unit multiplies 3bit: its decoder was checked, and there are no cycles to tell of.
      if (!HasMatrices(*model) && options.trace.empty()) {
        std::fputs((options.json ? ChecksJson : ChecksText)(checks).c_str(), stdout);
        return CodeFor(checks);
      }
    }
    absl::StatusOr<std::vector<Matrix>> found = MatricesOf(*model, options.pow2);
    if (!found.ok()) return found.status();
    matrices = *std::move(found);
  }
  absl::StatusOr<Report> report = RunMatrices(options, matrices);
  if (!report.ok()) return report.status();
  std::fputs(
      (options.json ? ReportJson : ReportText)(options.machine, *report, options.clock_mhz, checks)
          .c_str(),
      stdout);
  return CodeFor(checks);
}

int Main(int argc, char** argv) {
  CLI::App app;
  Options options;
  Declare(app, options);
  try {
    app.parse(argc, argv);
    if (options.model.empty() && app.count("--rows") == 0) {
      throw CLI::RequiredError("--rows with --cols, or --model,");
    }
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kOk : kUsage;
  }
  absl::StatusOr<ExitCode> code = Run(options);
  if (code.ok()) return *code;
  std::fprintf(stderr, "seedlm-fpga-sim: error: %s\n",
               std::string(code.status().message()).c_str());
  return CodeFor(code.status());
}

}  // namespace
}  // namespace seedlm::hardware

int main(int argc, char** argv) {
  try {
    return seedlm::hardware::Main(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "seedlm-fpga-sim: error: %s; this is a defect, report it\n", error.what());
    return 70;
  }
}
