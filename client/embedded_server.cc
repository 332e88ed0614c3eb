#include "client/embedded_server.h"

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/leftovers.h"
#include "client/output.h"
#include "client/rpc_status.h"
#include "client/temporary_directory.h"
#include "server/server.h"

namespace seedlm::client {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kGrace{5};

// seedlm/compress below XDG_STATE_HOME, or below .local/state in HOME; empty where neither is set.
std::string StateDirectory() {
  const auto variable = [](const char* name) {
    const char* value = std::getenv(name);
    return std::string(value != nullptr ? value : "");
  };
  if (const std::string state = variable("XDG_STATE_HOME"); !state.empty()) {
    return absl::StrCat(state, "/seedlm/compress");
  }
  const std::string home = variable("HOME");
  return home.empty() ? "" : absl::StrCat(home, "/.local/state/seedlm/compress");
}

// Where the server lives: a directory that goes with it, or one that may stay. What an earlier
// process left stays until somebody says otherwise.
class Home {
 public:
  explicit Home(TemporaryDirectory scratch) : scratch_(std::move(scratch)) {}
  explicit Home(std::string state) : state_(std::move(state)) {
    std::error_code unknown;
    found_ = fs::exists(state_, unknown) || unknown;
    stays_ = found_;
    if (found_) {
      KeepLeftovers();
    } else {
      RegisterLeftover(state_);
    }
  }
  Home(Home&& other) noexcept
      : scratch_(std::move(other.scratch_)),
        state_(std::exchange(other.state_, {})),
        found_(other.found_),
        stays_(other.stays_) {}
  Home& operator=(Home&&) = delete;
  ~Home() {
    std::error_code ignored;
    if (state_.empty()) return;
    if (!stays_) fs::remove_all(state_, ignored);
    ForgetLeftover(state_);
  }

  const std::string& path() const { return scratch_.has_value() ? scratch_->path() : state_; }
  bool may_stay() const { return !scratch_.has_value(); }
  bool found() const { return found_; }
  void set_stays(bool stays) { stays_ = stays; }

 private:
  std::optional<TemporaryDirectory> scratch_;
  std::string state_;   // empty: there is none
  bool found_ = false;  // it was there before
  bool stays_ = false;
};

class InProcessServer : public EmbeddedServer {
 public:
  // The order matters: the server lives in the directory.
  InProcessServer(Home home, std::unique_ptr<server::Server> server)
      : home_(std::move(home)), server_(std::move(server)) {}
  ~InProcessServer() override {
    const std::string not_kept = server_->Shutdown(kGrace);
    if (!not_kept.empty()) PrintNote(absl::StrCat("warning: ", not_kept));
    server_.reset();  // closes the database before the directory goes
  }

  std::shared_ptr<grpc::Channel> channel() const override { return server_->InProcessChannel(); }
  bool has_state() const override { return home_.may_stay(); }
  bool found_state() const override { return home_.found(); }
  void KeepState() override { home_.set_stays(true); }
  void DropState() override { home_.set_stays(false); }

 private:
  Home home_;
  std::unique_ptr<server::Server> server_;
};

absl::StatusOr<std::unique_ptr<EmbeddedServer>> StartIn(Home home,
                                                        const EmbeddedServer::Options& options) {
  server::ServerOptions server_options;  // no log: the command itself says what goes wrong
  server_options.data_dir = home.path();
  server_options.storage_roots = {"/"};
  server_options.threads = options.threads;
  server_options.search = options.search;
  server_options.memory = options.memory;
  server_options.index_memory = options.index_memory;
  if (options.index_cache) server_options.index_cache = server::DefaultIndexCache();
  server_options.cancel_on_shutdown = true;
  auto server = server::Server::Start(server_options);
  if (!server.ok()) {
    home.set_stays(true);  // somebody else's, perhaps
    return server.status();
  }
  if (const std::string& warning = (*server)->memory_warning(); !warning.empty()) {
    PrintNote(warning);
  }
  return std::make_unique<InProcessServer>(std::move(home), *std::move(server));
}

}  // namespace

absl::StatusOr<std::unique_ptr<EmbeddedServer>> EmbeddedServer::Start(const Options& options) {
  if (const std::string state = StateDirectory(); !options.resume_key.empty() && !state.empty()) {
    std::error_code error;
    fs::create_directories(state, error);
    if (!error) {
      auto server = StartIn(Home(absl::StrCat(state, "/", options.resume_key)), options);
      if (server.ok() || ErrorReason(server.status()) == kKeyInUse) return server;
    }
  }
  auto scratch = TemporaryDirectory::Create(TemporaryDirectory::SystemParent(), "seedlm");
  if (!scratch.ok()) return scratch.status();
  return StartIn(Home(*std::move(scratch)), options);
}

}  // namespace seedlm::client
