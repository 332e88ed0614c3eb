#include "client/embedded_server.h"

#include <chrono>
#include <utility>

#include "client/temporary_directory.h"
#include "server/server.h"

namespace seedlm::client {
namespace {

constexpr std::chrono::seconds kGrace{5};

class InProcessServer : public EmbeddedServer {
 public:
  // The order matters: the server lives in the directory.
  InProcessServer(TemporaryDirectory data_dir, std::unique_ptr<server::Server> server)
      : data_dir_(std::move(data_dir)), server_(std::move(server)) {}
  ~InProcessServer() override { server_->Shutdown(kGrace); }

  std::shared_ptr<grpc::Channel> channel() const override { return server_->InProcessChannel(); }

 private:
  TemporaryDirectory data_dir_;
  std::unique_ptr<server::Server> server_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<EmbeddedServer>> EmbeddedServer::Start(const Options& options) {
  auto data_dir = TemporaryDirectory::Create(TemporaryDirectory::SystemParent(), "seedlm");
  if (!data_dir.ok()) return data_dir.status();
  server::ServerOptions server_options;  // no log: the command itself says what goes wrong
  server_options.data_dir = data_dir->path();
  server_options.storage_roots = {"/"};
  server_options.threads = options.threads;
  server_options.index_memory = options.index_memory;
  if (options.index_cache) server_options.index_cache = server::DefaultIndexCache();
  server_options.cancel_on_shutdown = true;
  auto server = server::Server::Start(server_options);
  if (!server.ok()) return server.status();
  return std::make_unique<InProcessServer>(*std::move(data_dir), *std::move(server));
}

}  // namespace seedlm::client
