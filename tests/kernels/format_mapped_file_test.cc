#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <vector>

#include "kernels/format/mapped_file.h"
#include "tests/kernels/format_support.h"

namespace seedlm::format {
namespace {

TEST_CASE("a mapped file has the file's bytes, also after a release") {
  const TemporaryDirectory directory;
  const std::string path = directory.path("file");
  std::string content(3 * 4096 + 100, '\0');
  for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 7);
  WriteBytes(path, content);
  absl::StatusOr<MappedFile> file = MappedFile::Open(path);
  REQUIRE(file.ok());
  const auto text = [&] {
    return std::string(reinterpret_cast<const char*>(file->bytes().data()), file->bytes().size());
  };
  CHECK(text() == content);
  file->Release(0, content.size());
  file->Release(1, 2);
  file->Release(4000, 5000);
  file->Release(content.size(), 10);
  file->Release(5000, UINT64_MAX);
  CHECK(text() == content);
  MappedFile moved = *std::move(file);
  CHECK(moved.path() == path);
  CHECK(moved.bytes().size() == content.size());
}

TEST_CASE("a release gives memory back") {
  const TemporaryDirectory directory;
  const std::string path = directory.path("file");
  constexpr size_t kBytes = 64 << 20;
  WriteBytes(path, std::string(kBytes, 'x'));
  const absl::StatusOr<MappedFile> file = MappedFile::Open(path);
  REQUIRE(file.ok());
  const auto resident_pages = [] {
    std::ifstream statm("/proc/self/statm");
    size_t size = 0;
    size_t resident = 0;
    statm >> size >> resident;
    return resident;
  };
  size_t sum = 0;
  for (size_t i = 0; i < kBytes; i += 4096) sum += static_cast<size_t>(file->bytes()[i]);
  CHECK(sum == kBytes / 4096 * 'x');
  const size_t before = resident_pages();
  file->Release(0, kBytes);
  CHECK(resident_pages() + kBytes / 4096 / 2 < before);
}

TEST_CASE("a file that changes under the map is noticed") {
  const TemporaryDirectory directory;
  const std::string path = directory.path("file");
  WriteBytes(path, std::string(10'000, 'x'));
  const absl::StatusOr<MappedFile> file = MappedFile::Open(path);
  REQUIRE(file.ok());
  CHECK(file->CheckUnchanged().ok());
  SECTION("cut") { std::filesystem::resize_file(path, 5'000); }
  SECTION("touched") {
    const auto time = std::filesystem::last_write_time(path);
    std::filesystem::last_write_time(path, time + std::chrono::seconds(1));
  }
  const absl::Status status = file->CheckUnchanged();
  CHECK(status.code() == absl::StatusCode::kFailedPrecondition);
  CHECK(status.message() == path + ": was changed while it was being read; start again");
}

TEST_CASE("a read past the end that a file has by now says so") {
  const TemporaryDirectory directory;
  const std::string path = directory.path("file");
  WriteBytes(path, std::string(10'000, 'x'));
  const absl::StatusOr<MappedFile> file = MappedFile::Open(path);
  REQUIRE(file.ok());
  std::vector<std::byte> bytes(6'000);
  CHECK(file->ReadAt(4'000, bytes).ok());
  std::filesystem::resize_file(path, 5'000);
  const absl::Status status = file->ReadAt(4'000, bytes);
  CHECK(status.code() == absl::StatusCode::kFailedPrecondition);
  CHECK(status.message() == path + ": became shorter while it was being read; start again");
}

TEST_CASE("a file that is replaced by a rename stays readable") {
  const TemporaryDirectory directory;
  WriteBytes(directory.path("file"), "old");
  const absl::StatusOr<MappedFile> file = MappedFile::Open(directory.path("file"));
  REQUIRE(file.ok());
  WriteBytes(directory.path("other"), "newer");
  std::filesystem::rename(directory.path("other"), directory.path("file"));
  CHECK(file->CheckUnchanged().ok());
  CHECK(file->bytes()[0] == std::byte{'o'});
}

TEST_CASE("what cannot be mapped is refused by name") {
  const TemporaryDirectory directory;
  const auto code = [&](const std::string& name) {
    const absl::Status status = MappedFile::Open(directory.path(name)).status();
    CHECK_THAT(Message(status), Catch::Contains(directory.path(name)));
    return status.code();
  };
  CHECK(code("missing") == absl::StatusCode::kNotFound);
  WriteBytes(directory.path("empty"), "");
  CHECK(code("empty") == absl::StatusCode::kInvalidArgument);
  CHECK(code("empty/below") == absl::StatusCode::kNotFound);
  std::filesystem::create_directory(directory.path("directory"));
  CHECK(code("directory") == absl::StatusCode::kInvalidArgument);
  REQUIRE(mkfifo(directory.path("fifo").c_str(), 0600) == 0);
  CHECK(code("fifo") == absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace seedlm::format
