#include "kernels/format/checkpoint.h"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <map>
#include <set>
#include <system_error>

#include "kernels/format/checkpoint_index.h"
#include "kernels/format/fault.h"
#include "kernels/format/hidden_name.h"
#include "kernels/format/safetensors_header.h"
#include "kernels/format/text.h"

namespace seedlm::format {
namespace {

namespace fs = std::filesystem;

constexpr int kMaxDirectoryDepth = 8;
constexpr size_t kMaxEntries = 100'000;
constexpr std::string_view kExtension = ".safetensors";

absl::Status Refuse(const fs::path& path, std::string_view reason) {
  return absl::InvalidArgumentError(Cat(Printable(path.string()), ": ", reason));
}

bool IsDirectory(const fs::path& path) {
  std::error_code unknown;
  return fs::is_directory(path, unknown);
}

// Of a directory models--ORG--NAME of the Hugging Face cache, the snapshot that is checked out as
// `main`, or the first; empty for other directories. Its blobs are the same files once more.
std::string SnapshotIn(const fs::path& path) {
  const fs::path snapshots = path / "snapshots";
  if (!IsDirectory(snapshots) || !IsDirectory(path / "blobs")) return "";
  constexpr uint64_t kMaxRevisionBytes = 256;
  const auto revision = ReadSmallFile((path / "refs" / "main").string(), kMaxRevisionBytes);
  std::string main(revision.ok() ? *revision : "");
  main.erase(std::find_if(main.begin(), main.end(), [](char c) { return c == '\n' || c == '/'; }),
             main.end());
  if (!main.empty() && IsDirectory(snapshots / main)) return (snapshots / main).string();
  std::set<std::string> found;
  std::error_code error;
  fs::directory_iterator entry(snapshots, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    found.insert(entry->path().string());
  }
  return found.empty() ? snapshots.string() + "/REVISION" : *found.begin();
}

// Walks a directory. Links may make it seem endless, so every entry counts towards the limit.
class Listing {
 public:
  explicit Listing(const fs::path& root) : root_(root) {}

  // Collects the relative paths of all files below root/relative, in no particular order.
  absl::Status Add(const fs::path& relative, int depth) {
    if (depth > kMaxDirectoryDepth) {
      return Refuse(root_ / relative, Cat("directories nested deeper than ", kMaxDirectoryDepth,
                                          " levels (a symbolic link to its own parent?)"));
    }
    const fs::path directory = relative.empty() ? root_ : root_ / relative;
    if (const std::string snapshot = SnapshotIn(directory); !snapshot.empty()) {
      return Refuse(directory,
                    Cat("is a Hugging Face cache, not a checkpoint; give ", Printable(snapshot)));
    }
    std::error_code error;
    fs::directory_iterator entry(directory, error);
    for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
      if (++entries_ > kMaxEntries) {
        return Refuse(root_, Cat("has more than ", kMaxEntries, " entries"));
      }
      if (absl::Status status = AddEntry(*entry, relative, depth); !status.ok()) return status;
    }
    if (error) return ErrnoToStatus(error.value(), directory.string(), "list");
    return absl::OkStatus();
  }

  std::vector<std::string> TakeSorted() {
    std::sort(paths_.begin(), paths_.end());
    return std::move(paths_);
  }

 private:
  absl::Status AddEntry(const fs::directory_entry& entry, const fs::path& relative, int depth) {
    const fs::path name = entry.path().filename();
    const bool is_hidden = name.string().starts_with('.');
    if (IsTemporaryName(name.string()) || IsPartialName(name.string())) {
      return absl::OkStatus();  // what a run that was killed left behind
    }
    std::error_code error;
    const fs::file_status status = entry.status(error);  // of what a link points to
    if (status.type() == fs::file_type::not_found) {
      return ErrnoToStatus(ENOENT, entry.path().string(), "open");
    }
    if (error) return ErrnoToStatus(error.value(), entry.path().string(), "examine");
    if (fs::is_directory(status)) {
      // .git, .cache and their like are not the model's; hidden files (.gitattributes) are.
      return is_hidden ? absl::OkStatus() : Add(relative / name, depth + 1);
    }
    if (fs::is_regular_file(status)) paths_.push_back((relative / name).string());
    return absl::OkStatus();
  }

  const fs::path root_;
  std::vector<std::string> paths_;
  size_t entries_ = 0;
};

absl::Status AddFile(const std::string& path, std::string relative_path, Checkpoint& checkpoint) {
  absl::StatusOr<std::shared_ptr<const SafetensorsFile>> file = SafetensorsFile::Open(path);
  if (!file.ok()) return About(file.status(), "file", relative_path);
  checkpoint.files.push_back({std::move(relative_path), *std::move(file)});
  return absl::OkStatus();
}

absl::Status CheckNamesUnique(const Checkpoint& checkpoint) {
  std::map<std::string_view, const CheckpointFile*> holders;
  for (const CheckpointFile& file : checkpoint.files) {
    for (const TensorInfo& tensor : file.file->tensors()) {
      const auto [holder, is_new] = holders.emplace(tensor.name, &file);
      if (is_new) continue;
      absl::Status status =
          Refuse(file.file->path(), Cat("tensor '", Printable(tensor.name), "': is also in '",
                                        Printable(holder->second->relative_path), "'"));
      return About(About(std::move(status), "tensor", tensor.name), "file", file.relative_path);
    }
  }
  return absl::OkStatus();
}

absl::Status OpenDirectory(Checkpoint& checkpoint) {
  Listing listing(checkpoint.path);
  if (absl::Status status = listing.Add({}, 0); !status.ok()) return status;
  HeaderTotals totals;
  for (std::string& path : listing.TakeSorted()) {
    const bool is_hidden = fs::path(path).filename().string().starts_with('.');
    if (is_hidden || !path.ends_with(kExtension)) {
      checkpoint.other_files.push_back(std::move(path));
      continue;
    }
    const std::string full = (fs::path(checkpoint.path) / path).string();
    if (absl::Status status = AddFile(full, std::move(path), checkpoint); !status.ok()) {
      return status;
    }
    const SafetensorsFile& file = *checkpoint.files.back().file;
    const std::string problem = totals.Add(file.tensors().size(), file.header_bytes());
    if (!problem.empty()) return Refuse(checkpoint.path, Cat("has ", problem));
  }
  if (checkpoint.files.empty()) return Refuse(checkpoint.path, "has no .safetensors file");
  if (absl::Status status = CheckNamesUnique(checkpoint); !status.ok()) return status;
  for (const std::string& path : checkpoint.other_files) {
    if (!IsIndexName(path) && !IsVariantIndexName(path)) continue;
    absl::Status status = CheckIndex(checkpoint, path);
    if (status.ok()) {
      checkpoint.indexes.push_back(path);
    } else if (IsIndexName(path)) {
      return About(std::move(status), "file", path);
    }
  }
  return absl::OkStatus();
}

}  // namespace

bool Checkpoint::IsIndex(const std::string& relative_path) const {
  return std::binary_search(indexes.begin(), indexes.end(), relative_path);
}

absl::StatusOr<Checkpoint> Checkpoint::Open(const std::string& path) {
  Checkpoint checkpoint;
  checkpoint.path = path;
  std::error_code error;
  checkpoint.is_directory = fs::is_directory(path, error);
  const absl::Status status = checkpoint.is_directory
                                  ? OpenDirectory(checkpoint)
                                  : AddFile(path, fs::path(path).filename().string(), checkpoint);
  if (!status.ok()) return status;
  return checkpoint;
}

}  // namespace seedlm::format
