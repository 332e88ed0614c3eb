#include "server/awaited_roots.h"

#include <sys/stat.h>

#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "server/jobs/job.h"

namespace seedlm::server {
namespace {

namespace fs = std::filesystem;

// A directory in which nothing is, of the file system that its parent is of.
bool MayBeAwaited(const std::string& root) {
  std::error_code error;
  struct stat own {
  }, parent{};
  return fs::is_empty(root, error) && !error && stat(root.c_str(), &own) == 0 &&
         stat((root + "/..").c_str(), &parent) == 0 && own.st_dev == parent.st_dev;
}

bool IsBelow(const std::string& path, const std::string& root) {
  return path.starts_with(root) && path.size() > root.size() && path[root.size()] == '/';
}

}  // namespace

absl::Status CheckRootsOfJobs(JobStore& store, const StorageRoots& roots) {
  std::vector<std::string> awaited;
  for (const std::string& root : roots.roots()) {
    if (MayBeAwaited(root)) awaited.push_back(root);
  }
  if (awaited.empty()) return absl::OkStatus();
  const absl::StatusOr<std::vector<JobRecord>> jobs = store.Unfinished();
  if (!jobs.ok()) return jobs.status();
  for (const JobRecord& job : *jobs) {
    if (job.request.source.uri.empty()) continue;
    const absl::StatusOr<std::string> path = roots.ResolveUri(job.request.source.uri);
    if (!path.ok()) continue;  // the job itself will say so
    for (const std::string& root : awaited) {
      if (!IsBelow(*path, root)) continue;
      return absl::FailedPreconditionError(absl::StrCat(
          root, ": is empty, and ", job.name,
          ", which has not ended, reads from it: start again when it has been mounted; if it is "
          "meant to be empty, put a file into it, and the job fails"));
    }
  }
  return absl::OkStatus();
}

}  // namespace seedlm::server
