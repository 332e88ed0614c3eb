#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "client/commands/commands.h"
#include "client/follow.h"
#include "client/job_json.h"
#include "client/job_report.h"
#include "client/job_request.h"
#include "client/output.h"
#include "client/output_path.h"
#include "client/session.h"
#include "client/transfer.h"

namespace seedlm::client {
namespace {

struct Options {
  std::string in, out, server;
  SpecOptions spec;
  bool force = false;
  bool json = false;
};

// IN and OUT as the work uses them.
struct Paths {
  std::string in, out;
  bool is_directory = false;
};

absl::StatusOr<Paths> CheckPaths(const Options& options) {
  Paths paths;
  auto in = InputPath(options.in);
  if (!in.ok()) return in.status();
  paths.in = *std::move(in);
  paths.is_directory = std::filesystem::is_directory(paths.in);
  auto out = AbsolutePath(options.out);
  if (!out.ok()) return out.status();
  paths.out = *std::move(out);
  absl::Status status = CheckOutput(paths.in, paths.out, paths.is_directory, options.force);
  if (!status.ok()) return status;
  return paths;
}

absl::StatusOr<Session> Start(const Options& options, const Paths& paths) {
  if (!options.server.empty()) return Connect(options.server);
  // Scratch lies beside the output: there is room for it, and /tmp may be memory.
  return StartEmbedded({.threads = options.spec.threads,
                        .index_memory = options.spec.index_memory,
                        .index_cache = true,
                        .scratch_parent = std::filesystem::path(paths.out).parent_path()});
}

// Uploads where the server cannot read IN itself.
absl::StatusOr<v1::CreateJobRequest> MakeRequest(const Options& options, const Paths& paths,
                                                 const Session& session, TransferClient& transfer) {
  v1::CreateJobRequest request;
  v1::Job& job = *request.mutable_job();
  *job.mutable_spec() = ToSpec(options.spec);
  if (session.embedded != nullptr) {
    job.mutable_source()->set_uri(FileUri(paths.in));
    job.mutable_destination()->set_uri(FileUri(paths.out));
    job.mutable_destination()->set_overwrite(options.force);
    return request;
  }
  auto artifact = transfer.Upload(paths.in);
  if (!artifact.ok()) return artifact.status();
  job.mutable_source()->set_artifact(*artifact);
  job.mutable_destination()->set_managed(true);
  return request;
}

absl::StatusOr<ExitCode> Run(const Options& options, const Interrupt& interrupt) {
  const auto paths = CheckPaths(options);
  if (!paths.ok()) return paths.status();
  const auto session = Start(options, *paths);
  if (!session.ok()) return session.status();
  if (session->embedded == nullptr) {  // before a long upload
    if (const auto there = session->jobs->GetCapabilities(); !there.ok()) return there.status();
  }
  ProgressBar bar;
  TransferClient transfer(session->channel, session->address, interrupt.token(),
                          [&](const ProgressView& view) { bar.Update(view); });
  const auto request = MakeRequest(options, *paths, *session, transfer);
  bar.Clear();
  if (!request.ok()) return request.status();
  const auto job = session->jobs->CreateJob(*request);
  if (!job.ok()) return job.status();
  auto followed = FollowJob(*session->jobs, job->name(), {.cancel_on_interrupt = true}, interrupt);
  if (!followed.ok()) return followed.status();
  const ExitCode end = ReportEnd(followed->job, options.in);
  if (end != kOk) return end;
  if (session->embedded == nullptr) {
    absl::Status fetched =
        transfer.Fetch(followed->job, paths->out, paths->is_directory, options.force);
    bar.Clear();
    if (!fetched.ok()) return fetched;
  }
  const auto summary = Summarize(paths->in, paths->out, *followed);
  if (!summary.ok()) return summary.status();
  PrintOut(options.json ? JsonLine(ToJson(*summary)) : ToText(*summary));
  return kOk;
}

}  // namespace

void AddCompress(CLI::App& app, Action& chosen) {
  auto options = std::make_shared<Options>();
  CLI::App* sub = app.add_subcommand("compress", "Compress a checkpoint");
  sub->add_option("IN", options->in, "A .safetensors file, or a directory of them")->required();
  sub->add_option("OUT", options->out, "The same kind: file or directory")->required();
  AddSpecOptions(*sub, options->spec);
  AddServerOption(*sub, options->server);
  sub->add_flag("--force", options->force, "Replace OUT if it exists");
  sub->add_flag("--json", options->json, "The summary as JSON");
  sub->callback([&chosen, options] {
    chosen = [options](const Interrupt& interrupt) { return Run(*options, interrupt); };
  });
}

}  // namespace seedlm::client
