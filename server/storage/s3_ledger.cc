#include "server/storage/s3_ledger.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "kernels/format/atomic_file.h"
#include "kernels/format/text.h"
#include "server/storage/tree.h"

namespace seedlm::server {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr char kSuffix[] = ".ledger";
constexpr int kMaxNames = 1000;  // of one job

std::string Line(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string Text(const Json& json, const char* field) {
  const auto found = json.find(field);
  return found != json.end() && found->is_string() ? found->get<std::string>() : "";
}

// Takes one line into `content`. False: it is none of a ledger.
bool Apply(const Json& line, LedgerContent& content) {
  if (!line.is_object()) return false;
  const auto at = [&content](const std::string& key) {
    return std::find_if(content.open.begin(), content.open.end(),
                        [&](const LedgerEntry& entry) { return entry.key == key; });
  };
  if (line.contains("bucket")) {
    content.bucket = Text(line, "bucket");
  } else if (line.contains("begin")) {
    const auto time = line.find("time");
    if (time == line.end() || !time->is_number_integer()) return false;
    content.open.push_back({Text(line, "begin"), "", time->get<int64_t>()});
  } else if (line.contains("open")) {
    const auto entry = at(Text(line, "open"));
    if (entry == content.open.end()) return false;
    entry->upload_id = Text(line, "id");
  } else if (line.contains("closed")) {
    const auto entry = at(Text(line, "closed"));
    if (entry == content.open.end()) return false;
    content.open.erase(entry);
  } else if (line.contains("undo")) {
    content.undo.push_back({Text(line, "undo"), Text(line, "owner")});
  } else if (line.contains("undone")) {
    content.undo.clear();
  } else {
    return false;
  }
  return true;
}

}  // namespace

absl::StatusOr<std::unique_ptr<S3Ledger>> S3Ledger::Create(const std::string& directory,
                                                           std::string_view name,
                                                           std::string_view bucket) {
  for (int i = 0; i < kMaxNames; ++i) {  // earlier attempts may have left theirs
    std::string path = absl::StrCat(directory, "/", std::string(name), ".", i, kSuffix);
    UniqueFd fd(open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    if (!fd && errno == EEXIST) continue;
    if (!fd) return format::ErrnoToStatus(errno, path, "create");
    std::unique_ptr<S3Ledger> ledger(new S3Ledger(std::move(path), std::move(fd)));
    absl::Status status = ledger->Append(Line({{"bucket", std::string(bucket)}}), true);
    if (status.ok()) status = format::SyncDirectory(directory);
    if (!status.ok()) {
      (void)unlink(ledger->path().c_str());
      return status;
    }
    return ledger;
  }
  return absl::ResourceExhaustedError(
      absl::StrCat(directory, ": too many ledgers of ", std::string(name)));
}

absl::Status S3Ledger::Append(const std::string& line, bool sync) {
  const std::lock_guard lock(mutex_);
  const off_t end = lseek(fd_.get(), 0, SEEK_END);
  const ssize_t count = write(fd_.get(), line.data(), line.size());
  if (count < 0) return format::ErrnoToStatus(errno, path_, "write");
  if (static_cast<size_t>(count) != line.size()) {
    // Half a line may only be the last one. If it stays, the ledger is refused by name.
    (void)ftruncate(fd_.get(), end);
    return format::ErrnoToStatus(ENOSPC, path_, "write");
  }
  if (sync && fdatasync(fd_.get()) != 0) return format::ErrnoToStatus(errno, path_, "sync");
  return absl::OkStatus();
}

absl::Status S3Ledger::Begin(std::string_view key, int64_t unix_seconds) {
  return Append(Line({{"begin", std::string(key)}, {"time", unix_seconds}}), true);
}

absl::Status S3Ledger::Opened(std::string_view key, std::string_view upload_id) {
  return Append(Line({{"open", std::string(key)}, {"id", std::string(upload_id)}}), true);
}

absl::Status S3Ledger::Closed(std::string_view key) {
  return Append(Line({{"closed", std::string(key)}}), false);
}

absl::Status S3Ledger::Undo(std::string_view key, std::string_view owner) {
  return Append(Line({{"undo", std::string(key)}, {"owner", std::string(owner)}}), true);
}

absl::Status S3Ledger::Undone(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  if (!fd) return format::ErrnoToStatus(errno, path, "open");
  return S3Ledger(path, std::move(fd)).Append(Line({{"undone", true}}), true);
}

absl::StatusOr<LedgerContent> S3Ledger::Read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return format::ErrnoToStatus(errno, path, "open");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  LedgerContent content;
  for (size_t begin = 0, end = 0; begin < text.size(); begin = end + 1) {
    end = text.find('\n', begin);
    if (end == std::string::npos) break;  // cut off
    const Json line = Json::parse(text.begin() + static_cast<ptrdiff_t>(begin),
                                  text.begin() + static_cast<ptrdiff_t>(end), nullptr, false);
    if (!Apply(line, content)) {
      return absl::InternalError(absl::StrCat(format::Printable(path), ": is no ledger; byte ",
                                              begin, " begins a line that is not known"));
    }
  }
  return content;
}

std::vector<std::string> S3Ledger::Find(const std::string& directory) {
  std::vector<std::string> paths;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() == kSuffix) paths.push_back(it->path().string());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::vector<std::string> S3Ledger::FindOf(const std::string& directory, std::string_view name) {
  std::vector<std::string> paths = Find(directory);
  std::erase_if(paths, [name](const std::string& path) {
    return fs::path(path).stem().stem().string() != name;  // NAME.i.ledger
  });
  return paths;
}

}  // namespace seedlm::server
