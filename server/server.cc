#include "server/server.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string_view>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "grpcpp/ext/proto_server_reflection_plugin.h"
#include "grpcpp/health_check_service_interface.h"
#include "grpcpp/resource_quota.h"
#include "grpcpp/security/server_credentials.h"
#include "grpcpp/server.h"
#include "grpcpp/server_builder.h"
#include "kernels/registry/registry.h"
#include "server/acceptor.h"
#include "server/admission/owner_gate.h"
#include "server/auth/tls_mirror.h"
#include "server/auth/token_file.h"
#include "server/call_log.h"
#include "server/credentials.h"
#include "server/health_watch.h"
#include "server/jobs/job_events.h"
#include "server/jobs/sqlite_job_store.h"
#include "server/listen_address.h"
#include "server/live_metrics.h"
#include "server/log/rarely.h"
#include "server/machine_memory.h"
#include "server/metrics/prometheus_metrics.h"
#include "server/rpc/artifact_rpc.h"
#include "server/rpc/call_metrics.h"
#include "server/rpc/compression_rpc.h"
#include "server/rpc/door.h"
#include "server/rpc/job_conversion.h"
#include "server/rpc/turn_pool.h"
#include "server/rpc/work_pool.h"
#include "server/scheduler/checkpoint_source.h"
#include "server/scheduler/job_service.h"
#include "server/scheduler/retention.h"
#include "server/scheduler/s3_leftovers.h"
#include "server/scheduler/scheduler.h"
#include "server/start_report.h"
#include "server/storage/artifact_stores.h"
#include "server/storage/data_dir.h"
#include "server/storage/rename_publisher.h"
#include "server/storage/s3_destination.h"
#include "server/storage/storage_roots.h"
#include "server/work_memory.h"
#include "spdlog/logger.h"

namespace seedlm::server {
namespace {

// Calls wait for SQLite and headers, streams for whole chunks and fsync: a slow disk under uploads
// must not hold up GetJob.
constexpr int kCallThreads = 4;
constexpr int kStreamThreads = 4;
// Of calls. One owner leaves half of each queue to the others.
constexpr size_t kMaxWaitingCalls = 1024;
// CreateJob reads the headers of whole checkpoints.
constexpr int kPlanningThreads = 2;
constexpr size_t kMaxWaitingPlans = 64;
// VerifyArtifact takes as many threads as there are workers for one call.
constexpr int kVerifyThreads = 1;
constexpr size_t kMaxWaitingVerifications = 8;
// Finishing a resumed upload reads and sums it, minutes for tens of gigabytes.
constexpr int kFinishThreads = 2;
constexpr int kMaxConcurrentStreams = 4096;  // of one connection
constexpr int kKeepAliveMs = 60'000;         // a dead client is noticed within 80 s
constexpr int kKeepAliveTimeoutMs = 20'000;
constexpr int kMinPingIntervalMs = 10'000;  // clients that ping more often are cut off
constexpr int kMaxMetadataBytes = 8 << 10;  // gRPC's default, said aloud
constexpr int kHandshakeMs = 20'000;        // TLS and HTTP/2 must stand by then
constexpr int kConnectionIdleMs = 600'000;  // without calls; clients come again by themselves
constexpr std::chrono::milliseconds kCutAfter{1000};  // calls that were cancelled have this to end
constexpr int kMaxReflectionThreads = 16;             // only reflection takes threads of gRPC's own
constexpr int64_t kEndless = int64_t{1} << 50;        // weights
constexpr int kMessageSlack = 64 << 10;               // names and framing around 4 MiB of data

constexpr std::chrono::seconds kMirrorRefresh{1};  // by gRPC, of what is in memory

using ConnectionTaker = grpc::experimental::ExternalConnectionAcceptor;

constexpr const char* kServices[] = {"seedlm.v1.CompressionService", "seedlm.v1.ArtifactService"};

int64_t Now() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// The registry's door, where "auto" is what the server was told to prefer.
BackendDoor MakeDoor(const std::string& preferred) {
  BackendDoor door;
  door.open = [preferred](std::string_view name) {
    return backend::OpenBackend(name == "auto" ? std::string_view(preferred) : name);
  };
  return door;
}

// Before any job is taken up: an address in use must not start one.
absl::StatusOr<std::vector<ListenSocket>> OpenSockets(const std::vector<std::string>& texts) {
  std::vector<ListenSocket> sockets;
  for (const std::string& text : texts) {
    const absl::StatusOr<ListenAddress> address = ParseListenAddress(text);
    if (!address.ok()) return address.status();
    absl::StatusOr<ListenSocket> socket = ListenSocket::Open(*address);
    if (!socket.ok()) return socket.status();
    sockets.push_back(*std::move(socket));
  }
  return sockets;
}

int OwnerJobs(const ServerOptions& options) {
  return options.max_owner_jobs == 0 ? options.max_active_jobs : options.max_owner_jobs;
}

void SetLimits(const ServerOptions& options, grpc::ServerBuilder& builder) {
  builder.SetMaxReceiveMessageSize(static_cast<int>(kMaxMessageBytes) + kMessageSlack);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeMs);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, kConnectionIdleMs);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxConcurrentStreams);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepAliveMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepAliveTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             kMinPingIntervalMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  grpc::ResourceQuota quota("seedlm");
  quota.Resize(static_cast<size_t>(options.rpc_memory));
  quota.SetMaxThreads(kMaxReflectionThreads);
  builder.SetResourceQuota(quota);
}

}  // namespace

