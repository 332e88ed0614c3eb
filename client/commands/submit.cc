#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/commands/commands.h"
#include "client/job_json.h"
#include "client/job_request.h"
#include "client/output.h"
#include "client/session.h"
#include "client/submission.h"

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

absl::StatusOr<v1::Job> Create(const Options& options, const Session& session,
                               v1::CreateJobRequest request, const Interrupt& interrupt) {
  if (absl::StrContains(options.in, "://")) {
    request.mutable_job()->mutable_source()->set_uri(options.in);
    return session.jobs->CreateJob(std::move(request), interrupt.token());
  }
  const auto path = InputPath(options.in);
  if (!path.ok()) return path.status();
  return SubmitUpload(session, std::move(request), *path, interrupt.token());
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
  const auto job = Create(options, *session, std::move(request), interrupt);
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
