#include "client/spec_options.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/output.h"

namespace seedlm::client {
namespace {

constexpr int kMaxThreads = 1024;

constexpr int64_t kMinIndexMemory = int64_t{1} << 20;  // but for 0
constexpr int64_t kMaxIndexMemory = int64_t{1} << 40;

constexpr int kMaxPriority = 100;  // and -100: those of Job.priority

v1::Profile ProfileFor(const std::string& bits) {
  if (bits == "2") return v1::PROFILE_2BIT;
  if (bits == "3") return v1::PROFILE_3BIT;
  if (bits == "4.5") return v1::PROFILE_4_5BIT;
  return v1::PROFILE_4BIT;
}

v1::ScaleRule ScaleFor(const SpecOptions& options) {
  if (options.scale == "paper") return v1::SCALE_PAPER;
  if (options.scale == "pow2") return v1::SCALE_POW2;
  if (options.scale.empty() && options.fit == "nearest") return v1::SCALE_POW2;
  return v1::SCALE_FITTED;
}

constexpr char kSelectionNote[] =
    "Compressed by default: tensors of two dimensions and dtype F32, F16 or BF16 whose name ends\n"
    "in '.weight', both sides at least 64, the name none of *embed*, *lm_head*, *wte*, *wpe*,\n"
    "*norm*. With --include those of its patterns are compressed instead, of whatever name and\n"
    "size: to add one to the default, name all. 'seedlm estimate IN' lists what is left out, and\n"
    "why.\n";

}  // namespace

void AddSpecOptions(Command& command, SpecOptions& options) {
  command.Add("--bits", options.bits, "Bits a weight: 2 (experimental), 3, 4 or 4.5")
      .OneOf({"2", "3", "4", "4.5"})
      .Default("4");
  command.Add("--fit", options.fit, "optimal: the least error; nearest: the paper's rounding")
      .OneOf({"optimal", "nearest"})
      .Default("optimal");
  command
      .Add("--scale", options.scale,
           "Levels: fitted (default), pow2 (default with nearest) or paper")
      .OneOf({"fitted", "pow2", "paper"});
  command
      .Add(
          "--include", options.include,
          "Compress the tensors of this name, instead of those that are compressed by default: a "
          "glob, in which only * and ? stand for others, or re:EXPRESSION. It must match the whole "
          "name, such as 'model.layers.*.o_proj.weight', of at least one tensor (repeatable)")
      .OneValueEach();
  command
      .Add("--exclude", options.exclude,
           "Leave out the tensors of this name, written as for --include; wins over it "
           "(repeatable)")
      .OneValueEach();
  command.Add("--backend", options.backend, "What searches; see seedlm devices").Default("auto");
  command.Note(kSelectionNote);
  command.CheckAll("--fit nearest", [&options] {
    return options.fit == "nearest" && options.scale == "fitted"
               ? "cannot use fitted levels; give --scale pow2 or --scale paper"
               : "";
  });
}

void AddEngineOptions(Command& command, EngineOptions& options) {
  command
      .Add("--threads", options.threads, "Threads that search here; 0: all. A server uses its own")
      .Range(0, kMaxThreads);
  command
      .Add("--search", options.search,
           "auto: all seeds or the index, by what is expected to be fastest; exhaustive, "
           "index: always that. The bytes are the same. Default auto. A server uses its own")
      .OneOf({"auto", "exhaustive", "index"});
  command
      .Add(
          "--memory", options.memory,
          "Memory for work here, such as 4GiB: the index, and what the threads hold; where it is "
          "short there are fewer of them, and the bytes are the same. Default 0: three quarters of "
          "the machine's, or the container's. A server uses its own")
      .Bytes(kMinIndexMemory, kMaxIndexMemory);
  command
      .Add("--index-memory", options.index_memory,
           "Memory for the search's index here, such as 512MiB; 0: none. Default 1GiB. A server "
           "uses its own")
      .Bytes(kMinIndexMemory, kMaxIndexMemory);
}

std::string GivenOptions(const EngineOptions& options) {
  std::vector<std::string> given;
  if (options.threads) given.emplace_back("--threads");
  if (options.search) given.emplace_back("--search");
  if (options.memory) given.emplace_back("--memory");
  if (options.index_memory) given.emplace_back("--index-memory");
  return absl::StrJoin(given, ", ");
}

void NoteServersOwn(const EngineOptions& options) {
  const std::string given = GivenOptions(options);
  if (!given.empty()) PrintNote(absl::StrCat(given, ": without effect, the server uses its own"));
}

v1::CompressionSpec ToSpec(const SpecOptions& options) {
  v1::CompressionSpec spec;
  spec.set_profile(ProfileFor(options.bits));
  spec.set_fit(options.fit == "nearest" ? v1::FIT_NEAREST : v1::FIT_OPTIMAL);
  spec.set_scale(ScaleFor(options));
  for (const auto& pattern : options.include) spec.mutable_selection()->add_include(pattern);
  for (const auto& pattern : options.exclude) spec.mutable_selection()->add_exclude(pattern);
  spec.set_backend(options.backend);
  return spec;
}

void AddLabelOption(Command& command, std::vector<std::string>& labels,
                    const std::string& description) {
  command.Add("--label", labels, description)
      .OneValueEach()
      .ValueName("KEY=VALUE")
      .Check([](const std::string& label) {
        const size_t equals = label.find('=');
        const bool named = equals != std::string::npos && equals > 0;
        return named ? std::string() : "'" + label + "' is not KEY=VALUE";
      });
}

void AddJobOptions(Command& command, JobOptions& options) {
  command
      .Add("--priority", options.priority,
           "Among your jobs on the server higher runs first, -100 .. 100. Default 0")
      .Range(-kMaxPriority, kMaxPriority);
  AddLabelOption(command, options.labels,
                 "A label of the job, for seedlm list --label (repeatable)");
}

std::string GivenOption(const JobOptions& options) {
  if (options.priority) return "--priority";
  return options.labels.empty() ? "" : "--label";
}

void SetJobOptions(const JobOptions& options, v1::Job& job) {
  job.set_priority(options.priority.value_or(0));
  AddLabels(options.labels, *job.mutable_labels());
}

void AddLabels(const std::vector<std::string>& labels,
               google::protobuf::Map<std::string, std::string>& map) {
  for (const std::string& label : labels) {
    const std::pair<std::string, std::string> pair = absl::StrSplit(label, absl::MaxSplits('=', 1));
    map[pair.first] = pair.second;
  }
}

}  // namespace seedlm::client
