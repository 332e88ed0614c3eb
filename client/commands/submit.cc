#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/commands/commands.h"
#include "client/job_json.h"
#include "client/job_request.h"
#include "client/output.h"
#include "client/progress_bar.h"
#include "client/session.h"
#include "client/transfer.h"

namespace seedlm::client {
namespace {

struct Options {
  std::string in, request_id;
  ServerChoice server;
  std::string to = "managed";
  SpecOptions spec;
  JobOptions job;
  EngineOptions engine;
  bool force = false;
  bool json = false;
};

void SetDestination(const Options& options, v1::Destination& destination) {
  if (options.to == "managed") {
    destination.set_managed(true);
  } else {
    destination.set_uri(options.to);
  }
  destination.set_overwrite(options.force);
}

absl::Status UploadSource(const Options& options, const Session& session,
                          const Interrupt& interrupt, v1::Job& job) {
  if (absl::StrContains(options.in, "://")) {
    job.mutable_source()->set_uri(options.in);
    return absl::OkStatus();
  }
  const auto path = InputPath(options.in);
  if (!path.ok()) return path.status();
  absl::Status status = session.jobs->CheckBeforeUpload(job, interrupt.token());
  if (status.ok()) status = CheckSourceHere(*path, job.spec(), interrupt.token());
  if (!status.ok()) return status;
  ProgressBar bar;
  const auto artifact = Upload({.channel = session.channel,
                                .address = session.address,
                                .stop = interrupt.token(),
                                .on_progress = [&](const ProgressView& view) { bar.Update(view); }},
                               *path);
  if (!artifact.ok()) return artifact.status();
  SetSource(*artifact, job);
  return absl::OkStatus();
}

absl::StatusOr<ExitCode> Run(const Options& options, const Interrupt& interrupt) {
  NoteServersOwn(options.engine);
  const auto session = Connect(options.server);
  if (!session.ok()) return session.status();
  v1::CreateJobRequest request;
  request.set_request_id(options.request_id);
  v1::Job& wanted = *request.mutable_job();
  *wanted.mutable_spec() = ToSpec(options.spec);
  SetJobOptions(options.job, wanted);
  SetDestination(options, *wanted.mutable_destination());
  absl::Status status = UploadSource(options, *session, interrupt, wanted);
  if (!status.ok()) return status;
  const auto job = session->jobs->CreateJob(request, interrupt.token());
  if (!job.ok()) return job.status();
  PrintOut(options.json ? JsonLine(ToJson(*job)) : job->name() + "\n");
  return kOk;
}

}  // namespace

void AddSubmit(Command& app) {
  auto options = std::make_shared<Options>();
  Command sub = app.Subcommand("submit", "Give a server a job; prints the job's name");
  sub.Add("IN", options->in,
          "A file or directory to upload, or a file:// URI that the server reads")
      .Required();
  sub.Add("--to", options->to,
          "managed (kept by the server, see fetch), file:///PATH on the server, or "
          "s3://BUCKET/PREFIX")
      .Default("managed")
      .Check([](const std::string& to) {
        const bool known =
            to == "managed" || absl::StartsWith(to, "file://") || absl::StartsWith(to, "s3://");
        return known ? std::string() : to + " is not managed, file:///PATH or s3://BUCKET/PREFIX";
      });
  sub.Add("--request-id", options->request_id,
          "The same id with the same job gives the same job again");
  AddSpecOptions(sub, options->spec);
  AddJobOptions(sub, options->job);
  AddEngineOptions(sub, options->engine);
  AddServerOption(sub, options->server);
  sub.AddFlag("--force", options->force, "Replace an output that exists");
  sub.AddFlag("--json", options->json, "The job as JSON");
  sub.Runs([options](const Interrupt& interrupt) { return Run(*options, interrupt); });
}

}  // namespace seedlm::client
