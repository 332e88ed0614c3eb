// A job store that fails when a test wants it to.
#pragma once

#include <atomic>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "server/jobs/job_store.h"

namespace seedlm::server {

class FlakyJobStore : public JobStore {
 public:
  // Ends of jobs that are not taken; counts down. Shared, as the store belongs to an engine.
  using Failures = std::shared_ptr<std::atomic<int>>;

  FlakyJobStore(std::unique_ptr<JobStore> store, Failures failures)
      : store_(std::move(store)), failures_(std::move(failures)) {}

  absl::StatusOr<JobRecord> Update(std::string_view name, const JobUpdate& update) override {
    if (HasEnded(update.to) && failures_->fetch_sub(1) > 0) {
      return absl::ResourceExhaustedError("the disk of the store is full");
    }
    return store_->Update(name, update);
  }
  absl::StatusOr<InsertResult> Insert(const JobRecord& job, const RequestKey& key) override {
    return store_->Insert(job, key);
  }
  absl::StatusOr<std::optional<JobRecord>> FindRequest(const RequestKey& key) override {
    return store_->FindRequest(key);
  }
  absl::StatusOr<JobRecord> Get(std::string_view name) override { return store_->Get(name); }
  absl::StatusOr<JobPage> List(const JobQuery& query) override { return store_->List(query); }
  absl::StatusOr<int64_t> AppendEvent(std::string_view name,
                                      const std::variant<TensorResult, Warning>& body) override {
    return store_->AppendEvent(name, body);
  }
  absl::StatusOr<EventPage> ReadEvents(std::string_view name, const EventQuery& query) override {
    return store_->ReadEvents(name, query);
  }
  absl::StatusOr<std::vector<JobRecord>> Unfinished() override { return store_->Unfinished(); }
  absl::StatusOr<std::optional<JobRecord>> NeededBy(std::string_view owner,
                                                    std::string_view artifact) override {
    return store_->NeededBy(owner, artifact);
  }
  absl::StatusOr<JobWork> ReadWork(std::string_view name) override {
    return store_->ReadWork(name);
  }
  absl::Status BeginWork(std::string_view name, const WorkIdentity& identity) override {
    return store_->BeginWork(name, identity);
  }
  absl::Status RecordWork(std::string_view name, const WorkBatch& batch) override {
    return store_->RecordWork(name, batch);
  }
  absl::Status RecordPublication(std::string_view name, const Publication& publication) override {
    return store_->RecordPublication(name, publication);
  }
  absl::StatusOr<JobRecord> BeginDelete(std::string_view name, std::string_view etag) override {
    return store_->BeginDelete(name, etag);
  }
  absl::Status EndDelete(std::string_view name) override { return store_->EndDelete(name); }
  absl::StatusOr<std::vector<JobRecord>> Deletions() override { return store_->Deletions(); }
  absl::StatusOr<std::vector<std::string>> EndedBefore(int64_t time_ns, int limit) override {
    return store_->EndedBefore(time_ns, limit);
  }

 private:
  const std::unique_ptr<JobStore> store_;
  const Failures failures_;
};

}  // namespace seedlm::server