// In the order of construction; destroyed in the reverse.
struct Server::Parts {
  Parts(DataDir dir, const ServerOptions& options)
      : log(options.log),
        data_dir(std::move(dir)),
        artifacts(
            data_dir, [this](const std::string& message) { Warn(message); },
            options.max_owner_bytes, options.fault_point),
        uploads("uploads", "OWNER_UPLOADS", options.max_owner_uploads, options.max_uploads),
        downloads("downloads", "OWNER_DOWNLOADS", options.max_owner_downloads,
                  options.max_downloads),
        watches("watches", "OWNER_WATCHES", options.max_owner_watches, options.max_watches),
        save_index_for(options.save_index_for),
        keeps_index(IndexOptionsOf(options).memory > 0 && !options.index_cache.empty()),
        fault_point(options.fault_point) {}
  void Warn(const std::string& message) const {
    if (log != nullptr) log->warn("{}", message);
  }
  void Error(const std::string& message) const {
    if (log != nullptr) log->error("{}", message);
  }
  void Inform(const std::string& message) const {
    if (log != nullptr) log->info("{}", message);
  }
  absl::Status Compose(const ServerOptions& options);
  absl::Status OpenS3(const ServerOptions& options);
  absl::Status OpenDoor(const ServerOptions& options);
  absl::Status Listen(std::vector<ListenSocket> sockets, const ServerOptions& options);
  absl::Status ServeMetrics(const std::string& address);
  void EndCalls(std::chrono::milliseconds grace);
  std::string SaveIndex();
  void StartRetention(const ServerOptions& options);
  void WatchHealth(std::chrono::milliseconds interval);
  void Refused(int max_connections);

