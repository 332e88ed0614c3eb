#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/checkpoint_notes.h"
#include "client/commands/commands.h"
#include "client/job_json.h"
#include "client/job_request.h"
#include "client/output.h"
#include "client/session.h"
#include "client/table.h"
#include "client/text.h"
#include "kernels/format/checkpoint.h"

namespace seedlm::client {
namespace {

struct Options {
  std::string in;
  ServerChoice server;
  SpecOptions spec;
  EngineOptions engine;
  bool json = false;
};

std::string ToText(const v1::Estimate& estimate) {
  Table totals({{"TOTAL"}, {"", Align::kRight}});
  totals.AddRow({"weights to compress", FormatCount(estimate.weights())});
  totals.AddRow({"bits a weight", absl::StrFormat("%.3f", estimate.bits_per_weight())});
  totals.AddRow({"input", FormatBytes(static_cast<uint64_t>(estimate.input_bytes()))});
  totals.AddRow({"output", FormatBytes(static_cast<uint64_t>(estimate.output_bytes()))});
  totals.AddRow({"copied", absl::StrCat(FormatBytes(static_cast<uint64_t>(estimate.copied_bytes())),
                                        " in ", estimate.copied_files(),
                                        estimate.copied_files() == 1 ? " file" : " files")});
  totals.AddRow({"scratch, at most", FormatBytes(static_cast<uint64_t>(estimate.scratch_bytes()))});
  if (estimate.memory_bytes() > 0) {  // 0: a server that does not tell
    totals.AddRow({"memory, at most", FormatBytes(static_cast<uint64_t>(estimate.memory_bytes()))});
    totals.AddRow(
        {"and its index, at most", FormatBytes(static_cast<uint64_t>(estimate.index_bytes()))});
  }
  totals.AddRow({"search, with nothing else running",
                 estimate.seconds() > 0 ? FormatDuration(estimate.seconds()) : "unknown"});
  std::string out = totals.Render();
  if (estimate.skipped_size() == 0) return out;
  Table skipped({{"NOT COMPRESSED"}, {"WHY"}});
  for (const auto& tensor : estimate.skipped()) skipped.AddRow({tensor.name(), tensor.reason()});
  absl::StrAppend(&out, "\n", skipped.Render());
  const int64_t more = estimate.skipped_count() - estimate.skipped_size();
  if (more > 0) absl::StrAppend(&out, "and ", more, " more\n");
  return out;
}

// A server estimates what it can read itself: to send a checkpoint for that would take longer than
// the answer is worth.
absl::StatusOr<Session> Start(const Options& options, bool on_server) {
  if (on_server) {
    NoteServersOwn(options.engine);
    return Connect(options.server);
  }
  if (!options.server.empty()) {
    PrintNote(absl::StrCat(options.in, " is of this machine, and estimated for it; the server ",
                           options.server.address, " estimates a file:///PATH that it reads"));
  }
  return StartEmbedded({.threads = options.engine.threads.value_or(0),
                        .search = options.engine.search.value_or("auto"),
                        .memory = options.engine.memory.value_or(0),
                        .index_memory = options.engine.index_memory.value_or(kIndexMemory)});
}

absl::StatusOr<ExitCode> Run(const Options& options, const Interrupt& interrupt) {
  const bool on_server = absl::StrContains(options.in, "://");
  if (on_server && options.server.empty()) {
    PrintError(options.in +
               ": is of a server; name it with --server or SEEDLM_SERVER, or give a path here");
    return kUsage;
  }
  std::string uri = options.in;
  std::vector<std::string> notes;
  if (!on_server) {
    const auto in = InputPath(options.in);
    if (!in.ok()) return in.status();
    uri = FileUri(*in);
    const auto checkpoint = format::Checkpoint::Open(*in);
    if (checkpoint.ok()) notes = NotesOf(*checkpoint);  // of an error the estimate tells
  }
  const auto session = Start(options, on_server);
  if (!session.ok()) return session.status();
  v1::CreateJobRequest request;
  request.set_validate_only(true);
  request.mutable_job()->mutable_source()->set_uri(uri);
  request.mutable_job()->mutable_destination()->set_managed(true);
  *request.mutable_job()->mutable_spec() = ToSpec(options.spec);
  const auto job = session->jobs->CreateJob(request, interrupt.token());
  if (!job.ok()) return job.status();
  for (const std::string& note : notes) PrintNote(note);
  PrintOut(options.json ? JsonLine(ToJson(job->estimate())) : ToText(job->estimate()));
  return kOk;
}

}  // namespace

void AddEstimate(Command& app) {
  auto options = std::make_shared<Options>();
  Command sub = app.Subcommand("estimate", "What compress would do and cost, from headers alone");
  sub.Add("IN", options->in,
          "A .safetensors file, or a directory of them; with a server a file:// URI that it reads")
      .Required();
  AddSpecOptions(sub, options->spec);
  AddEngineOptions(sub, options->engine);
  AddServerOption(sub, options->server);
  sub.AddFlag("--json", options->json, "JSON");
  sub.Runs([options](const Interrupt& interrupt) { return Run(*options, interrupt); });
}

}  // namespace seedlm::client
