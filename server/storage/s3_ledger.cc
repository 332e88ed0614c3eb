#include "server/storage/s3_ledger.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
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

template <typename Integer>
bool TakeNumber(const Json& json, const char* field, Integer& value) {
  const auto found = json.find(field);
  if (found == json.end() || !found->is_number_integer()) return false;
  value = found->get<Integer>();
  return true;
}

// The upload of this key that has an id, or the last one that has none.
std::vector<LedgerEntry>::iterator FindUpload(LedgerContent& content, const std::string& key,
                                              bool with_id) {
  const auto found = std::find_if(
      content.open.rbegin(), content.open.rend(),
      [&](const auto& entry) { return entry.key == key && entry.upload_id.empty() != with_id; });
  return found == content.open.rend() ? content.open.end() : std::prev(found.base());
}

// The lines about an upload. False: it is none of these, or of one that was not opened.
bool ApplyToUpload(const Json& line, LedgerContent& content) {
  const auto of = [&](const char* field) { return FindUpload(content, Text(line, field), true); };
  if (line.contains("part")) {
    const auto entry = of("part");
    int number = 0;
    LedgerPart part{Text(line, "etag")};
    if (entry == content.open.end() || !TakeNumber(line, "number", number) ||
        !TakeNumber(line, "crc32c", part.crc32c)) {
      return false;
    }
    entry->parts[number] = std::move(part);
  } else if (line.contains("made")) {
    const auto entry = of("made");
    const auto object = content.objects.find(Text(line, "made"));
    if (entry == content.open.end() || object == content.objects.end()) return false;
    if (const std::string etag = Text(line, "etag"); !etag.empty()) object->second.etag = etag;
    content.open.erase(entry);
  } else if (line.contains("closed")) {
    const auto entry = of("closed");
    if (entry == content.open.end()) return false;
    content.open.erase(entry);
  } else {
    return false;
  }
  return true;
}

// Takes one line into `content`. False: it is none of a ledger.
bool Apply(const Json& line, LedgerContent& content) {
  if (!line.is_object()) return false;
  if (line.contains("bucket")) {
    content.bucket = Text(line, "bucket");
  } else if (line.contains("begin")) {
    LedgerEntry entry{.key = Text(line, "begin")};
    if (!TakeNumber(line, "time", entry.begun)) return false;
    content.open.push_back(std::move(entry));
  } else if (line.contains("open")) {
    const auto entry = FindUpload(content, Text(line, "open"), false);
    if (entry == content.open.end()) return false;
    entry->upload_id = Text(line, "id");
    (void)TakeNumber(line, "size", entry->size);  // not of a version that did not go on with any
    (void)TakeNumber(line, "part_bytes", entry->part_bytes);
  } else if (line.contains("completing")) {
    content.objects[Text(line, "completing")] = {Text(line, "sha256"), Text(line, "etag")};
  } else if (line.contains("undo")) {
    content.undo.push_back({Text(line, "undo"), Text(line, "owner")});
    content.objects.erase(content.undo.back().key);
  } else if (line.contains("undone")) {
    content.undo.clear();
  } else {
    return ApplyToUpload(line, content);
  }
  return true;
}

// Lines that are not on disk before anything is done: a power cut may take one of them and leave
// one that came later. Without them something is sent or aborted again.
bool MayBeLost(const Json& line) {
  return line.is_object() &&
         (line.contains("part") || line.contains("made") || line.contains("closed"));
}

struct Parsed {
  LedgerContent content;
  size_t bytes = 0;  // of the lines that were written whole
};