  const std::shared_ptr<spdlog::logger> log;  // may be null
  PrometheusMetrics metrics;
  DataDir data_dir;
  std::unique_ptr<TokenFile> tokens;  // null: none are needed
  std::unique_ptr<TlsMirror> tls;     // null: plaintext
  std::optional<Door> door;
  ArtifactStores artifacts;
  OwnerGate uploads;
  OwnerGate downloads;
  OwnerGate watches;
  const std::chrono::milliseconds save_index_for;
  const bool keeps_index;
  const FaultPoint fault_point;
  std::unique_ptr<JobStore> store;
  std::optional<StorageRoots> roots;
  std::unique_ptr<S3Destination> s3;  // before what makes publishers
  std::optional<SourceLocator> locator;
  JobEvents events;
  std::unique_ptr<Scheduler> scheduler;
  std::unique_ptr<JobService> jobs;
  std::optional<Retention> retention;
  std::unique_ptr<ArtifactService> artifact_service;
  WorkPool call_pool{kCallThreads, kMaxWaitingCalls, kMaxWaitingCalls / 2};
  WorkPool stream_pool{kStreamThreads, kMaxWaitingCalls, kMaxWaitingCalls / 2};
  WorkPool planning_pool{kPlanningThreads, kMaxWaitingPlans, kMaxWaitingPlans / 2};
  WorkPool verify_pool{kVerifyThreads, kMaxWaitingVerifications, kMaxWaitingVerifications / 2};
  TurnPool finish_pool{kFinishThreads};
  std::unique_ptr<CompressionRpc> compression_rpc;
  std::unique_ptr<ArtifactRpc> artifact_rpc;
  std::vector<std::string> addresses;
  WorkMemory memory;
  std::atomic<bool> draining = false;
  Rarely refusals{std::chrono::minutes(1)};
  CallLog call_log{log};
  std::unique_ptr<grpc::Server> grpc_server;
  std::unique_ptr<Acceptor> acceptor;                 // hands connections to the above
  std::unique_ptr<MetricsEndpoint> metrics_endpoint;  // answers from all the above
  std::mutex health_mutex;                            // of what health says, and draining
  std::optional<HealthWatch> health;
  std::once_flag shut_down;
};

absl::Status Server::Parts::Compose(const ServerOptions& options) {
  BeginAtZero(metrics);
  const absl::StatusOr<std::string> prepared = data_dir.PrepareDatabase();
  if (!prepared.ok()) return ForStart(prepared.status(), data_dir.path());
  if (!prepared->empty()) Warn(*prepared);
  auto opened = SqliteJobStore::Open(data_dir.database(), Now, kBusyWait, options.fault_point);
  if (!opened.ok()) return ForStart(opened.status(), data_dir.path());
  store = *std::move(opened);
  auto confined = StorageRoots::Create(options.storage_roots, data_dir.path());
  if (!confined.ok()) return confined.status();
  roots.emplace(*std::move(confined));
  if (absl::Status status = OpenS3(options); !status.ok()) return status;
  locator.emplace(artifacts, *roots, *s3);
  const PublisherFactory make_publisher =
      [this](const SinkTarget& target) -> absl::StatusOr<std::unique_ptr<Publisher>> {
    if (target.s3.has_value()) return s3->MakePublisher(target);
    return RenamePublisher::Make(target);
  };

  backend::IndexOptions index = IndexOptionsOf(options);
  index.memory = memory.plan.index;
  backend::SetIndexOptions(index);
  const BackendDoor backends = MakeDoor(options.backend);
  if (const auto preferred = backends.open("auto"); !preferred.ok()) return preferred.status();
  SchedulerOptions scheduling;
  scheduling.threads = memory.plan.workers;
  scheduling.shards_together = memory.plan.shards_together;
  scheduling.cancel_on_shutdown = options.cancel_on_shutdown;
  scheduling.max_active_jobs = options.max_active_jobs;
  scheduling.max_owner_jobs = OwnerJobs(options);
  scheduling.commit_interval = options.commit_interval;
  if (options.search == "index") scheduling.weights_to_come = kEndless;
  if (options.shard_weights > 0) scheduling.shard_weights = options.shard_weights;
  scheduler =
      std::make_unique<Scheduler>(Scheduler::Parts{store.get(), &events, &*locator, backends, log,
                                                   &metrics, make_publisher, options.fault_point},
                                  scheduling);
  jobs = std::make_unique<JobService>(JobService::Parts{
      store.get(), &events, scheduler.get(), &*locator, make_publisher, options.fault_point, log});

  compression_rpc = std::make_unique<CompressionRpc>(
      *door, *jobs, call_pool, planning_pool, watches,
      ServiceLimits{kVersion, options.max_active_jobs,
                    scheduling.shard_weights * int64_t{sizeof(float)}, kMaxMetadataBytes,
                    OwnerJobs(options), options.max_owner_uploads, options.max_owner_downloads,
                    options.max_owner_watches, options.max_owner_bytes,
                    std::chrono::duration<double>(options.upload_idle).count()},
      WatchOptions{.keep_alive = options.watch_keep_alive});
  artifacts.SweepDeleted();
  artifact_service = std::make_unique<ArtifactService>(
      ArtifactService::Parts{&artifacts, store.get(), &*locator, log, scheduler->threads()});
  artifact_rpc = std::make_unique<ArtifactRpc>(
      ArtifactRpc::Parts{&*door, &artifacts, artifact_service.get(), &stream_pool, &verify_pool,
                         &uploads, &downloads, options.upload_idle, &finish_pool});
  return absl::OkStatus();
}

