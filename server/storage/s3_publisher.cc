#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/format/atomic_file.h"
#include "kernels/format/text.h"
#include "server/errors/reason.h"
#include "server/storage/s3_publisher.h"

namespace seedlm::server {
namespace {

// A stop while objects are being completed: for so long they may still be.
constexpr std::chrono::milliseconds kCompletionGrace{3000};

// Bytes [offset, offset + size) of a file, as a request sends them.
s3::Body BodyOf(int fd, std::string path, int64_t offset, int64_t size) {
  return {
      size, [fd, path = std::move(path), offset](int64_t at, std::span<char> buffer) {
        for (size_t done = 0; done < buffer.size();) {
          const ssize_t count = pread(fd, buffer.data() + done, buffer.size() - done,
                                      static_cast<off_t>(offset + at + static_cast<int64_t>(done)));
          if (count < 0 && errno == EINTR) continue;
          if (count < 0) return format::ErrnoToStatus(errno, path, "read");
          if (count == 0) {
            return absl::InternalError(absl::StrCat(format::Printable(path), ": became shorter"));
          }
          done += static_cast<size_t>(count);
        }
        return absl::OkStatus();
      }};
}

// Who finds one of these finds everything that it speaks of: they come last, in this order.
int Rank(const std::string& path) {
  if (path == "config.json") return 1;
  const bool index = path.find(".safetensors.index.") != std::string::npos;
  return index && path.ends_with(".json") ? 2 : 0;
}

std::string OwnerOf(const SinkTarget& target) { return absl::StrCat("jobs/", target.id); }

// Requests a stop some time after another one was requested.
class LateStop {
 public:
  LateStop(const std::stop_token& stop, std::chrono::milliseconds grace)
      : wake_(stop,
              [this] {
                { const std::lock_guard lock(mutex_); }  // the thread is not about to wait
                changed_.notify_all();
              }),
        thread_([this, stop, grace](const std::stop_token& done) {
          std::unique_lock lock(mutex_);
          changed_.wait(lock, done, [&stop] { return stop.stop_requested(); });
          changed_.wait_for(lock, done, grace, [] { return false; });
          if (!done.stop_requested()) late_.request_stop();
        }) {}
  std::stop_token token() const { return late_.get_token(); }