absl::StatusOr<Parsed> ReadLines(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return format::ErrnoToStatus(errno, path, "open");
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  Parsed parsed;
  bool torn = false;
  for (size_t begin = 0, end = 0; begin < text.size(); begin = end + 1) {
    end = text.find('\n', begin);
    if (end == std::string::npos) break;  // cut off
    const Json line = Json::parse(text.begin() + static_cast<ptrdiff_t>(begin),
                                  text.begin() + static_cast<ptrdiff_t>(end), nullptr, false);
    if (begin > 0 && line.is_discarded()) {
      torn = true;  // unless something follows
      continue;
    }
    if (torn && MayBeLost(line)) continue;
    if (torn || (begin == 0) != (line.is_object() && line.contains("bucket")) ||
        !Apply(line, parsed.content)) {
      return absl::InternalError(absl::StrCat(format::Printable(path), ": is no ledger; byte ",
                                              parsed.bytes, " begins a line that is not known"));
    }
    parsed.bytes = end + 1;
  }
  return parsed;
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

absl::StatusOr<S3Ledger::Reopened> S3Ledger::Reopen(const std::string& path) {
  absl::StatusOr<Parsed> parsed = ReadLines(path);
  if (!parsed.ok()) return parsed.status();
  UniqueFd fd(open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  if (!fd) return format::ErrnoToStatus(errno, path, "open");
  // What is appended begins a line.
  if (ftruncate(fd.get(), static_cast<off_t>(parsed->bytes)) != 0) {
    return format::ErrnoToStatus(errno, path, "shorten");
  }
  return Reopened{std::unique_ptr<S3Ledger>(new S3Ledger(path, std::move(fd))),
                  std::move(parsed->content)};
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

absl::Status S3Ledger::Opened(std::string_view key, std::string_view upload_id, int64_t size,
                              int64_t part_bytes) {
  return Append(Line({{"open", std::string(key)},
                      {"id", std::string(upload_id)},
                      {"size", size},
                      {"part_bytes", part_bytes}}),
                true);
}

absl::Status S3Ledger::Undo(std::string_view key, std::string_view owner) {
  return Append(Line({{"undo", std::string(key)}, {"owner", std::string(owner)}}), true);
}

absl::Status S3Ledger::UndoAll(std::string_view owner, std::vector<std::string>* keys) {
  const absl::StatusOr<LedgerContent> content = Read(path_);
  if (!content.ok()) return content.status();
  absl::Status first;
  for (const auto& [key, object] : content->objects) {
    first.Update(Undo(key, owner));
    if (keys != nullptr) keys->push_back(key);
  }
  return first;
}

absl::Status S3Ledger::Sent(std::string_view key, const s3::PartTag& part, uint32_t crc32c) {
  return Append(Line({{"part", std::string(key)},
                      {"number", part.number},
                      {"etag", part.etag},
                      {"crc32c", crc32c}}),
                false);
}

absl::Status S3Ledger::Completing(std::string_view key, std::string_view sha256,
                                  std::string_view etag) {
  return Append(Line({{"completing", std::string(key)},
                      {"sha256", std::string(sha256)},
                      {"etag", std::string(etag)}}),
                true);
}

absl::Status S3Ledger::Made(std::string_view key, std::string_view etag) {
  return Append(Line({{"made", std::string(key)}, {"etag", std::string(etag)}}), false);
}

absl::Status S3Ledger::Closed(std::string_view key) {
  return Append(Line({{"closed", std::string(key)}}), false);
}

absl::Status S3Ledger::Undone(const std::string& path) {
  const absl::StatusOr<Reopened> reopened = Reopen(path);
  if (!reopened.ok()) return reopened.status();
  return reopened->ledger->Append(Line({{"undone", true}}), true);
}

absl::StatusOr<LedgerContent> S3Ledger::Read(const std::string& path) {
  absl::StatusOr<Parsed> parsed = ReadLines(path);
  if (!parsed.ok()) return parsed.status();
  return std::move(parsed->content);
}

const LedgerEntry* LedgerContent::Find(std::string_view key) const {
  const auto found = std::find_if(open.rbegin(), open.rend(), [key](const LedgerEntry& entry) {
    return entry.key == key && !entry.upload_id.empty();
  });
  return found == open.rend() ? nullptr : &*found;
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
  std::erase_if(paths, [name](const std::string& path) { return NameOf(path) != name; });
  return paths;
}

std::string S3Ledger::NameOf(const std::string& path) {
  return fs::path(path).stem().stem().string();  // NAME.i.ledger
}

}  // namespace seedlm::server