absl::Status Server::Parts::OpenS3(const ServerOptions& options) {
  s3::Options server = options.s3;
  if (options.s3_addressing == "path") server.addressing = s3::Addressing::kPath;
  if (options.s3_addressing == "virtual-host") server.addressing = s3::Addressing::kVirtualHost;
  auto opened = S3Destination::Open(
      data_dir, server, options.s3_transfer,
      {[this](const std::string& message) { Warn(message); },
       [this](const s3::Attempt& attempt) { CountS3(metrics, attempt); },
       [this](const std::string& message) { Inform(message); }},
      [this](std::string_view id) { return LeftoverOf(*store, id); }, options.fault_point);
  if (!opened.ok()) return opened.status();
  s3 = *std::move(opened);
  return absl::OkStatus();
}

absl::Status Server::Parts::OpenDoor(const ServerOptions& options) {
  if (options.tls.on()) {
    const absl::StatusOr<std::vector<std::string>> warnings = CheckTlsFiles(options.tls);
    if (!warnings.ok()) return warnings.status();
    for (const std::string& warning : *warnings) Warn(warning);
  }
  if (!options.tokens.empty()) {
    auto opened =
        TokenFile::Open(options.tokens, {[this](const std::string& message) { Warn(message); },
                                         [this](const std::string& message) { Inform(message); }});
    if (!opened.ok()) return opened.status();
    tokens = *std::move(opened);
  }
  door.emplace(tokens.get());
  return absl::OkStatus();
}

absl::Status Server::Parts::Listen(std::vector<ListenSocket> sockets,
                                   const ServerOptions& options) {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  SetLimits(options, builder);
  const std::shared_ptr<grpc::ServerCredentials> plaintext = grpc::InsecureServerCredentials();
  std::shared_ptr<grpc::ServerCredentials> secure = plaintext;
  if (options.tls.on()) {
    auto mirror = TlsMirror::Open(options.tls, options.tls_refresh,
                                  {[this](const std::string& message) { Warn(message); },
                                   [this](const std::string& message) { Inform(message); },
                                   [this](const std::string& message) { Error(message); }});
    if (!mirror.ok()) return mirror.status();
    tls = *std::move(mirror);
    secure = MakeTlsCredentials(tls->copies(), kMirrorRefresh);
  }
  std::vector<Acceptor::Door> doors;
  for (ListenSocket& socket : sockets) {
    addresses.push_back(socket.address().ToString());
    std::shared_ptr<ConnectionTaker> taker = builder.experimental().AddExternalConnectionAcceptor(
        grpc::ServerBuilder::experimental_type::ExternalConnectionType::FROM_FD,
        socket.address().is_unix ? plaintext : secure);
    doors.push_back({std::move(socket), [taker](int listener, int connection) {
                       ConnectionTaker::NewConnectionParameters parameters;
                       parameters.listener_fd = listener;
                       parameters.fd = connection;
                       taker->HandleNewConnection(&parameters);
                     }});
  }
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> interceptors;
  interceptors.push_back(std::make_unique<CallMetricsFactory>(
      metrics, [this](const EndedCall& call) { call_log.Ended(call); },
      [this](const grpc::ServerContextBase& context) {
        const absl::StatusOr<Caller> caller = door->Admit(context, Right::kRead);
        return caller.ok() ? caller->owner : std::string();
      }));
  builder.experimental().SetInterceptorCreators(std::move(interceptors));
  builder.RegisterService(compression_rpc.get());
  builder.RegisterService(artifact_rpc.get());
  grpc_server = builder.BuildAndStart();
  if (grpc_server == nullptr) return absl::InternalError("gRPC could not start");
  for (const char* service : kServices) {
    grpc_server->GetHealthCheckService()->SetServingStatus(service, true);
  }
  acceptor =
      std::make_unique<Acceptor>(std::move(doors), static_cast<size_t>(options.max_connections),
                                 [this, most = options.max_connections] { Refused(most); });
  return absl::OkStatus();
}