 private:
  std::stop_source late_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::stop_callback<std::function<void()>> wake_;
  std::jthread thread_;  // last: it uses all the above
};

}  // namespace

S3Publisher::S3Publisher(SinkTarget target, Parts parts)
    : target_(std::move(target)), parts_(std::move(parts)) {}

S3Publisher::~S3Publisher() {
  for (std::jthread& thread : threads_) thread.request_stop();
  threads_.clear();  // joins
  claim_ = {};
  if (ledger_ != nullptr) parts_.sweeper->Take(ledger_->path());
}

s3::ObjectName S3Publisher::NameOf(const std::string& relative_path) const {
  return {target_.s3->bucket, absl::StrCat(target_.s3->prefix, "/", relative_path)};
}

std::string S3Publisher::Owner() const { return OwnerOf(target_); }

s3::Existing S3Publisher::existing() const {
  return target_.overwrite ? s3::Existing::kReplace : s3::Existing::kKeep;
}

absl::Status S3Publisher::Check(s3::Client& client, const SinkTarget& target,
                                const S3Patience& patience) {
  const std::string& bucket = target.s3->bucket;
  const absl::StatusOr<std::string> first = client.FirstKey(
      bucket, absl::StrCat(target.s3->prefix, "/"), patience.stop, patience.attempts);
  if (!first.ok()) return first.status();
  if (first->empty() || target.overwrite) return absl::OkStatus();
  const auto info = client.HeadObject({bucket, *first}, patience.stop, patience.attempts);
  if (!info.ok()) return info.status();
  if (!info->has_value() || (*info)->owner == OwnerOf(target)) return absl::OkStatus();
  return WithReason(
      absl::AlreadyExistsError(
          absl::StrCat(s3::ToUri({bucket, *first}),
                       ": already exists; choose another prefix, or ask for it to be overwritten")),
      "OUTPUT_EXISTS");
}

absl::StatusOr<bool> S3Publisher::WasPublished(const std::string&,
                                               const std::vector<StoredFile>& files,
                                               std::stop_token stop) {
  if (!parts_.why_not.ok()) return parts_.why_not;
  // Before the objects are looked for: those of a ledger that wants them undone may be on their way
  // out, and are gone when the ledger is.
  for (const std::string& path : S3Ledger::FindOf(parts_.ledgers, target_.id)) {
    const absl::StatusOr<LedgerContent> content = S3Ledger::Read(path);
    if (absl::IsNotFound(content.status())) continue;
    if (!content.ok()) return content.status();
    if (!content->undo.empty()) return false;
  }
  for (const StoredFile& file : files) {
    const auto info = parts_.client->HeadObject(NameOf(file.path), stop);
    if (!info.ok()) return info.status();
    if (!info->has_value() || (*info)->owner != Owner() || (*info)->size != file.size) return false;
  }
  return true;
}

absl::Status S3Publisher::Begin(const Staging& staging) {
  if (!parts_.why_not.ok()) return parts_.why_not;
  staging_ = staging;
  waits_ = s3::WaitScope::Current();
  absl::Status status = Check(*parts_.client, target_, {.attempts = 0, .stop = staging.stop});
  if (!status.ok()) return status;
  // What the attempts before left visible is gone before this one begins: later it would be its
  // own.
  claim_ = parts_.sweeper->ClaimPrefix(*target_.s3);
  for (const std::string& path : S3Ledger::FindOf(parts_.ledgers, target_.id)) {
    status = UndoLedger(*parts_.client, path, staging.stop, parts_.fault_point);
    if (!status.ok()) return status;
  }
  auto ledger = S3Ledger::Create(parts_.ledgers, target_.id, target_.s3->bucket);
  if (!ledger.ok()) return ledger.status();
  ledger_ = *std::move(ledger);
  return absl::OkStatus();
}

absl::StatusOr<S3Publisher::Object*> S3Publisher::AddObject(const std::string& relative_path) {
  std::unique_ptr<Object>& slot = objects_[relative_path];
  if (slot != nullptr) return slot.get();
  const std::string path = absl::StrCat(staging_.directory, "/", relative_path);
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info {};
  if (!fd || fstat(fd.get(), &info) != 0) return format::ErrnoToStatus(errno, path, "open");
  const int64_t size = std::max<int64_t>(info.st_size, 1);
  slot = std::make_unique<Object>(Object{.name = NameOf(relative_path),
                                         .path = path,
                                         .fd = std::move(fd),
                                         .plan = PartPlan(size, parts_.transfer.part_bytes)});
  slot->tags.resize(static_cast<size_t>(slot->plan.parts()));
  return slot.get();
}

absl::Status S3Publisher::RangeIsFinal(const FinalRange& range) {
  const std::lock_guard lock(mutex_);
  if (!failure_.ok()) return failure_;
  const absl::StatusOr<Object*> object = AddObject(staging_.outputs[range.output]);
  if (!object.ok()) return object.status();
  const auto whole =
      (*object)->plan.Add(static_cast<int64_t>(range.offset), static_cast<int64_t>(range.length));
  if (!whole.ok()) {
    return absl::Status(whole.status().code(),
                        absl::StrCat((*object)->path, ": ", whole.status().message()));
  }
  if ((*object)->plan.parts() > 1) Enqueue(**object, *whole);  // others are put at the end
  return absl::OkStatus();
}

// REQUIRES: mutex_ is held.
void S3Publisher::Enqueue(Object& object, const std::vector<FilePart>& parts) {
  for (const FilePart& part : parts) tasks_.push_back({&object, part});
  while (!tasks_.empty() && threads_.size() < static_cast<size_t>(parts_.transfer.parallel)) {
    threads_.emplace_back([this](const std::stop_token& stop) { Run(stop); });
  }
  changed_.notify_all();
}

void S3Publisher::Run(const std::stop_token& stop) {
  const s3::WaitScope waits(waits_);
  std::unique_lock lock(mutex_);
  while (changed_.wait(lock, stop, [this] { return !tasks_.empty() && failure_.ok(); }) &&
         !stop.stop_requested()) {
    const Task task = tasks_.front();
    tasks_.pop_front();
    ++sending_;
    lock.unlock();
    absl::Status status = Send(task, stop);
    lock.lock();
    --sending_;
    if (!status.ok() && failure_.ok()) failure_ = std::move(status);
    changed_.notify_all();
  }
}

// Whoever comes first asks, the others wait.
absl::StatusOr<std::string> S3Publisher::UploadId(Object& object, const std::stop_token& stop) {
  {
    std::unique_lock lock(mutex_);
    if (std::exchange(object.asked, true)) {
      changed_.wait(lock, stop, [&] { return !object.upload_id.empty() || !failure_.ok(); });
      if (!failure_.ok()) return failure_;
      if (object.upload_id.empty()) return absl::CancelledError("stopped on request");
      return object.upload_id;
    }
  }
  absl::Status status = ledger_->Begin(object.name.key, parts_.unix_seconds());
  if (!status.ok()) return status;
  Reach(parts_.fault_point, "s3.begun");
  bool repeated = false;
  absl::StatusOr<std::string> id =
      parts_.client->CreateUpload(object.name, Owner(), stop, &repeated);
  if (!id.ok()) return id.status();
  Reach(parts_.fault_point, "s3.created");
  // Of two uploads the ledger knows one by its id; the entry of the other goes by its key.
  if (repeated) status = ledger_->Begin(object.name.key, parts_.unix_seconds());
  if (status.ok()) status = ledger_->Opened(object.name.key, *id);
  if (!status.ok()) return status;
  Reach(parts_.fault_point, "s3.opened");
  const std::lock_guard lock(mutex_);
  object.upload_id = *id;
  changed_.notify_all();
  return id;
}

absl::Status S3Publisher::Send(const Task& task, const std::stop_token& stop) {
  Object& object = *task.object;
  const absl::StatusOr<std::string> id = UploadId(object, stop);
  if (!id.ok()) return id.status();
  const absl::StatusOr<s3::PartTag> tag = parts_.client->UploadPart(
      object.name, *id, task.part.number,
      BodyOf(object.fd.get(), object.path, task.part.offset, task.part.size), stop);
  if (!tag.ok()) return tag.status();
  Reach(parts_.fault_point, "s3.sent");
  const std::lock_guard lock(mutex_);
  object.tags[static_cast<size_t>(task.part.number) - 1] = *tag;
  return absl::OkStatus();
}

absl::StatusOr<std::string> S3Publisher::Intent() { return std::string("s3"); }

absl::Status S3Publisher::Drain(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, stop, [this] { return !failure_.ok() || (tasks_.empty() && sending_ == 0); });
  if (!failure_.ok()) return failure_;
  if (stop.stop_requested()) {
    return absl::CancelledError(absl::StrCat("s3://", target_.s3->bucket, "/", target_.s3->prefix,
                                             ": stopped on request before it was published"));
  }
  return absl::OkStatus();
}

