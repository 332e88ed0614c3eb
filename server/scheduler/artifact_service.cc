#include "server/scheduler/artifact_service.h"

#include <spdlog/logger.h>

#include <algorithm>
#include <limits>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "kernels/checksum/sha256.h"
#include "kernels/format/text.h"
#include "kernels/verify/packed_checkpoint.h"
#include "kernels/verify/planes_check.h"
#include "server/errors/invalid_field.h"
#include "server/errors/reason.h"
#include "server/log/log_scope.h"
#include "server/scheduler/deletion_log.h"
#include "server/scheduler/work_identity.h"

namespace seedlm::server {
namespace {

constexpr char kPrefix[] = "artifacts/";

// The job that made a result; none: it was uploaded, or its job is not known any more.
absl::StatusOr<std::optional<JobRecord>> MakerOf(JobStore& jobs, std::string_view owner,
                                                 const std::string& id) {
  absl::StatusOr<JobRecord> job = jobs.Get(absl::StrCat("jobs/", id));
  if (absl::IsNotFound(job.status())) return std::optional<JobRecord>();
  if (!job.ok()) return job.status();
  if (job->request.owner != owner || job->output_artifact != absl::StrCat(kPrefix, id))
    return std::optional<JobRecord>();
  return std::optional<JobRecord>(*std::move(job));
}

struct Place {
  std::string owner;
  std::string id;
};

// The last artifact of the page before: "artifacts/ID", or "OWNER/artifacts/ID" of all owners.
absl::StatusOr<Place> LastOf(const std::optional<std::string>& owner, std::string_view token) {
  Place last{owner.value_or(""), ""};
  if (token.empty()) return last;
  if (!owner) {
    const size_t slash = std::min(token.find('/'), token.size());
    last.owner = std::string(token.substr(0, slash));
    token.remove_prefix(std::min(slash + 1, token.size()));
  }
  absl::StatusOr<std::string> id = ParseArtifactName(token, "page_token");
  if (!id.ok()) return InvalidField("page_token", "is not one that was given; start without it");
  last.id = *std::move(id);
  return last;
}

// Files that are not what the job recorded.
absl::Status CheckSums(const JobRecord& job, const std::string& directory,
                       const std::stop_token& stop, ArtifactCheck& check) {
  for (const OutputFile& file : job.output_files) {
    const absl::StatusOr<std::string> sum =
        checksum::Sha256OfFile(absl::StrCat(directory, "/", file.path), stop);
    if (absl::IsCancelled(sum.status())) return sum.status();
    ++check.files_summed;
    if (!sum.ok()) {
      check.problems.push_back(absl::StrCat("file '", format::Printable(file.path),
                                            "': ", std::string(sum.status().message())));
    } else if (*sum != file.sha256) {
      check.problems.push_back(absl::StrCat("file '", format::Printable(file.path),
                                            "': its SHA-256 is ", *sum, ", not ", file.sha256,
                                            " as when it was made"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckAgainst(const verify::PackedCheckpoint& packed, const format::Checkpoint& source,
                          const verify::VerifyOptions& options, const std::stop_token& stop,
                          ArtifactCheck& check) {
  absl::StatusOr<verify::VerifyReport> report =
      verify::Verify(packed, source, options, stop, [](const verify::VerifyProgress&) {});
  if (!report.ok()) return report.status();
  check.relative_error = report->relative_error();
  check.passed_through = static_cast<int64_t>(report->passed_through.size());
  check.tensors = std::move(report->tensors);
  std::move(report->problems.begin(), report->problems.end(), std::back_inserter(check.problems));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ArtifactRecord> ArtifactService::Describe(std::string_view owner,
                                                         const std::string& id) {
  const absl::StatusOr<ArtifactContent> content = parts_.artifacts->Of(owner).Content(id);
  if (!content.ok()) return content.status();
  ArtifactRecord record;
  record.name = absl::StrCat(kPrefix, id);
  record.arriving_files = content->arriving_files;
  record.arriving_bytes = content->arriving_bytes;
  record.owner = std::string(owner);
  std::map<std::string, std::string, std::less<>> sums;
  if (content->is_result) {
    const auto job = MakerOf(*parts_.jobs, owner, id);
    if (!job.ok()) return job.status();
    if (job->has_value()) {
      record.job = (*job)->name;
      record.create_time_ns = (*job)->end_time_ns;
      for (const OutputFile& file : (*job)->output_files) sums[file.path] = file.sha256;
    }
  }
  if (record.create_time_ns == 0) {
    const absl::StatusOr<int64_t> written = parts_.artifacts->Of(owner).LastWritten(id);
    if (!written.ok()) return written.status();
    record.create_time_ns = *written;
  }
  for (const ArtifactEntry& file : content->files) {
    record.files.push_back({file.path, file.size, sums[file.path]});
  }
  return record;
}

absl::StatusOr<ArtifactPage> ArtifactService::List(const std::optional<std::string>& owner,
                                                   int page_size, std::string_view page_token) {
  if (page_size < 0) return InvalidField("page_size", "is negative");
  const absl::StatusOr<Place> last = LastOf(owner, page_token);
  if (!last.ok()) return last.status();
  const auto size =
      static_cast<size_t>(page_size == 0 ? kDefaultPage : std::min(page_size, kMaxPage));
  std::vector<Place> places;
  for (std::string& name : owner ? std::vector<std::string>{*owner} : parts_.artifacts->Owners()) {
    if (name < last->owner || places.size() > size) continue;
    absl::StatusOr<std::vector<std::string>> ids = parts_.artifacts->Of(name).ListIds(
        name == last->owner ? last->id : "", size + 1 - places.size());
    if (!ids.ok()) return ids.status();
    for (std::string& id : *ids) places.push_back({name, std::move(id)});
  }
  ArtifactPage page;
  if (places.size() > size) {
    places.resize(size);
    page.next_page_token = absl::StrCat(owner ? "" : absl::StrCat(places.back().owner, "/"),
                                        kPrefix, places.back().id);
  }
  for (const Place& place : places) {
    absl::StatusOr<ArtifactRecord> record = Describe(place.owner, place.id);
    if (absl::IsNotFound(record.status())) continue;  // deleted a moment ago
    if (!record.ok()) return record.status();
    page.artifacts.push_back(*std::move(record));
  }
  return page;
}

absl::Status ArtifactService::Delete(std::string_view owner, std::string_view name,
                                     std::string_view by) {
  const absl::StatusOr<std::string> id = ParseArtifactName(name, "name");
  if (!id.ok()) return id.status();
  std::unique_lock held = parts_.artifacts->Hold();
  const absl::StatusOr<std::optional<JobRecord>> job = parts_.jobs->NeededBy(owner, name);
  if (!job.ok()) return job.status();
  if (!job->has_value()) {
    absl::Status status = parts_.artifacts->Of(owner).Delete(*id, std::move(held));
    if (status.ok()) LogDeletion(parts_.log, name, owner, by);
    return status;
  }
  const std::string& needs = (*job)->name;
  const std::string_view why =
      HasEnded((*job)->state)
          ? " can be resumed with it, and has kept work; resume that job, or delete it first"
          : " needs it and has not ended; wait for the job, or cancel it first";
  return WithReason(
      absl::FailedPreconditionError(absl::StrCat(std::string(name), ": ", needs, std::string(why))),
      "ARTIFACT_IN_USE", {{"job", needs}});
}

absl::Status ArtifactService::DeleteUploadBefore(std::string_view owner, const std::string& id,
                                                 int64_t time_ns) {
  const ArtifactStore& store = parts_.artifacts->Of(owner);
  const absl::StatusOr<int64_t> written = store.LastWritten(id);
  if (!written.ok()) return written.status();
  if (*written > time_ns) return absl::OkStatus();
  const absl::StatusOr<ArtifactContent> content = store.Content(id);
  if (!content.ok()) return content.status();
  if (content->is_result) return absl::OkStatus();
  return Delete(owner, absl::StrCat(kPrefix, id), kByRetention);
}

absl::Status ArtifactService::DeleteUploadsBefore(int64_t time_ns) {
  absl::Status first;
  for (const std::string& owner : parts_.artifacts->Owners()) {
    const absl::StatusOr<std::vector<std::string>> ids =
        parts_.artifacts->Of(owner).ListIds("", std::numeric_limits<size_t>::max());
    if (!ids.ok()) {
      first.Update(ids.status());
      continue;
    }
    for (const std::string& id : *ids) {
      const absl::Status status = DeleteUploadBefore(owner, id, time_ns);
      const bool for_now = ReasonOf(status) == "ARTIFACT_IN_USE" ||
                           ReasonOf(status) == "UPLOAD_BUSY" || absl::IsNotFound(status);
      if (!for_now) first.Update(status);
    }
  }
  return first;
}

absl::StatusOr<ArtifactCheck> ArtifactService::Verify(std::string_view owner,
                                                      const VerifyRequest& request,
                                                      const std::stop_token& stop) {
  absl::StatusOr<ArtifactCheck> check = Check(owner, request, stop);
  if (check.ok() && !check->problems.empty() && parts_.log != nullptr) {
    const LogScope scope({{"owner", std::string(owner)}});
    parts_.log->warn("{} was verified and is not what it was: {} in all, the first: {}",
                     request.name, check->problems.size(), check->problems.front());
  }
  return check;
}

absl::StatusOr<ArtifactCheck> ArtifactService::Check(std::string_view owner,
                                                     const VerifyRequest& request,
                                                     const std::stop_token& stop) {
  const absl::StatusOr<std::string> id = ParseArtifactName(request.name, "name");
  if (!id.ok()) return id.status();
  if (request.sample < 0 || request.sample > kMaxSample) {
    return InvalidField("sample_blocks", absl::StrCat("must be 0 .. ", kMaxSample));
  }
  const absl::StatusOr<std::string> path = parts_.artifacts->Of(owner).CheckpointPath(request.name);
  if (!path.ok()) return path.status();
  const absl::StatusOr<std::optional<JobRecord>> job = MakerOf(*parts_.jobs, owner, *id);
  if (!job.ok()) return job.status();

  ArtifactCheck check;
  if (job->has_value()) {
    absl::Status status =
        CheckSums(**job, parts_.artifacts->Of(owner).ResultPath(*id), stop, check);
    if (!status.ok()) return status;
  }
  const absl::StatusOr<verify::PackedCheckpoint> packed = verify::OpenPackedCheckpoint(*path);
  if (absl::IsInvalidArgument(packed.status())) {  // a structure that is damaged
    check.problems.emplace_back(packed.status().message());
    return check;
  }
  if (!packed.ok()) return packed.status();
  if (!packed->compressed()) {
    return absl::FailedPreconditionError(
        absl::StrCat(request.name, ": holds no compressed tensor; there is nothing to verify"));
  }
  if (!job->has_value()) {
    check.why_not_compared = "it is not the result of a job of this server";
  } else {
    absl::Status status = Compare(**job, *packed, request.sample, stop, check);
    if (!status.ok()) return status;
  }
  if (!check.why_not_compared.empty()) {
    absl::StatusOr<std::vector<std::string>> problems =
        verify::CheckPlanes(*packed, parts_.threads, stop);
    if (!problems.ok()) return problems.status();
    std::move(problems->begin(), problems->end(), std::back_inserter(check.problems));
  }
  return check;
}

absl::StatusOr<std::string> ArtifactService::WhyAnother(const JobRecord& job,
                                                        const format::Checkpoint& source) const {
  const absl::StatusOr<JobWork> work = parts_.jobs->ReadWork(job.name);
  if (!work.ok()) return work.status();
  if (!work->identity.has_value()) return std::string("what its source was is not known any more");
  const std::string& artifact = job.request.source.artifact;
  const absl::StatusOr<std::string> now = SourceIdentityOf(source, artifact);
  if (!now.ok()) return std::string(now.status().message());
  const std::string changed = ChangedFile(IdentityWherever(work->identity->source, artifact), *now);
  if (changed.empty()) return changed;
  return std::string(absl::StrCat(changed, ": the source has changed since it was compressed"));
}

absl::Status ArtifactService::Compare(const JobRecord& job, const verify::PackedCheckpoint& packed,
                                      int sample, const std::stop_token& stop,
                                      ArtifactCheck& check) const {
  const absl::StatusOr<format::Checkpoint> source = parts_.locator->OpenSource(job.request);
  if (!source.ok()) {
    check.why_not_compared = std::string(source.status().message());
    return absl::OkStatus();
  }
  absl::StatusOr<std::string> why = WhyAnother(job, *source);
  if (why.ok() && why->empty()) {
    ArtifactCheck compared = check;
    absl::Status status = CheckAgainst(
        packed, *source, {.sample = sample, .threads = parts_.threads}, stop, compared);
    if (absl::IsCancelled(status)) return status;
    why = WhyAnother(job, *source);  // it may have changed meanwhile
    if (why.ok() && why->empty()) {
      if (status.ok()) check = std::move(compared);
      return status;
    }
  }
  if (!why.ok()) return why.status();
  check.why_not_compared = *std::move(why);
  return absl::OkStatus();
}

}  // namespace seedlm::server