absl::Status Server::Parts::ServeMetrics(const std::string& address) {
  if (address.empty()) return absl::OkStatus();
  auto endpoint = MetricsEndpoint::Start(address, metrics, [this] {
    return ReadLiveMetrics({scheduler->Load(), scheduler->threads(), draining, Now(),
                            data_dir.path(), tls == nullptr ? 0 : tls->not_after()});
  });
  if (!endpoint.ok()) {
    // The library does not say what the system told it.
    const absl::Status why = OpenSockets({address}).status();
    return why.ok() ? endpoint.status()
                    : absl::Status(why.code(),
                                   absl::StrReplaceAll(why.message(), {{"--listen", "--metrics"}}));
  }
  metrics_endpoint = *std::move(endpoint);
  return absl::OkStatus();
}

void Server::Parts::StartRetention(const ServerOptions& options) {
  Retention::Parts parts{Now, log, {}};
  if (options.retain_jobs.count() > 0) {
    parts.rules.push_back({options.retain_jobs, [this](int64_t time_ns) {
                             return DeleteEndedBefore(*store, *jobs, time_ns);
                           }});
  }
  if (options.retain_uploads.count() > 0) {
    parts.rules.push_back({options.retain_uploads, [this](int64_t time_ns) {
                             return artifact_service->DeleteUploadsBefore(time_ns);
                           }});
  }
  if (!parts.rules.empty()) retention.emplace(std::move(parts));
}

// A data directory that is gone or full fails most calls: whoever balances loads should know.
void Server::Parts::WatchHealth(std::chrono::milliseconds interval) {
  health.emplace(
      interval, [this] { return data_dir.CheckUsable(); },
      [this](const absl::Status& now) {
        {
          const std::lock_guard lock(health_mutex);
          if (draining) return;
          grpc_server->GetHealthCheckService()->SetServingStatus(now.ok());
        }
        if (now.ok()) {
          Inform("the data directory is well again: SERVING");
        } else {
          Error(absl::StrCat("NOT_SERVING until this is mended: ", std::string(now.message())));
        }
      });
}

void Server::Parts::Refused(int max_connections) {
  metrics.Add(Metric::kConnectionsRefused, {}, 1);
  const std::optional<int64_t> times = refusals.Happened();
  if (!times.has_value()) return;
  Warn(absl::StrCat(*times, *times == 1 ? " connection was" : " connections were",
                    " closed at once: ", max_connections,
                    " are open, which is --max-connections; told once a minute, "
                    "seedlm_connections_refused_total counts them"));
}

// gRPC ends a call once what it was writing has left, also when the call is cancelled: a peer that
// takes nothing more, such as one whose power is gone, would keep it for a minute or for ever.
void Server::Parts::EndCalls(std::chrono::milliseconds grace) {
  if (acceptor != nullptr) acceptor->Stop();
  if (grpc_server == nullptr) return;
  std::mutex mutex;
  std::condition_variable_any never;
  const std::jthread cutter([&](const std::stop_token& stop) {
    std::unique_lock lock(mutex);
    (void)never.wait_for(lock, stop, grace + kCutAfter, [] { return false; });
    if (!stop.stop_requested() && acceptor != nullptr) acceptor->CutConnections();
  });
  grpc_server->Shutdown(std::chrono::system_clock::now() + grace);
}

// A gigabyte at most, which a slow disk may take minutes for: what is given up is built again.
std::string Server::Parts::SaveIndex() {
  std::stop_source late;
  std::mutex mutex;
  std::condition_variable_any never;
  const std::jthread timer([&](const std::stop_token& saved) {
    std::unique_lock lock(mutex);
    (void)never.wait_for(lock, saved, save_index_for, [] { return false; });
    if (!saved.stop_requested()) late.request_stop();
  });
  if (keeps_index) Reach(fault_point, "index.saving");
  const std::string not_kept(backend::SaveIndex(late.get_token()).message());
  if (!not_kept.empty()) Warn(not_kept);
  return not_kept;
}

