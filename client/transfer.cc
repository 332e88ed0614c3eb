#include "client/transfer.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/job_request.h"

namespace seedlm::client {
namespace {

constexpr char kSourceLabel[] = "seedlm-source";
constexpr char kDirectory[] = "directory";

}  // namespace

void SetSource(const UploadedArtifact& artifact, v1::Job& job) {
  job.mutable_source()->set_artifact(artifact.name);
  if (artifact.is_directory) (*job.mutable_labels())[kSourceLabel] = kDirectory;
}

bool IsSingleFile(const v1::Job& job) {
  if (job.output_files_size() != 1 || job.output_file_count() > 1) return false;
  const std::string& path = job.output_files(0).path();
  if (absl::StrContains(path, '/')) return false;
  // A file that the server read itself keeps its name; a directory has another one than its file.
  if (job.source().has_uri()) {
    return absl::EndsWith(PathOfUri(job.source().uri()), absl::StrCat("/", path));
  }
  const auto label = job.labels().find(kSourceLabel);
  return label == job.labels().end() || label->second != kDirectory;
}

TransferMeter::TransferMeter(const TransferContext& context, int64_t total)
    : context_(context), view_{.total = total, .bytes = true} {}

void TransferMeter::Moved(int64_t bytes, const std::string& file) {
  moved_ += bytes;
  view_.done += bytes;
  Report(file);
}

void TransferMeter::Found(int64_t bytes, const std::string& file) {
  view_.done += bytes;
  Report(file);
}

void TransferMeter::Report(const std::string& file) {
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start_;
  view_.current = file;
  view_.rate = elapsed.count() > 0 ? static_cast<double>(moved_) / elapsed.count() : 0;
  view_.eta_seconds =
      view_.rate > 0 ? static_cast<double>(view_.total - view_.done) / view_.rate : 0;
  context_.on_progress(view_);
}

}  // namespace seedlm::client
