// The commands on one job: status, cancel, resume and delete ask the server one thing, watch and
// wait follow the job to its end.
#include <chrono>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "absl/strings/str_cat.h"
#include "client/commands/commands.h"
#include "client/follow.h"
#include "client/job_json.h"
#include "client/job_report.h"
#include "client/job_request.h"
#include "client/output.h"
#include "client/session.h"

namespace seedlm::client {
namespace {

constexpr int kMaxPatience = 7 * 24 * 3600;  // seconds

struct Options {
  std::string job;
  std::string etag;  // empty: whatever the job has become
  ServerChoice server;
  bool json = false;
  std::optional<int> patience;  // seconds; of watch and wait
};

// `options.job` is a full name.
using Work = std::function<absl::StatusOr<ExitCode>(JobClient& jobs, const Options& options,
                                                    const Interrupt& interrupt)>;

struct Words {
  const char* name;
  const char* description;
};

void Run(Command& sub, const std::shared_ptr<Options>& options, const Work& work) {
  sub.Add("JOB", options->job, "The job's name, jobs/ID").Required();
  AddServerOption(sub, options->server);
  sub.AddFlag("--json", options->json, "JSON");
  sub.Runs([options, work](const Interrupt& interrupt) -> absl::StatusOr<ExitCode> {
    const auto session = Connect(options->server);
    if (!session.ok()) return session.status();
    options->job = JobName(options->job);
    return work(*session->jobs, *options, interrupt);
  });
}

// A command that looks at a job.
void AddLook(Command& app, const Words& words, const Work& work) {
  Command sub = app.Subcommand(words.name, words.description);
  Run(sub, std::make_shared<Options>(), work);
}

// Asks about the job; what is printed then, as JSON or for people.
using Ask = std::function<absl::StatusOr<std::string>(JobClient& jobs, const Options& options,
                                                      const std::stop_token& stop)>;

Work Printing(const Ask& ask) {
  return [ask](JobClient& jobs, const Options& options,
               const Interrupt& interrupt) -> absl::StatusOr<ExitCode> {
    const auto text = ask(jobs, options, interrupt.token());
    if (!text.ok()) return text.status();
    PrintOut(*text);
    return kOk;
  };
}

// A command that changes a job.
void AddChange(Command& app, const Words& words, const Ask& ask) {
  auto options = std::make_shared<Options>();
  Command sub = app.Subcommand(words.name, words.description);
  sub.Add("--etag", options->etag, "Only if the job still has this etag, which status --json shows")
      .ValueName("ETAG");
  Run(sub, options, Printing(ask));
}

// A command that follows a job.
void AddFollow(Command& app, const Words& words, const Work& work) {
  auto options = std::make_shared<Options>();
  Command sub = app.Subcommand(words.name, words.description);
  sub.Add("--patience", options->patience,
          "How long a server that is lost meanwhile is waited for, in seconds")
      .Range(0, kMaxPatience)
      .Default(absl::StrCat(kWatchPatience.count()))
      .ValueName("SECONDS");
  Run(sub, options, work);
}

std::chrono::seconds PatienceOf(const Options& options) {
  return options.patience ? std::chrono::seconds(*options.patience) : kWatchPatience;
}

// Exit code 0 only if the job succeeded, or nobody reads any more. `print_end`: the job as one JSON
// object at the end.
absl::StatusOr<ExitCode> Follow(JobClient& jobs, const std::string& name,
                                const FollowOptions& options, bool print_end,
                                const Interrupt& interrupt) {
  // A job that is not there, or no server: said at once, without the patience of a stream.
  const auto job = jobs.GetJob(name, interrupt.token());
  if (!job.ok()) return job.status();
  const auto followed = FollowJob(jobs, name, options, interrupt);
  if (!followed.ok()) return followed.status();
  if (!print_end && ReaderLeft() && !HasEnded(followed->job.state())) return kOk;
  if (print_end) PrintOut(JsonLine(ToJson(followed->job)));
  if (options.show_tensors && !options.json) PrintOut(EndLine(*followed) + "\n");
  return ReportEnd(followed->job, name);
}

// "jobs/ID  CANCELLED".
absl::StatusOr<std::string> NameAndState(const absl::StatusOr<v1::Job>& job, bool json) {
  if (!job.ok()) return job.status();
  return json ? JsonLine(ToJson(*job)) : job->name() + "  " + StateName(job->state()) + "\n";
}

}  // namespace

void AddStatus(Command& app) {
  AddLook(app, {"status", "Show a job"},
          Printing([](JobClient& jobs, const Options& options,
                      const std::stop_token& stop) -> absl::StatusOr<std::string> {
            const auto job = jobs.GetJob(options.job, stop);
            if (!job.ok()) return job.status();
            return options.json ? JsonLine(ToJson(*job)) : ToText(*job);
          }));
}

void AddCancel(Command& app) {
  AddChange(app, {"cancel", "Stop a job; resume lets it go on"},
            [](JobClient& jobs, const Options& options, const std::stop_token& stop) {
              const auto job = jobs.CancelJob(options.job, options.etag, stop);
              if (job.ok() && !HasEnded(job->state())) {
                PrintNote(job->name() + ": stops when the shards in work are done; seedlm wait " +
                          job->name() + " returns then");
              } else if (job.ok() && job->state() != v1::JOB_STATE_CANCELLED) {
                PrintNote(job->name() + ": had ended before; there was nothing to stop");
              }
              return NameAndState(job, options.json);
            });
}

void AddResume(Command& app) {
  AddChange(app, {"resume", "Let a failed or cancelled job go on where it stopped"},
            [](JobClient& jobs, const Options& options,
               const std::stop_token& stop) -> absl::StatusOr<std::string> {
              const auto before = jobs.GetJob(options.job, stop);
              if (!before.ok()) return before.status();
              const auto job = jobs.ResumeJob(options.job, options.etag, stop);
              const std::string share = ShareDone(before->progress());
              if (job.ok() && job->attempt() > before->attempt() && !share.empty()) {
                PrintNote(absl::StrCat(job->name(), ": goes on with what is kept", share));
              }
              return NameAndState(job, options.json);
            });
}

void AddDelete(Command& app) {
  AddChange(app,
            {"delete", "Remove a job that has ended, and its result where the server keeps it"},
            [](JobClient& jobs, const Options& options,
               const std::stop_token& stop) -> absl::StatusOr<std::string> {
              absl::Status status = jobs.DeleteJob(options.job, options.etag, stop);
              if (!status.ok()) return status;
              return options.json ? JsonLine({{"name", options.job}, {"deleted", true}})
                                  : options.job + "  deleted\n";
            });
}

void AddWatch(Command& app) {
  AddFollow(app, {"watch", "Follow a job to its end: its tensors as they are finished"},
            [](JobClient& jobs, const Options& options, const Interrupt& interrupt) {
              return Follow(
                  jobs, options.job,
                  {.show_tensors = true, .json = options.json, .patience = PatienceOf(options)},
                  false, interrupt);
            });
}

void AddWait(Command& app) {
  AddFollow(app, {"wait", "Return when a job has ended; exit code 0 only if it succeeded"},
            [](JobClient& jobs, const Options& options, const Interrupt& interrupt) {
              return Follow(jobs, options.job,
                            {.show_progress = !options.json, .patience = PatienceOf(options)},
                            options.json, interrupt);
            });
}

}  // namespace seedlm::client
