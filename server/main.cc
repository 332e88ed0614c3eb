// seedlm-server: a server of its own process, until SIGTERM or SIGINT.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "grpc/support/log.h"
#include "server/auth/token_table.h"
#include "server/check_files.h"
#include "server/config.h"
#include "server/health_check.h"
#include "server/listen_address.h"
#include "server/log/log_format.h"
#include "server/log/rarely.h"
#include "server/metrics/metrics.h"
#include "server/server.h"
#include "server/setting_place.h"
#include "server/settings.h"
#include "spdlog/spdlog.h"

namespace {

using seedlm::server::Server;
using seedlm::server::ServerOptions;
using seedlm::server::Setting;
using seedlm::server::Settings;

constexpr int kExitUnhealthy = 1;
constexpr size_t kMinTokenBytes = 16;  // less can be guessed
constexpr int kExitUsage = 2;
constexpr int kExitCannotStart = 3;
constexpr char kDefaultAddress[] = "127.0.0.1:7433";
constexpr char kFooter[] =
    "Exit codes: 0 ended by SIGTERM or SIGINT, 1 --check-health found no server that serves,\n"
    "2 wrong usage or settings, which do not come right by another start, 3 cannot start;\n"
    "--check-config has the code of the start.\n"
    "When it is ready it logs \"listening on ADDRESS ..\" to stderr, ports filled in.";

// What started us may have closed some of these three: a socket or the database that got the number
// would be written to by whoever prints. A stdout that was closed still cannot be written.
[[gnu::no_sanitize_address, gnu::no_sanitize_thread]] void OpenStandardStreams() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0) continue;
    (void)open("/dev/null", fd == STDOUT_FILENO ? O_RDONLY : O_RDWR);  // gets this number
  }
}
// Before the libraries that we are linked with are initialised: one of them opens a descriptor.
[[gnu::used, gnu::section(".preinit_array")]] void (*const first_of_all)() = &OpenStandardStreams;

struct Arguments {
  std::map<const Setting*, std::vector<std::string>> flags;  // as they were given
  std::string config;
  bool print_config = false;
  bool check_config = false;
  bool print_settings = false;
  bool print_metrics = false;
  bool hash_token = false;
  std::string check_health;
  std::string tls_ca;
};

void Describe(CLI::App& app, Arguments& arguments) {
  app.add_option("--config", arguments.config, "Reads settings from this TOML file; flags win")
      ->type_name("FILE");
  app.add_flag("--print-config", arguments.print_config,
               "Prints the effective settings as such a file, explained, and ends");
  app.add_flag(
      "--check-config", arguments.check_config,
      "Checks the settings and opens the files that they name, as a start would, and ends: "
      "certificates, tokens, S3 credentials, storage roots; and whether the backend, the data "
      "directory and the directories of Unix sockets are usable. Tells all that is wrong");
  app.add_flag("--print-settings", arguments.print_settings,
               "Prints the table of settings as Markdown, and ends");
  app.add_flag("--print-metrics", arguments.print_metrics,
               "Prints the table of metrics as Markdown, and ends");
  app.add_flag("--hash-token", arguments.hash_token,
               "Reads a token from stdin, prints its digest for the file of --tokens, and ends");
  app.add_option(
         "--check-health", arguments.check_health,
         "Asks the server there whether it serves, and ends; in plaintext, or with --tls-ca")
      ->type_name("ADDRESS");
  app.add_option("--tls-ca", arguments.tls_ca,
                 "With --check-health: asks over TLS, and believes whom this PEM file vouches for; "
                 "--tls-cert and --tls-key are the asker's own, where the server wants one")
      ->type_name("FILE")
      ->needs("--check-health");
  for (const Setting& setting : Settings()) {
    std::vector<std::string>& texts = arguments.flags[&setting];
    const std::string name = "--" + setting.name;
    const std::string help = setting.help + ". Default: " + DefaultText(setting);
    CLI::Option* option = setting.type->is_flag() ? app.add_flag(name, texts, help)
                                                  : app.add_option(name, texts, help);
    option->group(setting.group)->allow_extra_args(false);
    if (!setting.type->is_flag()) option->type_name(setting.type->placeholder());
    if (!setting.type->is_flag() && !setting.type->is_list()) option->expected(1);
  }
  app.set_version_flag("--version", std::string("seedlm-server ") + seedlm::server::kVersion);
  app.footer(kFooter);
}

