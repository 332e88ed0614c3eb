#include "server/storage/s3_publisher.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/errors/reason.h"
#include "server/storage/s3/etag.h"

namespace seedlm::server {
namespace {

// A stop while objects are being completed: for so long they may still be.
constexpr std::chrono::milliseconds kCompletionGrace{3000};

// Who finds one of these finds everything that it speaks of: they come last, in this order.
int Rank(const std::string& path) {
  if (path == "config.json") return 1;
  const bool index = path.find(".safetensors.index.") != std::string::npos;
  return index && path.ends_with(".json") ? 2 : 0;
}

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
  if (ledger_ == nullptr) return;
  if (keep_open_ && !undoing_) return;
  if (!published_) {
    if (const absl::Status status = WantUndone(*ledger_); !status.ok()) {
      parts_.warn(absl::StrCat(
          ledger_->path(), ": what was made is not removed yet: ", std::string(status.message())));
      return;
    }
  }
  claim_ = {};
  parts_.sweeper->Take(ledger_->path());
}

s3::ObjectName S3Publisher::NameOf(const std::string& relative_path) const {
  return {target_.s3->bucket, absl::StrCat(target_.s3->prefix, "/", relative_path)};
}

std::string S3Publisher::OwnerOf(std::string_view id) {
  return absl::StrCat("jobs/", std::string(id));
}

std::string S3Publisher::Owner() const { return OwnerOf(target_.id); }

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
  if (!info->has_value() || (*info)->owner == OwnerOf(target.id)) return absl::OkStatus();
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
    if (!content.ok() || !content->undo.empty()) return false;  // or nobody knows
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
  absl::StatusOr<S3Sweeper::Claim> claim = parts_.sweeper->ClaimPrefix(*target_.s3, staging.stop);
  if (!claim.ok()) return claim.status();
  claim_ = *std::move(claim);
  std::vector<std::string> ledgers = S3Ledger::FindOf(parts_.ledgers, target_.id);
  std::reverse(ledgers.begin(), ledgers.end());  // of several the latest has most
  // What the attempts before want undone is gone before this one begins: later it would be its own.
  for (const std::string& path : ledgers) {
    if (!S3Ledger::Read(path).ok()) continue;
    status = UndoLedger(*parts_.client, path, staging.stop, parts_.fault_point);
    if (!status.ok()) return status;
  }
  for (const std::string& path : ledgers) {  // none is taken before that, so none is given up
    if (status = TakeBack(path); !status.ok()) return status;
  }
  if (ledger_ == nullptr) {
    auto ledger = S3Ledger::Create(parts_.ledgers, target_.id, target_.s3->bucket);
    if (!ledger.ok()) return ledger.status();
    ledger_ = *std::move(ledger);
  }
  door_ = {parts_.client,       ledger_.get(),      Owner(),
           parts_.unix_seconds, parts_.fault_point, parts_.inform};
  return absl::OkStatus();
}

absl::Status S3Publisher::TakeBack(const std::string& ledger_path) {
  const absl::StatusOr<LedgerContent> content = S3Ledger::Read(ledger_path);
  const bool wanted = content.ok() && content->bucket == target_.s3->bucket && ledger_ == nullptr;
  if (!wanted) {
    parts_.sweeper->Take(ledger_path);
    return absl::OkStatus();
  }
  if (!parts_.sweeper->GiveBack(ledger_path)) return absl::OkStatus();  // it is being swept
  absl::StatusOr<S3Ledger::Reopened> reopened = S3Ledger::Reopen(ledger_path);
  if (absl::IsNotFound(reopened.status())) return absl::OkStatus();  // it has been
  if (!reopened.ok()) return reopened.status();
  ledger_ = std::move(reopened->ledger);
  earlier_ = std::move(reopened->content);
  return absl::OkStatus();
}

absl::StatusOr<S3Publisher::Object*> S3Publisher::AddObject(const std::string& relative_path) {
  std::unique_ptr<Object>& slot = objects_[relative_path];
  if (slot != nullptr) return slot.get();
  s3::ObjectName name = NameOf(relative_path);
  const LedgerEntry* const earlier = earlier_.Find(name.key);
  absl::StatusOr<std::unique_ptr<S3Upload>> upload =
      S3Upload::Open(door_, std::move(name), absl::StrCat(staging_.directory, "/", relative_path),
                     parts_.transfer.part_bytes, earlier);
  if (!upload.ok()) return upload.status();
  const PartPlan plan = (*upload)->plan();
  slot = std::make_unique<Object>(Object{*std::move(upload), plan});
  return slot.get();
}

absl::Status S3Publisher::RangeIsFinal(const FinalRange& range) {
  const std::lock_guard lock(mutex_);
  if (!failure_.ok()) return failure_;
  const absl::StatusOr<Object*> object = AddObject(staging_.outputs[range.output]);
  if (!object.ok()) return object.status();
  const S3Upload& upload = *(*object)->upload;
  const auto whole =
      (*object)->plan.Add(static_cast<int64_t>(range.offset), static_cast<int64_t>(range.length));
  if (!whole.ok()) {
    return absl::Status(whole.status().code(),
                        absl::StrCat(upload.path(), ": ", whole.status().message()));
  }
  // What is no longer than a part is put at the end.
  if (upload.plan().parts() > 1 && !MayBeMade(upload.name())) Enqueue(**object, *whole);
  return absl::OkStatus();
}

