#include "kernels/search/index_cache.h"

#include <unistd.h>

#include <bit>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <random>
#include <system_error>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "kernels/codec/lfsr.h"

namespace seedlm::search {
namespace {

static_assert(std::endian::native == std::endian::little,
              "lists are written as they lie in memory");

struct Header {
  char magic[8] = {'S', 'E', 'E', 'D', 'L', 'M', 'C', 'I'};
  uint32_t version = 2;
  uint32_t block, rank, lfsr_width, taps;
  uint32_t bins = CellIndex::kBins;
  uint32_t grains = CellIndex::kGrains;
  CellIndex::Coding coding;
  double radius, end;

  explicit Header(const CellIndex& index)
      : block(static_cast<uint32_t>(index.profile().block)),
        rank(static_cast<uint32_t>(index.profile().rank)),
        lfsr_width(static_cast<uint32_t>(index.profile().lfsr_width)),
        taps(codec::LfsrTaps(index.profile().lfsr_width)),
        coding(index.coding()),
        radius(index.resolution().radius),
        end(index.end()) {}
};
static_assert(sizeof(Header) == 56, "no padding");

constexpr size_t kBeginBytes = (CellIndex::kBins + 1) * sizeof(uint16_t);
constexpr uint32_t kMostBytes = 1u << 17;  // of a list: two bytes for every seed
constexpr char kPartSuffix[] = ".part";
constexpr std::chrono::hours kPartLife{1};  // a gigabyte is written by then

// A running checksum: every bit of a word reaches the upper half of the next state.
class Checksum {
 public:
  void Add(const void* data, size_t size) {
    const char* bytes = static_cast<const char*>(data);
    for (; size >= sizeof(uint64_t); bytes += sizeof(uint64_t), size -= sizeof(uint64_t)) {
      uint64_t word;
      std::memcpy(&word, bytes, sizeof word);
      Mix(word);
    }
    uint64_t rest = size;
    std::memcpy(reinterpret_cast<char*>(&rest) + 1, bytes, size);
    Mix(rest);
  }
  uint64_t value() const { return state_; }

 private:
  void Mix(uint64_t word) {
    state_ = (state_ ^ word) * 0x9E3779B97F4A7C15u;
    state_ ^= state_ >> 29;
  }
  uint64_t state_ = 0x5EED1E55;
};

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

// Reads or writes, and sums up what passes.
struct Stream {
  std::FILE* file;
  Checksum sum{};

