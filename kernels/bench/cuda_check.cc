// One program that shows on a machine with an NVIDIA GPU what this project claims of it: that the
// codes are the reference's, and how fast they are found. Needs a driver; cuBLAS is used where it
// is found.
//
//   cuda_check [--out FILE] [--seconds N] [--small] [--only TEXT] [--one-process] [--device N]
//              [--blocks N] [--commit TEXT]
//
// --out: the JSON, replaced after every record (else standard output, at the end).
// --seconds: for all; stages that have no time left are left out. 540 unless said.
// --small: sizes for compute-sanitizer and for the emulation; rates mean nothing then.
// --only: stages whose name has this in it, and the first two, which the others need.
// --one-process: no process for each stage, for debuggers; then an error may spoil what follows.
//
// Exit status: 0 all is right and has run; 1 a code, or another result, is wrong; 2 a stage failed,
// or had no time, or an argument is not known. The JSON is written in every case but the last.
#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <optional>
#include <string>
#include <thread>

#include "kernels/bench/bench_support.h"
#include "kernels/bench/cuda_check_device.h"
#include "kernels/bench/cuda_check_report.h"
#include "kernels/bench/cuda_check_search.h"
#include "kernels/bench/cuda_check_stages.h"

namespace seedlm::bench {
namespace {

struct Options {
  bool small = false;
  bool fork = true;
  int device = 0;
  int64_t blocks = int64_t{1} << 20;
  double seconds = 540;
  std::string commit, out, only;
};

bool Parse(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--small") {
      options.small = true;
      continue;
    }
    if (name == "--one-process") {
      options.fork = false;
      continue;
    }
    if (++i == argc) return false;
    if (name == "--device") {
      options.device = std::atoi(argv[i]);
    } else if (name == "--blocks") {
      options.blocks = std::atoll(argv[i]);
    } else if (name == "--seconds") {
      options.seconds = std::atof(argv[i]);
    } else if (name == "--commit") {
      options.commit = argv[i];
    } else if (name == "--out") {
      options.out = argv[i];
    } else if (name == "--only") {
      options.only = argv[i];
    } else {
      return false;
    }
  }
  return options.blocks > 0 && options.blocks <= cuda::kMaxSearchBlocks && options.seconds > 0;
}

// Runs the stages, and knows what became of them.
class Run {
 public:
  explicit Run(const Options& options) : options_(options), report_(options.out) {
    context_.device = options.device;
    context_.threads = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
    context_.small = options.small;
    context_.blocks = options.blocks;
    report_.root() = {{"program", "cuda_check"},
                      {"date", Today()},
                      {"commit", options.commit},
                      {"small", options.small},
                      {"machine", CpuModel()},
                      {"hardware_threads", context_.threads},
                      {"correct", false},
                      {"complete", false},
                      {"error", nullptr},
                      {"device", ordered_json::object()},
                      {"ceilings", ordered_json::object()},
                      {"checks", ordered_json::array()},
                      {"timings", ordered_json::array()},
                      {"stages", ordered_json::array()}};
  }

  int All() {
    std::optional<DeviceKeeper> keeper;
    if (options_.fork) keeper.emplace();
    constexpr size_t kNeeded = 2;  // device, ceilings
    const std::vector<Stage> stages = MakeStages(options_.small, ceilings_);
    for (size_t i = 0; i < stages.size(); ++i) {
      if (i >= kNeeded && stages[i].name.find(options_.only) == std::string::npos) continue;
      One(stages[i]);
      if (i == 0 && !whole_) break;  // there is no device
    }
    ordered_json& root = report_.root();
    root["complete"] = whole_;
    root["correct"] = right_ && !root["checks"].empty();
    root["seconds"] = report_.seconds();
    if (!report_.Finish()) return 2;
    return !right_ ? 1 : whole_ ? 0 : 2;
  }

 private:
  void One(const Stage& stage) {
    constexpr double kLeast = 5, kToEnd = 15;  // seconds; a stage that does not end gets so much
    const double left = options_.seconds - report_.seconds() - kToEnd;
    const bool known = stage.rung && !context_.IsRight(stage.rung->first, stage.rung->second);
    if (known || left < kLeast) {
      whole_ = false;
      report_.Add("stages",
                  {{"stage", stage.name},
                   {"skipped", known ? "the rung is wrong or has failed" : "no time left"}});
      return;
    }
    report_.Say(stage.name);
    context_.seconds = std::min(stage.seconds, left);
    const double begin = report_.seconds();
    const absl::Status status = RunStage(
        stage.work, context_, options_.fork,
        [this](std::string_view section, const ordered_json& record) { Take(section, record); });
    ordered_json row{{"stage", stage.name}, {"seconds", report_.seconds() - begin}};
    if (!status.ok()) {
      whole_ = false;
      row["error"] = status.ToString();
      if (report_.root()["error"].is_null()) {
        report_.root()["error"] = stage.name + ": " + status.ToString();
      }
      if (stage.rung) MarkWrong(std::string(stage.rung->first.name), stage.rung->second);
    }
    report_.Add("stages", row);
  }

  void Take(std::string_view section, const ordered_json& record) {
    report_.Add(section, record);
    if (section == "ceilings") ceilings_ = CeilingsOf(record);
    if (record.contains("skipped") || record.value("blocks", int64_t{1}) == 0) whole_ = false;
    if (section != "checks" || record.value("differences", int64_t{0}) == 0) return;
    right_ = false;
    report_.Say("WRONG");
    for (const cuda::SearchMethod method : kRungs) {
      if (record.value("rung", "") == Rung(method)) MarkWrong(record.value("profile", ""), method);
    }
  }

  void MarkWrong(const std::string& profile, cuda::SearchMethod method) {
    context_.wrong.insert({profile, method});
  }

  const Options options_;
  Report report_;
  Context context_;
  Ceilings ceilings_;
  bool right_ = true;
  bool whole_ = true;
};

}  // namespace
}  // namespace seedlm::bench

int main(int argc, char** argv) {
  seedlm::bench::Options options;
  if (!seedlm::bench::Parse(argc, argv, options)) {
    std::cerr << "usage: cuda_check [--out FILE] [--seconds N] [--small] [--only TEXT] "
                 "[--one-process] [--device N] [--blocks N] [--commit TEXT]\n";
    return 2;
  }
  return seedlm::bench::Run(options).All();
}
