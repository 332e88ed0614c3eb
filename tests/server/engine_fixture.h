// A server's engine without the network, in a directory of its own.
#pragma once

#include <spdlog/logger.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "server/jobs/job_events.h"
#include "server/jobs/sqlite_job_store.h"
#include "server/scheduler/artifact_service.h"
#include "server/scheduler/job_service.h"
#include "server/scheduler/s3_leftovers.h"
#include "server/scheduler/scheduler.h"
#include "server/storage/artifact_stores.h"
#include "server/storage/data_dir.h"
#include "server/storage/storage_roots.h"
#include "tests/server/checkpoints.h"
#include "tests/server/fake_backend.h"
#include "tests/server/temporary_directory.h"

namespace seedlm::server {

inline int64_t SystemNow() {
  return std::chrono::nanoseconds(std::chrono::system_clock::now().time_since_epoch()).count();
}

// Everything that lives as long as one server process. Files live in `directory`, longer.
class Engine {
 public:
  // Puts another store before the real one.
  using WrapStore = std::function<std::unique_ptr<JobStore>(std::unique_ptr<JobStore>)>;

  // Backend "fake" (and "auto") is `fake`; other names go to the registry.
  Engine(const std::string& directory, std::shared_ptr<FakeBackend> fake, SchedulerOptions options,
         const WrapStore& wrap, const FaultPoint& fault_point = {}, const s3::Options& s3 = {},
         int64_t max_owner_bytes = 0, std::shared_ptr<spdlog::logger> log = {})
      : data_dir_(DataDir::Open(directory + "/data").value()),
        stores_(
            data_dir_, [](const std::string&) {}, max_owner_bytes),
        artifacts(stores_.Of("")),
        store(SqliteJobStore::Open(data_dir_.database(), SystemNow).value()),
        roots_(StorageRoots::Create({directory}).value()),
        s3_(S3Destination::Open(data_dir_, s3, {}, {[](const std::string&) {}},
                                [this](std::string_view id) { return LeftoverOf(*store, id); })
                .value()),
        locator_(stores_, roots_, *s3_) {
    if (wrap) store = wrap(std::move(store));
    BackendDoor door;
    door.open =
        [fake](std::string_view name) -> absl::StatusOr<std::shared_ptr<const backend::Backend>> {
      if (name != "fake" && name != "auto") return backend::OpenBackend(name);
      if (fake->reopens) fake->lost = false;
      if (fake->lost) return absl::FailedPreconditionError(fake->Health().message());
      return fake;
    };
    const PublisherFactory make_publisher =
        [this](const SinkTarget& target) -> absl::StatusOr<std::unique_ptr<Publisher>> {
      if (target.s3.has_value()) return s3_->MakePublisher(target);
      return RenamePublisher::Make(target);
    };
    scheduler = std::make_unique<Scheduler>(
        Scheduler::Parts{store.get(), &events, &locator_, door, std::move(log), &NoMetrics(),
                         make_publisher, fault_point},
        options);
    service = std::make_unique<JobService>(JobService::Parts{
        store.get(), &events, scheduler.get(), &locator_, make_publisher, fault_point});
    artifact_service =
        std::make_unique<ArtifactService>(ArtifactService::Parts{&stores_, store.get(), &locator_});
  }

  // The job when it has ended. Fails the test after a minute.
  JobRecord WaitForEnd(const std::string& name) {
    return WaitFor(name, [](const JobRecord& job) { return HasEnded(job.state); });
  }
  template <typename Condition>
  JobRecord WaitFor(const std::string& name, Condition condition) {
    struct Signal {
      std::mutex mutex;
      std::condition_variable changed;
      int count = 0;
    };
    const auto signal = std::make_shared<Signal>();
    const auto subscription = service->Watch(name, [signal] {
      const std::lock_guard lock(signal->mutex);
      ++signal->count;
      signal->changed.notify_all();
    });
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    for (int seen = 0;;) {
      JobRecord job = service->Get(name).value();
      if (condition(job)) return job;
      std::unique_lock lock(signal->mutex);
      const bool in_time =
          signal->changed.wait_until(lock, deadline, [&] { return signal->count != seen; });
      INFO(name << " is " << Name(job.state));
      REQUIRE(in_time);
      seen = signal->count;
    }
  }

 private:
  DataDir data_dir_;
  ArtifactStores stores_;

 public:
  ArtifactStore& artifacts;
  std::unique_ptr<JobStore> store;
  JobEvents events;

 private:
  StorageRoots roots_;
  std::unique_ptr<S3Destination> s3_;
  SourceLocator locator_;

 public:
  std::unique_ptr<Scheduler> scheduler;
  std::unique_ptr<JobService> service;
  std::unique_ptr<ArtifactService> artifact_service;
};

// A directory with an engine that can be stopped and started again.
class EngineFixture {
 public:
  EngineFixture() { std::filesystem::create_directory(directory / "out"); }

  void Start(SchedulerOptions options = {}) {
    Compose(options);
    REQUIRE(engine->scheduler->Start().ok());
  }
  void Compose(SchedulerOptions options = {}) {
    engine.reset();
    if (options.threads == 0) options.threads = 2;
    engine = std::make_unique<Engine>(directory.path(), fake, options, wrap_store, fault_point, s3,
                                      max_owner_bytes, log);
  }

  std::string Uri(const std::string& name) const {
    return "file://" + directory.path() + "/" + name;
  }
  JobRequest Request(const std::string& in, const std::string& out) const {
    JobRequest request;
    request.source.uri = Uri(in);
    request.destination.uri = Uri("out/" + out);
    request.spec.backend = "fake";
    return request;
  }
  std::string Create(const JobRequest& request) {
    const absl::StatusOr<JobRecord> job = engine->service->Create(request, "", false);
    INFO(job.status());
    REQUIRE(job.ok());
    return job->name;
  }
  JobRecord Run(const JobRequest& request) { return engine->WaitForEnd(Create(request)); }
  // The record of a job is final a moment before the scheduler lets go of the job.
  void AwaitIdle() const {
    for (int i = 0; i < 1000 && engine->scheduler->active_jobs() != 0; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    CHECK(engine->scheduler->active_jobs() == 0);
  }
  std::set<std::string> Outputs() const { return ListTree(directory / "out"); }

  TemporaryDirectory directory;
  std::shared_ptr<FakeBackend> fake = std::make_shared<FakeBackend>();
  Engine::WrapStore wrap_store;  // empty: the real store
  FaultPoint fault_point;
  s3::Options s3;  // no keys: there is no S3 server
  int64_t max_owner_bytes = 0;
  std::shared_ptr<spdlog::logger> log;  // null: none
  std::unique_ptr<Engine> engine;
};

}  // namespace seedlm::server