  bool Read(void* data, size_t size) {
    if (std::fread(data, 1, size, file) != size) return false;
    sum.Add(data, size);
    return true;
  }
  bool Write(const void* data, size_t size) {
    sum.Add(data, size);
    return std::fwrite(data, 1, size, file) == size;
  }
};

absl::Status Refused(const std::string& path, const char* reason) {
  return absl::DataLossError(absl::StrCat(path, ": ", reason, "; it is ignored"));
}

absl::Status Failed(const std::string& path, const char* what) {
  return absl::UnavailableError(absl::StrCat(path, ": cannot ", what, ": ", std::strerror(errno)));
}

// Only the checksum at the end tells whether the lists are good.
absl::Status ReadLists(const std::string& path, std::FILE* file, CellIndex& index) {
  const Header expected(index);
  Stream stream{file};
  Header header = expected;
  uint64_t count = 0;
  if (!stream.Read(&header, sizeof header) || !stream.Read(&count, sizeof count)) {
    return Refused(path, "the index cache is cut short");
  }
  if (std::memcmp(&header, &expected, sizeof header) != 0) {
    return Refused(path, "the index cache is of another version");
  }
  std::vector<uint8_t> code;
  for (uint64_t i = 0; i < count; ++i) {
    uint64_t key = 0;
    uint32_t bytes = 0;
    uint16_t begin[CellIndex::kBins + 1];
    if (!stream.Read(&key, sizeof key) || !stream.Read(&bytes, sizeof bytes) ||
        !stream.Read(begin, kBeginBytes)) {
      return Refused(path, "the index cache is cut short");
    }
    if (bytes > kMostBytes) return Refused(path, "the index cache is damaged");
    code.resize(bytes);
    if (!stream.Read(code.data(), bytes)) {
      return Refused(path, "the index cache is cut short");
    }
    if (!index.IsSound(begin, code)) return Refused(path, "the index cache is damaged");
    index.Restore(index.Find(key), begin, code);
  }
  uint64_t sum = 0;
  if (std::fread(&sum, 1, sizeof sum, file) != sizeof sum || sum != stream.sum.value()) {
    return Refused(path, "the index cache is damaged");
  }
  return absl::OkStatus();
}

// What a process left that was killed while it wrote.
void RemoveOldParts(const std::string& path) {
  namespace fs = std::filesystem;
  const fs::path whole(path);
  const std::string prefix = whole.filename().string() + ".";
  std::error_code error;
  for (fs::directory_iterator it(whole.parent_path(), error), end; !error && it != end;
       it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (!absl::StartsWith(name, prefix) || !absl::EndsWith(name, kPartSuffix)) continue;
    std::error_code of_this;
    const auto written = fs::last_write_time(it->path(), of_this);
    const bool old = !of_this && fs::file_time_type::clock::now() - written > kPartLife;
    if (old) fs::remove(it->path(), of_this);
  }
}

bool WriteLists(const CellIndex& index, std::FILE* file, const std::stop_token& stop) {
  // Other threads may publish meanwhile: what is written is what is counted here.
  std::vector<uint32_t> cells;
  for (uint32_t cell = 0; cell < index.cell_slots(); ++cell) {
    if (index.list(cell) != nullptr) cells.push_back(cell);
  }
  Stream stream{file};
  const Header header(index);
  const uint64_t count = cells.size();
  bool good = stream.Write(&header, sizeof header) && stream.Write(&count, sizeof count);
  for (const uint32_t cell : cells) {
    const CellIndex::List& list = *index.list(cell);
    const uint64_t key = index.key(cell);
    good = good && !stop.stop_requested() && stream.Write(&key, sizeof key) &&
           stream.Write(&list.bytes, sizeof list.bytes) && stream.Write(list.begin, kBeginBytes) &&
           stream.Write(list.code, list.bytes);
  }
  const uint64_t sum = stream.sum.value();
  return good && std::fwrite(&sum, 1, sizeof sum, file) == sizeof sum;
}

}  // namespace

absl::Status LoadLists(const std::string& path, CellIndex& index) {
  const File file(std::fopen(path.c_str(), "rb"));
  if (file == nullptr) {
    return errno == ENOENT ? absl::NotFoundError(path) : Failed(path, "read the index cache");
  }
  // Most reads are smaller than a page.
  std::setvbuf(file.get(), nullptr, _IOFBF, size_t{1} << 20);
  return ReadLists(path, file.get(), index);
}

absl::Status SaveLists(const CellIndex& index, const std::string& path,
                       const std::stop_token& stop) {
  std::error_code ignored;  // the file itself tells
  std::filesystem::create_directories(std::filesystem::path(path).parent_path(), ignored);
  RemoveOldParts(path);
  // Two processes may have the same number, each in a container of its own.
  const std::string part =
      absl::StrCat(path, ".", ::getpid(), "-", std::random_device()(), kPartSuffix);
  File file(std::fopen(part.c_str(), "wbx"));
  if (file == nullptr) return Failed(part, "write the index cache");
  bool good = WriteLists(index, file.get(), stop);
  good = std::fclose(file.release()) == 0 && good;
  if (good && std::rename(part.c_str(), path.c_str()) == 0) return absl::OkStatus();
  absl::Status status = Failed(path, "write the index cache");
  if (!good && stop.stop_requested()) {
    status = absl::CancelledError(absl::StrCat(path, ": writing the index cache was stopped"));
  }
  std::remove(part.c_str());
  return status;
}

}  // namespace seedlm::search
