// The commands on one job: status, cancel, resume and delete ask the server one thing, watch and
// wait follow the job to its end.
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>

#include "client/commands/commands.h"
#include "client/follow.h"
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

using Work = std::function<absl::StatusOr<ExitCode>(JobClient& jobs, const std::string& name,
                                                    bool json, const Interrupt& interrupt)>;

void AddJobCommand(Command& app, const char* name, const char* description, const Work& work) {
  auto options = std::make_shared<Options>();
  Command sub = app.Subcommand(name, description);
  sub.Add("JOB", options->job, "The job's name, jobs/ID").Required();
  AddServerOption(sub, options->server);
  sub.AddFlag("--json", options->json, "JSON");
  sub.Runs([options, work](const Interrupt& interrupt) -> absl::StatusOr<ExitCode> {
    const auto session = Connect(options->server);
    if (!session.ok()) return session.status();
    return work(*session->jobs, JobName(options->job), options->json, interrupt);
  });
}

// Asks about the job `name`; what is printed then, as JSON or for people.
using Ask = std::function<absl::StatusOr<std::string>(JobClient& jobs, const std::string& name,
                                                      bool json, const std::stop_token& stop)>;

Work Printing(const Ask& ask) {
  return [ask](JobClient& jobs, const std::string& name, bool json,
               const Interrupt& interrupt) -> absl::StatusOr<ExitCode> {
    const auto text = ask(jobs, name, json, interrupt.token());
    if (!text.ok()) return text.status();
    PrintOut(*text);
    return kOk;
  };
}

// Exit code 0 only if the job succeeded. `print_end`: the job as one JSON object at the end.
absl::StatusOr<ExitCode> Follow(JobClient& jobs, const std::string& name,
                                const FollowOptions& options, bool print_end,
                                const Interrupt& interrupt) {
  // A job that is not there, or no server: said at once, without the patience of a stream.
  const auto job = jobs.GetJob(name, interrupt.token());
  if (!job.ok()) return job.status();
  const auto followed = FollowJob(jobs, name, options, interrupt);
  if (!followed.ok()) return followed.status();
  if (print_end) PrintOut(JsonLine(ToJson(followed->job)));
  return ReportEnd(followed->job, name);
}

// "jobs/ID  CANCELLED".
absl::StatusOr<std::string> NameAndState(const absl::StatusOr<v1::Job>& job, bool json) {
  if (!job.ok()) return job.status();
  return json ? JsonLine(ToJson(*job)) : job->name() + "  " + StateName(job->state()) + "\n";
}

}  // namespace

void AddStatus(Command& app) {
  AddJobCommand(app, "status", "Show a job",
                Printing([](JobClient& jobs, const std::string& name, bool json,
                            const std::stop_token& stop) -> absl::StatusOr<std::string> {
                  const auto job = jobs.GetJob(name, stop);
                  if (!job.ok()) return job.status();
                  return json ? JsonLine(ToJson(*job)) : ToText(*job);
                }));
}

void AddCancel(Command& app) {
  AddJobCommand(app, "cancel", "Stop a job; resume lets it go on",
                Printing([](JobClient& jobs, const std::string& name, bool json,
                            const std::stop_token& stop) {
                  const auto job = jobs.CancelJob(name, stop);
                  if (job.ok() && !HasEnded(job->state())) {
                    PrintNote(job->name() +
                              ": stops when the shards in work are done; seedlm wait " +
                              job->name() + " returns then");
                  } else if (job.ok() && job->state() != v1::JOB_STATE_CANCELLED) {
                    PrintNote(job->name() + ": had ended before; there was nothing to stop");
                  }
                  return NameAndState(job, json);
                }));
}

void AddResume(Command& app) {
  AddJobCommand(app, "resume", "Let a failed or cancelled job go on where it stopped",
                Printing([](JobClient& jobs, const std::string& name, bool json,
                            const std::stop_token& stop) {
                  return NameAndState(jobs.ResumeJob(name, stop), json);
                }));
}

void AddDelete(Command& app) {
  AddJobCommand(
      app, "delete", "Remove a job that has ended, and its result where the server keeps it",
      Printing([](JobClient& jobs, const std::string& name, bool json,
                  const std::stop_token& stop) -> absl::StatusOr<std::string> {
        absl::Status status = jobs.DeleteJob(name, stop);
        if (!status.ok()) return status;
        return json ? JsonLine({{"name", name}, {"deleted", true}}) : name + "  deleted\n";
      }));
}

void AddWatch(Command& app) {
  AddJobCommand(
      app, "watch", "Follow a job to its end: its tensors as they are finished",
      [](JobClient& jobs, const std::string& name, bool json, const Interrupt& interrupt) {
        return Follow(jobs, name, {.show_tensors = true, .json = json}, false, interrupt);
      });
}

void AddWait(Command& app) {
  AddJobCommand(
      app, "wait", "Return when a job has ended; exit code 0 only if it succeeded",
      [](JobClient& jobs, const std::string& name, bool json, const Interrupt& interrupt) {
        return Follow(jobs, name, {.show_progress = !json}, json, interrupt);
      });
}

}  // namespace seedlm::client