Server::Server(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerOptions& options) {
  if (absl::Status status = CheckOptions(options); !status.ok()) return status;
  absl::StatusOr<WorkMemory> memory = PlanWorkMemory(options, MachineMemory());
  if (!memory.ok()) return memory.status();
  auto data_dir = DataDir::Open(options.data_dir);
  if (!data_dir.ok()) return ForStart(data_dir.status(), options.data_dir);
  std::unique_ptr<Server> server(
      new Server(std::make_unique<Parts>(*std::move(data_dir), options)));
  Parts& parts = *server->parts_;
  parts.memory = *std::move(memory);
  if (absl::Status status = parts.OpenDoor(options); !status.ok()) return status;
  if (absl::Status status = parts.Compose(options); !status.ok()) return status;
  auto sockets = OpenSockets(options.listen);
  if (!sockets.ok()) return sockets.status();
  // Before any call can come in: Start takes up what the store holds.
  if (absl::Status status = parts.scheduler->Start(); !status.ok()) {
    return ForStart(status, options.data_dir);
  }
  const absl::Status deleted = parts.jobs->FinishDeletions();
  if (!deleted.ok() && options.log != nullptr) {
    options.log->warn("files of a deleted job are left: {}", std::string(deleted.message()));
  }
  parts.StartRetention(options);
  if (absl::Status status = parts.Listen(*std::move(sockets), options); !status.ok()) return status;
  if (absl::Status status = parts.ServeMetrics(options.metrics); !status.ok()) return status;
  parts.WatchHealth(options.health_interval);
  for (const std::string& warning : WarningsOf(options)) parts.Warn(warning);
  if (!parts.memory.warning.empty()) parts.Warn(parts.memory.warning);
  if (parts.data_dir.is_new()) {
    parts.Inform(parts.data_dir.path() + ": is new: no jobs or artifacts are known");
  }
  parts.Inform(StartLine(options, {parts.scheduler->threads(), parts.memory.plan.bytes,
                                   parts.tokens == nullptr ? 0 : parts.tokens->Table()->size(),
                                   parts.s3->endpoint()}));
  return server;
}

Server::~Server() { Shutdown(std::chrono::milliseconds(0)); }

const std::vector<std::string>& Server::addresses() const { return parts_->addresses; }

const std::string& Server::memory_warning() const { return parts_->memory.warning; }

std::string Server::metrics_address() const {
  return parts_->metrics_endpoint == nullptr ? "" : parts_->metrics_endpoint->address();
}

absl::Status Server::ReloadTokens() {
  return parts_->tokens == nullptr ? absl::OkStatus() : parts_->tokens->Reload();
}

absl::Status Server::ReloadS3Keys() { return parts_->s3->ReloadKeys(); }

std::shared_ptr<grpc::Channel> Server::InProcessChannel() {
  return parts_->grpc_server->InProcessChannel(grpc::ChannelArguments());
}

std::string Server::Shutdown(std::chrono::milliseconds grace) {
  std::string not_kept;
  std::call_once(parts_->shut_down, [&] {
    {
      const std::lock_guard lock(parts_->health_mutex);
      parts_->draining = true;
      if (parts_->grpc_server != nullptr) {
        parts_->grpc_server->GetHealthCheckService()->SetServingStatus(false);
      }
    }
    if (parts_->grpc_server != nullptr) parts_->compression_rpc->Drain();
    if (parts_->scheduler != nullptr) parts_->scheduler->Shutdown();
    parts_->EndCalls(grace);
    if (parts_->scheduler == nullptr) return;
    if (parts_->keeps_index && parts_->grpc_server != nullptr) {
      parts_->Inform("calls have ended: writing the index of the search");
    }
    not_kept = parts_->SaveIndex();
  });
  return not_kept;
}

}  // namespace seedlm::server
