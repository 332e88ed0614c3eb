// The commands that ask the server one thing of one job: status, cancel, resume, delete.
#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>

#include "client/commands/commands.h"
#include "client/job_json.h"
#include "client/job_report.h"
#include "client/job_request.h"
#include "client/output.h"
#include "client/session.h"

namespace seedlm::client {
namespace {

struct Options {
  std::string job;
  ServerChoice server;
  bool json = false;
};

// Asks about the job `name`; what is printed then, as JSON or for people.
using Ask = std::function<absl::StatusOr<std::string>(JobClient& jobs, const std::string& name,
                                                      bool json, const std::stop_token& stop)>;

void AddJobCommand(CLI::App& app, Action& chosen, const char* command, const char* description,
                   const Ask& ask) {
  auto options = std::make_shared<Options>();
  CLI::App* sub = app.add_subcommand(command, description);
  sub->add_option("JOB", options->job, "The job's name, jobs/ID")->required();
  AddServerOption(*sub, options->server);
  sub->add_flag("--json", options->json, "JSON");
  sub->callback([&chosen, options, ask] {
    chosen = [options, ask](const Interrupt& interrupt) -> absl::StatusOr<ExitCode> {
      const auto session = Connect(options->server);
      if (!session.ok()) return session.status();
      const auto text =
          ask(*session->jobs, JobName(options->job), options->json, interrupt.token());
      if (!text.ok()) return text.status();
      PrintOut(*text);
      return kOk;
    };
  });
}

// "jobs/ID  CANCELLED".
absl::StatusOr<std::string> NameAndState(const absl::StatusOr<v1::Job>& job, bool json) {
  if (!job.ok()) return job.status();
  return json ? JsonLine(ToJson(*job)) : job->name() + "  " + StateName(job->state()) + "\n";
}

}  // namespace

void AddStatus(CLI::App& app, Action& chosen) {
  AddJobCommand(app, chosen, "status", "Show a job",
                [](JobClient& jobs, const std::string& name, bool json,
                   const std::stop_token& stop) -> absl::StatusOr<std::string> {
                  const auto job = jobs.GetJob(name, stop);
                  if (!job.ok()) return job.status();
                  return json ? JsonLine(ToJson(*job)) : ToText(*job);
                });
}

void AddCancel(CLI::App& app, Action& chosen) {
  AddJobCommand(
      app, chosen, "cancel", "Stop a job; resume lets it go on",
      [](JobClient& jobs, const std::string& name, bool json, const std::stop_token& stop) {
        const auto job = jobs.CancelJob(name, stop);
        if (job.ok() && HasEnded(job->state()) && job->state() != v1::JOB_STATE_CANCELLED) {
          PrintNote(job->name() + ": had ended before; there was nothing to stop");
        }
        return NameAndState(job, json);
      });
}

void AddResume(CLI::App& app, Action& chosen) {
  AddJobCommand(
      app, chosen, "resume", "Let a failed or cancelled job go on where it stopped",
      [](JobClient& jobs, const std::string& name, bool json, const std::stop_token& stop) {
        return NameAndState(jobs.ResumeJob(name, stop), json);
      });
}

void AddDelete(CLI::App& app, Action& chosen) {
  AddJobCommand(
      app, chosen, "delete",
      "Remove a job that has ended, and its result where the server keeps it",
      [](JobClient& jobs, const std::string& name, bool json,
         const std::stop_token& stop) -> absl::StatusOr<std::string> {
        absl::Status status = jobs.DeleteJob(name, stop);
        if (!status.ok()) return status;
        return json ? JsonLine({{"name", name}, {"deleted", true}}) : name + "  deleted\n";
      });
}

}  // namespace seedlm::client
