#include "server/scheduler/work_identity.h"

#include <sys/stat.h>

#include <cerrno>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "kernels/checksum/sha256.h"
#include "kernels/format/atomic_file.h"
#include "kernels/format/text.h"
#include "server/errors/reason.h"

namespace seedlm::server {
namespace {

// Of what is hashed below: to be counted up when pieces are cut, or outputs written, differently.
constexpr int kLayoutVersion = 3;
constexpr int64_t kNanoseconds = 1'000'000'000;

// "PATH\tBYTES\tMODIFIED_NS\tINODE": a path may hold anything else but '\n', which is replaced.
absl::StatusOr<std::string> LineOf(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return format::ErrnoToStatus(errno, path, "examine");
  return std::string(absl::StrCat(format::Printable(path), "\t", info.st_size, "\t",
                                  info.st_mtim.tv_sec * kNanoseconds + info.st_mtim.tv_nsec, "\t",
                                  info.st_ino, "\n"));
}

// Of an artifact's "DIRECTORY/artifacts/ID/FILE\tBYTES\tMODIFIED_NS\tINODE" what a copy of the data
// directory keeps, wherever it stands: "artifacts/ID/FILE\tBYTES\tMODIFIED_NS".
std::string WithoutPlace(std::string_view line, const std::string& artifact) {
  const size_t name = line.find(absl::StrCat("/", artifact, "/"));
  if (name == std::string_view::npos) return std::string(line);  // it is so already
  const size_t inode = line.rfind('\t');
  return std::string(line.substr(name + 1, inode - name - 1));
}

void Add(checksum::Sha256& sum, std::string_view text) {
  const std::string framed = absl::StrCat(text.size(), ":", std::string(text));
  sum.Update(std::as_bytes(std::span(framed)));
}

std::string LayoutOf(const format::CompressionPlan& plan, int64_t shard_weights) {
  checksum::Sha256 sum;
  Add(sum, absl::StrCat(kLayoutVersion, " ", shard_weights, " ", kCopyPieceBytes));
  Add(sum, plan.options.profile.name);
  Add(sum, codec::Name(plan.options.fit));
  Add(sum, codec::Name(plan.options.scale));
  for (const format::PlannedTensor& tensor : plan.tensors) {
    Add(sum, absl::StrCat(tensor.file, " ", tensor.compressed, " ", tensor.source->name));
  }
  for (const format::PlannedOutput& output : plan.outputs) {
    Add(sum, output.relative_path);
    Add(sum, output.layout.header());
  }
  return sum.HexDigest();
}

}  // namespace

std::string IdentityWherever(const std::string& source, const std::string& artifact) {
  if (artifact.empty()) return source;
  std::string moved;
  for (const absl::string_view line : absl::StrSplit(source, '\n', absl::SkipEmpty())) {
    moved += WithoutPlace({line.data(), line.size()}, artifact) + "\n";
  }
  return moved;
}

absl::StatusOr<std::string> SourceIdentityOf(const format::Checkpoint& checkpoint,
                                             const std::string& artifact) {
  std::vector<std::string> paths;
  for (const format::CheckpointFile& file : checkpoint.files) {
    paths.push_back(file.file->path());
  }
  for (const std::string& file : checkpoint.other_files) {
    paths.push_back(absl::StrCat(checkpoint.path, "/", file));
  }
  std::string source;
  for (const std::string& path : paths) {
    const absl::StatusOr<std::string> line = LineOf(path);
    if (!line.ok()) return line.status();
    source += *line;
  }
  // The files that were looked at are those whose headers were read.
  for (const format::CheckpointFile& file : checkpoint.files) {
    if (absl::Status status = file.file->CheckUnchanged(); !status.ok()) return status;
  }
  return IdentityWherever(source, artifact);
}

absl::StatusOr<WorkIdentity> IdentityOf(const PlannedJob& job, int64_t shard_weights) {
  absl::StatusOr<std::string> source = SourceIdentityOf(job.checkpoint, job.artifact);
  if (!source.ok()) return source.status();
  return WorkIdentity{*std::move(source), LayoutOf(job.plan, shard_weights)};
}

std::string ChangedFile(const std::string& before, const std::string& now) {
  if (before == now) return "";
  const auto lines = [](const std::string& text) {
    return std::vector<std::string>(absl::StrSplit(text, '\n', absl::SkipEmpty()));
  };
  const std::vector<std::string> then = lines(before);
  const std::set<std::string> still(then.begin(), then.end());
  for (const std::string& line : lines(now)) {
    if (!still.contains(line)) return line.substr(0, line.find('\t'));
  }
  return "a file that is gone";
}

absl::Status CheckSameSource(const WorkIdentity& before, const WorkIdentity& now) {
  const std::string changed = ChangedFile(before.source, now.source);
  if (changed.empty()) return absl::OkStatus();
  return WithReason(
      absl::FailedPreconditionError(absl::StrCat(
          changed,
          ": the source changed since the job began, and what is done is of the old one; create "
          "the job again")),
      "SOURCE_CHANGED", {{"field", "job.source"}});
}

}  // namespace seedlm::server
