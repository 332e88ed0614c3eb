#include <array>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "client/commands/commands.h"
#include "client/follow.h"
#include "client/job_json.h"
#include "client/job_report.h"
#include "client/job_request.h"
#include "client/local_job.h"
#include "client/output.h"
#include "client/output_path.h"
#include "client/report/report_file.h"
#include "client/rpc_status.h"
#include "client/session.h"
#include "client/submission.h"
#include "client/transfer.h"
#include "client/way_out.h"
#include "kernels/format/checkpoint.h"

namespace seedlm::client {
namespace {

struct Options {
  std::string in, out;
  ServerChoice server;
  SpecOptions spec;
  JobOptions job;
  EngineOptions engine;
  std::string report;
  bool force = false;
  bool json = false;
};

// IN and OUT as the work uses them.
struct Paths {
  std::string in, out;
  std::string report;  // empty: none
  bool is_directory = false;
};

// The files of OUT, which are those of IN, if they are to replace a directory, or could.
absl::StatusOr<format::NewOutput> ContentsOf(const Paths& paths, bool force) {
  format::NewOutput output;
  std::error_code error;
  if (!paths.is_directory || !std::filesystem::exists(paths.out, error)) return output;
  const auto checkpoint = format::Checkpoint::Open(paths.in);
  if (!checkpoint.ok() && !force) return output;
  if (!checkpoint.ok()) return checkpoint.status();
  for (const auto& file : checkpoint->files) output.paths.insert(file.relative_path);
  output.paths.insert(checkpoint->other_files.begin(), checkpoint->other_files.end());
  return output;
}

absl::StatusOr<Paths> CheckPaths(const Options& options) {
  Paths paths;
  auto in = InputPath(options.in);
  if (!in.ok()) return in.status();
  paths.in = *std::move(in);
  paths.is_directory = std::filesystem::is_directory(paths.in);
  auto out = OutputPath(options.out, paths.is_directory,
                        std::filesystem::path(paths.in).filename().string());
  if (!out.ok()) return out.status();
  paths.out = *std::move(out);
  auto output = ContentsOf(paths, options.force);
  if (!output.ok()) return output.status();
  absl::Status status =
      CheckOutput(paths.in, paths.out, paths.is_directory, options.force, *output);
  if (!status.ok()) return status;
  if (options.report.empty()) return paths;
  auto report = ReportPath(options.report, options.force, std::array{paths.in, paths.out});
  if (!report.ok()) return report.status();
  paths.report = *std::move(report);
  return paths;
}

absl::StatusOr<Session> Start(const Options& options, const Paths& paths) {
  if (!options.server.empty()) return Connect(options.server);
  auto session = StartEmbedded({.threads = options.engine.threads.value_or(0),
                                .search = options.engine.search.value_or("auto"),
                                .memory = options.engine.memory.value_or(0),
                                .index_memory = options.engine.index_memory.value_or(kIndexMemory),
                                .index_cache = true,
                                .resume_key = ResumeKey(paths.out)});
  if (ErrorReason(session.status()) == kKeyInUse) {
    return absl::UnavailableError(
        paths.out + ": another seedlm is writing it; wait for that one, or choose another output");
  }
  return session;
}

v1::CreateJobRequest MakeRequest(const Options& options, const Paths& paths, bool embedded) {
  v1::CreateJobRequest request;
  v1::Job& job = *request.mutable_job();
  *job.mutable_spec() = ToSpec(options.spec);
  SetJobOptions(options.job, job);
  if (embedded) {
    job.mutable_source()->set_uri(FileUri(paths.in));
    job.mutable_destination()->set_uri(FileUri(paths.out));
    job.mutable_destination()->set_overwrite(options.force);
  } else {
    job.mutable_destination()->set_managed(true);
  }
  return request;
}

// The watch ended before the job did, which the server goes on with.
absl::Status LostSight(const absl::Status& why, const std::string& job) {
  absl::Status named(why.code(), absl::StrCat(WithoutWayOut(why.message()), "; ", job,
                                              " goes on where its server runs: seedlm wait ", job,
                                              ", then seedlm fetch ", job, " OUT"));
  why.ForEachPayload(
      [&](absl::string_view url, const absl::Cord& value) { named.SetPayload(url, value); });
  return named;
}

// Uploads if it must, creates the job and follows it to its end.
absl::StatusOr<Followed> RunJob(const Options& options, const Paths& paths, const Session& session,
                                const Interrupt& interrupt) {
  v1::CreateJobRequest request = MakeRequest(options, paths, session.embedded != nullptr);
  if (session.embedded != nullptr) {
    return RunLocalJob(session, std::move(request), paths.out, interrupt);
  }
  const auto job = SubmitUpload(session, std::move(request), paths.in, interrupt.token());
  if (!job.ok()) return job.status();
  auto followed = FollowJob(*session.jobs, job->name(), {.cancel_on_interrupt = true}, interrupt);
  const bool lost = absl::IsUnavailable(followed.status()) ||
                    absl::IsDeadlineExceeded(followed.status()) ||
                    absl::IsUnauthenticated(followed.status());
  return lost ? LostSight(followed.status(), job->name()) : std::move(followed);
}

absl::Status FetchResult(const Options& options, const Paths& paths, const Session& session,
                         const v1::Job& job, const Interrupt& interrupt) {
  ProgressBar bar;
  const TransferContext transfer{
      .channel = session.channel,
      .address = session.address,
      .stop = interrupt.token(),
      .on_progress = [&](const ProgressView& view) { bar.Update(view); }};
  absl::Status status = Fetch(transfer, job, paths.out, options.force);
  bar.Clear();
  if (status.ok()) {
    PrintNote(absl::StrCat(session.address, " keeps the upload and the result; seedlm delete ",
                           job.name(), " and seedlm artifacts delete ", job.source().artifact(),
                           " make room there"));
  }
  return status;
}

absl::StatusOr<ExitCode> Run(const Options& options, const Interrupt& interrupt) {
  const bool has_server = !options.server.empty();
  if (const std::string there = GivenOption(options.job); !has_server && !there.empty()) {
    PrintError(there + ": has no effect without a server; leave it out, or name one with --server");
    return kUsage;
  }
  const auto paths = CheckPaths(options);
  if (!paths.ok()) return paths.status();
  if (has_server) NoteServersOwn(options.engine);
  const auto session = Start(options, *paths);
  if (!session.ok()) return session.status();
  const auto followed = RunJob(options, *paths, *session, interrupt);
  if (!followed.ok()) return followed.status();
  const ExitCode end = ReportEnd(followed->job, options.in);
  if (end != kOk) return end;
  if (session->embedded == nullptr) {
    const absl::Status fetched = FetchResult(options, *paths, *session, followed->job, interrupt);
    if (!fetched.ok()) return fetched;
  }
  if (!paths->report.empty()) {
    absl::Status status = WriteReport(*session->jobs, followed->job.name(), paths->report,
                                      options.force, interrupt.token());
    if (!status.ok()) return status;
  }
  const auto summary = Summarize(paths->in, paths->out, *followed);
  if (!summary.ok()) return summary.status();
  for (const std::string& note : summary->notes) PrintNote(note);
  PrintOut(options.json ? JsonLine(ToJson(*summary)) : ToText(*summary));
  return kOk;
}

}  // namespace

void AddCompress(Command& app) {
  auto options = std::make_shared<Options>();
  Command sub = app.Subcommand("compress", "Compress a checkpoint");
  sub.Add("IN", options->in, "A .safetensors file, or a directory of them").Required();
  sub.Add("OUT", options->out, "The same kind: file or directory; DIR/: a file in DIR").Required();
  AddSpecOptions(sub, options->spec);
  AddJobOptions(sub, options->job);
  AddEngineOptions(sub, options->engine);
  AddServerOption(sub, options->server);
  sub.Add("--report", options->report, "Write the job's figures and pictures there, as HTML")
      .ValueName("FILE");
  sub.AddFlag("--force", options->force, "Replace OUT, and the report, if they exist");
  sub.AddFlag("--json", options->json, "The summary as JSON");
  sub.Note(
      "OUT is for programs that know seedlm. transformers, vLLM, llama.cpp do not: give them what\n"
      "'seedlm decompress OUT DIR' makes of it. A run that was stopped goes on when repeated.\n");
  sub.Runs([options](const Interrupt& interrupt) { return Run(*options, interrupt); });
}

}  // namespace seedlm::client
