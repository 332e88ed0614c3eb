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
#include "kernels/checksum/sha256.h"
#include "kernels/format/atomic_file.h"
#include "kernels/format/text.h"
#include "server/errors/reason.h"

namespace seedlm::server {
namespace {

// Of what is hashed below: to be counted up when pieces are cut, or outputs written, differently.
constexpr int kLayoutVersion = 2;
constexpr int64_t kNanoseconds = 1'000'000'000;

// "PATH\tBYTES\tMODIFIED_NS\tINODE": a path may hold anything else but '\n', which is replaced.
absl::StatusOr<std::string> LineOf(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) return format::ErrnoToStatus(errno, path, "examine");
  return std::string(absl::StrCat(format::Printable(path), "\t", info.st_size, "\t",
                                  info.st_mtim.tv_sec * kNanoseconds + info.st_mtim.tv_nsec, "\t",
                                  info.st_ino, "\n"));
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

absl::StatusOr<WorkIdentity> IdentityOf(const PlannedJob& job, int64_t shard_weights) {
  std::vector<std::string> paths;
  for (const format::CheckpointFile& file : job.checkpoint.files) {
    paths.push_back(file.file->path());
  }
  for (const std::string& file : job.checkpoint.other_files) {
    paths.push_back(absl::StrCat(job.checkpoint.path, "/", file));
  }
  WorkIdentity identity{"", LayoutOf(job.plan, shard_weights)};
  for (const std::string& path : paths) {
    const absl::StatusOr<std::string> line = LineOf(path);
    if (!line.ok()) return line.status();
    identity.source += *line;
  }
  // The files that were looked at are those whose headers were read.
  for (const format::CheckpointFile& file : job.checkpoint.files) {
    if (absl::Status status = file.file->CheckUnchanged(); !status.ok()) return status;
  }
  return identity;
}

absl::Status CheckSameSource(const WorkIdentity& before, const WorkIdentity& now) {
  if (before.source == now.source) return absl::OkStatus();
  const auto lines = [](const std::string& text) {
    return std::vector<std::string>(absl::StrSplit(text, '\n', absl::SkipEmpty()));
  };
  const std::vector<std::string> then = lines(before.source);
  const std::set<std::string> still(then.begin(), then.end());
  std::string changed = "a file that is gone";
  for (const std::string& line : lines(now.source)) {
    if (still.contains(line)) continue;
    changed = line.substr(0, line.find('\t'));
    break;
  }
  return WithReason(
      absl::FailedPreconditionError(absl::StrCat(
          changed,
          ": the source changed since the job began, and what is done is of the old one; create "
          "the job again")),
      "SOURCE_CHANGED", {{"field", "job.source"}});
}

}  // namespace seedlm::server