// REQUIRES: mutex_ is held.
void S3Publisher::Enqueue(Object& object, const std::vector<FilePart>& parts) {
  for (const FilePart& part : parts) tasks_.push_back({object.upload.get(), part});
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
    absl::Status status = task.upload->Send(task.part, stop);
    lock.lock();
    --sending_;
    if (!status.ok() && failure_.ok()) failure_ = std::move(status);
    changed_.notify_all();
  }
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

// Whether an earlier attempt made the object of this file: of these bytes, by what was recorded
// before and after, and it is still that one.
absl::StatusOr<bool> S3Publisher::WasMade(const StoredFile& file,
                                          const std::stop_token& stop) const {
  const s3::ObjectName name = NameOf(file.path);
  const auto known = earlier_.objects.find(name.key);
  if (known == earlier_.objects.end() || known->second.sha256 != file.sha256) return false;
  const auto info = parts_.client->HeadObject(name, stop);
  if (!info.ok()) return info.status();
  return info->has_value() && (*info)->owner == Owner() && (*info)->size == file.size &&
         s3::SameEtag((*info)->etag, known->second.etag);
}

// Of files that RangeIsFinal has not sent: copies, such as a large tokenizer, and those that an
// earlier attempt may have made.
absl::Status S3Publisher::SendRest(const StoredFile& file, const std::stop_token& stop) {
  const absl::StatusOr<bool> made = WasMade(file, stop);
  if (!made.ok()) return made.status();
  const std::lock_guard lock(mutex_);
  const bool announced = objects_.contains(file.path);
  const absl::StatusOr<Object*> added = AddObject(file.path);
  if (!added.ok()) return added.status();
  Object& object = **added;
  if (announced && !object.plan.complete()) {
    return absl::InternalError(absl::StrCat(object.upload->path(), ": not all of it became final"));
  }
  object.made = *made;
  const bool sent = announced && !MayBeMade(object.upload->name());
  if (object.made || sent || object.plan.parts() == 1) return absl::OkStatus();
  std::vector<FilePart> parts;
  for (int i = 0; i < object.plan.parts(); ++i) parts.push_back(object.plan.part(i));
  Enqueue(object, parts);
  return absl::OkStatus();
}

absl::Status S3Publisher::Publish(const std::vector<StoredFile>& files, std::stop_token stop) {
  for (const StoredFile& file : files) {
    if (absl::Status status = SendRest(file, stop); !status.ok()) return status;
  }
  if (absl::Status status = Drain(stop); !status.ok()) return status;
  const LateStop late(stop, kCompletionGrace);
  absl::Status status = CompleteAll(files, late.token());
  published_ = status.ok();
  if (!published_ && !stop.stop_requested()) Undo(stop);
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
  const Object& object = *objects_.at(file.path);
  S3Upload& upload = *object.upload;
  if (object.made) return absl::OkStatus();
  if (object.plan.parts() > 1) return upload.Complete(file.sha256, existing(), stop);
  absl::Status status = ledger_->Completing(upload.name().key, file.sha256, "");
  if (!status.ok()) return status;
  return parts_.client->PutObject(upload.name(), upload.BodyOf(0, file.size), existing(), Owner(),
                                  stop);
}

absl::Status S3Publisher::WantUndone(S3Ledger& ledger, std::vector<std::string>* keys) const {
  return target_.overwrite ? absl::OkStatus() : ledger.UndoAll(Owner(), keys);
}

// What cannot be removed now, as during an outage or after a stop, is the sweeper's.
void S3Publisher::Undo(const std::stop_token& stop) {
  std::vector<std::string> keys;
  (void)WantUndone(*ledger_, &keys);  // once more at the end
  undoing_ = !keys.empty();
  Reach(parts_.fault_point, "s3.undo_written");
  for (const std::string& key : keys) {
    const s3::ObjectName object{target_.s3->bucket, key};
    if (stop.stop_requested() ||
        !RemoveOwned(*parts_.client, object, Owner(), stop, kSweepAttempts).ok())
      return;
    Reach(parts_.fault_point, "s3.removed");
  }
}

absl::Status S3Publisher::Abandon() {
  absl::Status first;
  for (const std::string& path : S3Ledger::FindOf(parts_.ledgers, target_.id)) {
    if (parts_.sweeper != nullptr && !parts_.sweeper->GiveBack(path))
      continue;  // it is being swept
    const absl::StatusOr<S3Ledger::Reopened> reopened = S3Ledger::Reopen(path);
    // The sweeper warns of one that is none.
    const absl::Status status = reopened.ok() ? WantUndone(*reopened->ledger) : absl::OkStatus();
    if (!status.ok()) {
      not_undone_.insert(path);
      first.Update(status);
    } else if (parts_.sweeper != nullptr) {
      parts_.sweeper->Take(path);
    }
  }
  return first;
}

absl::Status S3Publisher::Discard() {
  if (parts_.sweeper != nullptr) {
    for (const std::string& path : S3Ledger::FindOf(parts_.ledgers, target_.id)) {
      const bool at_it = ledger_ != nullptr && path == ledger_->path();
      if (!at_it && !not_undone_.contains(path)) parts_.sweeper->Take(path);
    }
  }
  return RemoveLeftovers(target_);
}

}  // namespace seedlm::server