// Defaults, the environment (S3), the file, the flags: the later win. All that is wrong with
// settings goes to `faults`; what is right is in the answer all the same. An error: the file cannot
// be read, or is no TOML.
absl::StatusOr<ServerOptions> MakeOptions(const Arguments& arguments,
                                          std::vector<absl::Status>& faults) {
  ServerOptions options = seedlm::server::DefaultOptions();
  options.s3 = seedlm::server::s3::FromEnvironment(
      options.s3, [](const char* name) { return static_cast<const char*>(std::getenv(name)); });
  if (!arguments.config.empty()) {
    auto of_file = seedlm::server::ApplyAllOfConfigFile(arguments.config, options);
    if (!of_file.ok()) return of_file.status();
    faults = *std::move(of_file);
  }
  for (const auto& [setting, texts] : arguments.flags) {
    if (texts.empty()) continue;
    if (absl::Status status = AssignFlag(*setting, texts, options); !status.ok()) {
      faults.push_back(std::move(status));
    }
    options.places.erase(setting->name);
  }
  return options;
}

void AddDefaultListen(ServerOptions& options) {
  if (!options.listen.empty()) return;
  options.listen = {kDefaultAddress};
  if (options.data_dir.empty()) return;
  const std::string socket = "unix:" + options.data_dir + "/server.sock";
  // The path of a socket is short by nature; a deep data directory does without.
  if (seedlm::server::ParseListenAddress(socket).ok()) options.listen.push_back(socket);
}

std::atomic<bool> g_ready = false;

// gRPC reports what Start returns as a status, too: only a running server's errors are news.
// Of each place that reports, one a minute: who speaks plaintext to a TLS port may do so often.
void LogFromGrpc(gpr_log_func_args* args) {
  if (args->severity != GPR_LOG_SEVERITY_ERROR || !g_ready) {
    spdlog::debug("gRPC: {}", args->message);
    return;
  }
  // Never destroyed: gRPC's threads may outlive main.
  static std::mutex& mutex = *new std::mutex;
  static auto& places = *new std::map<std::pair<std::string, int>, seedlm::server::Rarely>;
  std::optional<int64_t> times;
  {
    const std::lock_guard lock(mutex);
    times = places.try_emplace({args->file, args->line}, std::chrono::minutes(1))
                .first->second.Happened();
  }
  if (!times.has_value()) {
    spdlog::debug("gRPC: {}", args->message);
    return;
  }
  const std::string more =
      *times > 1 ? absl::StrCat("; ", *times, " of this kind since one was told last") : "";
  spdlog::warn("gRPC: {}{}", args->message, more);
}

void SetUpLog(const ServerOptions& options) {
  using seedlm::server::LogFormat;
  spdlog::set_default_logger(seedlm::server::MakeLogger(
      seedlm::server::ParseLogFormat(options.log_format).value_or(LogFormat::kText),
      options.log_level));
  gpr_set_log_function(&LogFromGrpc);
}

int Fail(int exit_code, const absl::Status& status) {
  const std::string message(status.message());
  std::fprintf(stderr, "seedlm-server: %s\n", message.c_str());
  return exit_code;
}

int Print(const std::string& text) {
  if (std::fputs(text.c_str(), stdout) >= 0 && std::fflush(stdout) == 0) return 0;
  return Fail(kExitCannotStart, absl::InternalError("cannot write to stdout"));
}

void Reload(Server& server) {
  const absl::Status tokens = server.ReloadTokens();  // which says what it has read
  if (!tokens.ok()) {
    spdlog::warn("tokens stay as they were: {}", std::string(tokens.message()));
  }
  if (const absl::Status keys = server.ReloadS3Keys(); !keys.ok()) {
    spdlog::warn("the keys of S3 stay as they were: {}", std::string(keys.message()));
  }
}

// A line of stdin to a digest for the token file. A token on the command line would be seen by
// other users of the machine.
int HashToken() {
  std::string token;
  std::getline(std::cin, token);
  while (!token.empty() && absl::ascii_isspace(static_cast<unsigned char>(token.back()))) {
    token.pop_back();
  }
  if (token.size() < kMinTokenBytes) {
    return Fail(kExitUsage, absl::InvalidArgumentError(
                                absl::StrCat("--hash-token: stdin has a token of ", token.size(),
                                             " characters; give a random one of at least ",
                                             kMinTokenBytes, ", as of openssl rand -hex 32")));
  }
  return Print(seedlm::server::ToHex(seedlm::server::DigestOf(token)) + "\n");
}