absl::Status S3Publisher::Publish(const std::vector<StoredFile>& files, std::stop_token stop) {
  {
    const std::lock_guard lock(mutex_);
    for (const StoredFile& file : files) {
      const bool announced = objects_.contains(file.path);
      const absl::StatusOr<Object*> object = AddObject(file.path);
      if (!object.ok()) return object.status();
      PartPlan& plan = (*object)->plan;
      if (announced && !plan.complete()) {
        return absl::InternalError(absl::StrCat((*object)->path, ": not all of it became final"));
      }
      if (announced || plan.parts() == 1) continue;
      const auto parts = plan.Add(0, plan.size());  // such as a large tokenizer: copied at the end
      if (!parts.ok()) return parts.status();
      Enqueue(**object, *parts);
    }
  }
  if (absl::Status status = Drain(stop); !status.ok()) return status;
  const LateStop late(stop, kCompletionGrace);
  const absl::Status status = CompleteAll(files, late.token());
  if (!status.ok()) Undo(stop);
  return status;
}

absl::Status S3Publisher::CompleteAll(const std::vector<StoredFile>& files,
                                      const std::stop_token& stop) {
  std::vector<const StoredFile*> order;
  for (const StoredFile& file : files) order.push_back(&file);
  std::stable_sort(order.begin(), order.end(), [](const StoredFile* a, const StoredFile* b) {
    return Rank(a->path) < Rank(b->path);
  });
  for (const StoredFile* file : order) {
    if (absl::Status status = Complete(*file, stop); !status.ok()) return status;
    Reach(parts_.fault_point, "s3.made");
  }
  return absl::OkStatus();
}

absl::Status S3Publisher::Complete(const StoredFile& file, const std::stop_token& stop) {
  Object& object = *objects_.at(file.path);
  made_.push_back(object.name);  // perhaps: of an error nobody knows what the server has done
  if (object.plan.parts() == 1) {
    return parts_.client->PutObject(object.name, BodyOf(object.fd.get(), object.path, 0, file.size),
                                    existing(), Owner(), stop);
  }
  absl::Status status =
      parts_.client
          ->CompleteUpload(object.name, object.upload_id, object.tags, existing(), Owner(), stop)
          .status();
  if (!status.ok()) return status;
  Reach(parts_.fault_point, "s3.completed");
  return ledger_->Closed(object.name.key);
}

// What cannot be removed now, as during an outage or after a stop, is the sweeper's.
void S3Publisher::Undo(const std::stop_token& stop) {
  if (target_.overwrite) return;  // what was replaced does not come back
  for (const s3::ObjectName& object : made_) (void)ledger_->Undo(object.key, Owner());
  Reach(parts_.fault_point, "s3.undo_written");
  for (const s3::ObjectName& object : made_) {
    if (stop.stop_requested() || !RemoveOwned(*parts_.client, object, Owner(), stop).ok()) return;
    Reach(parts_.fault_point, "s3.removed");
  }
}

absl::Status S3Publisher::Discard() { return RemoveLeftovers(target_); }

}  // namespace seedlm::server
