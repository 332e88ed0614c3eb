// seedlm-server: a server of its own process, until SIGTERM or SIGINT.
#include <atomic>
#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

#include "CLI/CLI.hpp"
#include "absl/strings/str_join.h"
#include "grpc/support/log.h"
#include "server/config.h"
#include "server/listen_address.h"
#include "server/server.h"
#include "spdlog/sinks/stdout_sinks.h"
#include "spdlog/spdlog.h"

namespace {

using seedlm::server::Server;
using seedlm::server::ServerOptions;

constexpr int kExitUsage = 2;
constexpr int kExitCannotStart = 3;
constexpr std::chrono::milliseconds kDrainGrace{2000};
constexpr char kDefaultAddress[] = "127.0.0.1:7433";
constexpr char kFooter[] =
    "Exit codes: 0 ended by SIGTERM or SIGINT, 2 wrong usage, 3 cannot start.\n"
    "When it is ready it logs \"listening on ADDRESS ..\" to stderr, ports filled in.";

struct Arguments {
  ServerOptions options;
  std::string log_level = "info";
};

void Describe(CLI::App& app, Arguments& arguments) {
  ServerOptions& options = arguments.options;
  app.add_option("--listen", options.listen,
                 "HOST:PORT (port 0: any free one) or unix:PATH; repeatable. Default: " +
                     std::string(kDefaultAddress) + " and unix:DATA_DIR/server.sock")
      ->type_name("ADDRESS")
      ->allow_extra_args(false);
  app.add_option("--data-dir", options.data_dir, "Where jobs and artifacts are kept")
      ->type_name("DIR")
      ->required();
  app.add_option("--storage-root", options.storage_roots,
                 "Jobs read and write file:// below this; repeatable. Default: nowhere")
      ->type_name("DIR")
      ->allow_extra_args(false);
  app.add_option("--threads", options.threads, "Worker threads; 0: all hardware threads");
  app.add_option("--backend", options.backend, "What jobs run on that do not choose one")
      ->type_name("auto|NAME");
  app.add_option("--index-memory", options.index_memory,
                 "Memory for the index of the search, such as 512MiB; 0: none. Default 1GiB")
      ->type_name("BYTES")
      ->transform(CLI::AsSizeValue(false));
  app.add_option("--index-cache", options.index_cache,
                 "Where the index is kept from one start to the next; '' keeps none. Default: "
                 "seedlm in XDG_CACHE_HOME")
      ->type_name("DIR");
  app.add_option("--max-jobs", options.max_active_jobs,
                 "Waiting and running jobs at most; default 1000");
  app.add_flag("--insecure", options.insecure,
               "Allow plaintext on addresses that other machines reach");
  app.add_option("--log-level", arguments.log_level, "Default info")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "off"}));
  app.set_version_flag("--version", std::string("seedlm-server ") + seedlm::server::kVersion);
  app.footer(kFooter);
}

void AddDefaultListen(ServerOptions& options) {
  if (!options.listen.empty()) return;
  options.listen = {kDefaultAddress};
  const std::string socket = "unix:" + options.data_dir + "/server.sock";
  // The path of a socket is short by nature; a deep data directory does without.
  if (seedlm::server::ParseListenAddress(socket).ok()) options.listen.push_back(socket);
}

std::atomic<bool> g_ready = false;

// gRPC reports what Start returns as a status, too: only a running server's errors are news.
void LogFromGrpc(gpr_log_func_args* args) {
  const bool news = args->severity == GPR_LOG_SEVERITY_ERROR && g_ready;
  spdlog::log(news ? spdlog::level::warn : spdlog::level::debug, "gRPC: {}", args->message);
}

void SetUpLog(const std::string& level) {
  spdlog::set_default_logger(spdlog::stderr_logger_mt("seedlm-server"));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %l %v");
  spdlog::set_level(spdlog::level::from_str(level));
  gpr_set_log_function(&LogFromGrpc);
}

int Fail(int exit_code, const absl::Status& status) {
  const std::string message(status.message());
  std::fprintf(stderr, "seedlm-server: %s\n", message.c_str());
  return exit_code;
}

int Run(Arguments arguments) {
  AddDefaultListen(arguments.options);
  if (absl::Status status = CheckOptions(arguments.options); !status.ok()) {
    return Fail(kExitUsage, status);
  }
  SetUpLog(arguments.log_level);
  arguments.options.log = spdlog::default_logger();
  // Blocked before any thread is made, so that all inherit it and sigwait gets them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::signal(SIGPIPE, SIG_IGN);

  const auto server = Server::Start(arguments.options);
  if (!server.ok()) return Fail(kExitCannotStart, server.status());
  g_ready = true;
  spdlog::info("listening on {}", absl::StrJoin((*server)->addresses(), " "));

  int signal = 0;
  sigwait(&signals, &signal);
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);  // a second one ends it at once
  spdlog::info("draining after signal {}", signal);
  (*server)->Shutdown(kDrainGrace);
  spdlog::info("stopped");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Compresses model checkpoints into seeds, as a gRPC service.", "seedlm-server"};
  Arguments arguments;
  arguments.options.index_cache = seedlm::server::DefaultIndexCache();
  Describe(app, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : kExitUsage;
  }
  return Run(std::move(arguments));
}
