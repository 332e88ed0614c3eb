#include "kernels/format/page_cache.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <span>
#include <string>
#include <vector>

#include "kernels/checksum/crc32c.h"
#include "kernels/checksum/sha256.h"
#include "kernels/format/atomic_file.h"
#include "server/storage/artifact_store.h"
#include "server/storage/unique_fd.h"
#include "tests/server/temporary_directory.h"

namespace seedlm::server {
namespace {

constexpr size_t kMiB = size_t{1} << 20;
constexpr long kTmpfs = 0x01021994;  // linux/magic.h

// The pages of the first `size` bytes of a file that are in memory, of all: 0 to 1.
double Resident(const std::string& path, size_t size) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  void* const address = mmap(nullptr, size, PROT_READ, MAP_SHARED, fd.get(), 0);
  REQUIRE(address != MAP_FAILED);
  std::vector<unsigned char> pages(size / static_cast<size_t>(sysconf(_SC_PAGESIZE)));
  REQUIRE(mincore(address, size, pages.data()) == 0);
  munmap(address, size);
  const auto there = std::count_if(pages.begin(), pages.end(), [](auto page) { return page & 1; });
  return static_cast<double>(there) / static_cast<double>(pages.size());
}

// Files that live in memory alone cannot be forgotten.
bool IsInMemory(const TemporaryDirectory& directory) {
  struct statfs info {};
  REQUIRE(statfs(directory.path().c_str(), &info) == 0);
  if (info.f_type != kTmpfs) return false;
  WARN("skipped: " << directory.path() << " is on tmpfs; set TMPDIR to a disk");
  return true;
}

TEST_CASE("what is written in order leaves memory once it is on disk") {
  const TemporaryDirectory directory;
  if (IsInMemory(directory)) return;
  const std::string path = directory / "working";
  auto file =
      format::AtomicFile::Resume(directory / "out", path, 48 * kMiB, format::IfExists::kFail);
  REQUIRE(file.ok());
  const std::vector<std::byte> piece(kMiB, std::byte{7});
  const auto write = [&](size_t begin, size_t end) {
    for (size_t i = begin; i < end; ++i) REQUIRE(file->WriteAt(i * kMiB, piece).ok());
  };
  write(0, 40);
  CHECK(Resident(path, 40 * kMiB) > 0.5);
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  REQUIRE(fsync(fd.get()) == 0);
  write(40, 48);
  CHECK(Resident(path, 16 * kMiB) < 0.1);
  std::vector<std::byte> again(kMiB);
  REQUIRE(file->ReadAt(3 * kMiB, again).ok());
  CHECK(again == piece);
}

TEST_CASE("what is read to be sent leaves memory") {
  const TemporaryDirectory directory;
  if (IsInMemory(directory)) return;
  const DataDir data_dir = DataDir::Open(directory / "data").value();
  ArtifactStore store(data_dir.FoldersOf(""));
  const std::string chunk(kMiB, 'x');
  checksum::Sha256 sum;
  Upload upload = store.OpenUpload({"id", "file"}).value();
  for (size_t i = 0; i < 16; ++i) {
    REQUIRE(upload.Append(static_cast<int64_t>(i * kMiB), chunk, checksum::Crc32c(chunk)).ok());
    sum.Update(chunk);
  }
  REQUIRE(upload.Finish(sum.HexDigest()).ok());
  const std::string path = store.ResultPath("id") + "/file";
  CHECK(Resident(path, 16 * kMiB) > 0.5);
  ArtifactReader reader = store.OpenRead({"id", "file"}, 0).value();
  std::string read(kMiB, '\0');
  for (size_t i = 0; i < 16; ++i) {
    REQUIRE(reader.Read(read).value() == kMiB);
    REQUIRE(read == chunk);
  }
  CHECK(Resident(path, 16 * kMiB) < 0.1);
}

}  // namespace
}  // namespace seedlm::server