// Connections and files need descriptors, and the usual 1024 are few: up to what the system allows.
void RaiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  (void)setrlimit(RLIMIT_NOFILE, &limit);
}

// The exit code of a start that cannot be.
int CannotStart(const ServerOptions& options, const absl::Status& status) {
  return Fail(absl::IsInvalidArgument(status) ? kExitUsage : kExitCannotStart,
              absl::Status(status.code(),
                           seedlm::server::WithSetting(options, std::string(status.message()))));
}

// Tells all that is wrong, `faults` first. The exit code is that of the first, as a start ends with
// that.
int CheckConfig(const ServerOptions& options, const std::vector<absl::Status>& faults) {
  int exit_code = 0;
  for (const absl::Status& fault : faults) exit_code = Fail(kExitUsage, fault);
  const seedlm::server::FilesCheck check = seedlm::server::CheckFiles(options);
  for (const absl::Status& fault : check.faults) {
    const int code = CannotStart(options, fault);
    exit_code = exit_code == 0 ? code : exit_code;
  }
  for (const std::string& warning : check.warnings) {
    std::fprintf(stderr, "seedlm-server: warning: %s\n", warning.c_str());
  }
  return exit_code != 0 ? exit_code
                        : Print("the settings are right, and what they name can serve\n");
}

int Run(ServerOptions options) {
  if (absl::Status status = CheckOptions(options); !status.ok()) return Fail(kExitUsage, status);
  SetUpLog(options);
  options.log = spdlog::default_logger();
  // Blocked before any thread is made, so that all inherit it and sigwait gets them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  RaiseDescriptorLimit();

  auto server = Server::Start(options);
  if (!server.ok()) return CannotStart(options, server.status());
  g_ready = true;
  spdlog::info("listening on {}", absl::StrJoin((*server)->addresses(), " "));
  if (const std::string metrics = (*server)->metrics_address(); !metrics.empty()) {
    spdlog::info("metrics on http://{}/metrics", metrics);
  }

  int signal = 0;
  while (sigwait(&signals, &signal) == 0 && signal == SIGHUP) Reload(**server);
  sigdelset(&signals, SIGHUP);                      // of no use any more, and no reason to end
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);  // a second one ends it at once
  spdlog::info("draining after signal {}", signal);
  (*server)->Shutdown(options.drain_grace);
  server->reset();  // lets go of the data directory
  spdlog::info("stopped");
  gpr_set_log_function([](gpr_log_func_args*) {});  // its threads may outlive the log
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Compresses model checkpoints into seeds, as a gRPC service.", "seedlm-server"};
  Arguments arguments;
  Describe(app, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  if (arguments.print_settings) return Print(seedlm::server::PrintSettings());
  if (arguments.print_metrics) return Print(seedlm::server::PrintMetrics());
  if (arguments.hash_token) return HashToken();
  std::vector<absl::Status> faults;
  absl::StatusOr<ServerOptions> made = MakeOptions(arguments, faults);
  if (!made.ok()) return Fail(kExitUsage, made.status());
  ServerOptions& options = *made;
  if (!faults.empty() && !arguments.check_config) return Fail(kExitUsage, faults.front());
  if (!arguments.check_health.empty()) {
    const absl::Status health = seedlm::server::CheckHealth({.address = arguments.check_health,
                                                             .ca = arguments.tls_ca,
                                                             .certificate = options.tls.certificate,
                                                             .key = options.tls.key});
    return health.ok() ? Print("SERVING\n") : Fail(kExitUnhealthy, health);
  }
  AddDefaultListen(options);
  if (arguments.check_config) return CheckConfig(options, faults);
  if (!arguments.print_config) return Run(std::move(options));
  ServerOptions checked = options;
  if (checked.data_dir.empty()) checked.data_dir = ".";  // a template may leave it open
  if (absl::Status status = CheckOptions(checked); !status.ok()) return Fail(kExitUsage, status);
  return Print(PrintConfig(options));
}
