#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <filesystem>
#include <vector>

#include "kernels/format/input_file.h"
#include "tests/kernels/format_support.h"

namespace seedlm::format {
namespace {

TEST_CASE("a file is read at any offset, also after a move") {
  const TemporaryDirectory directory;
  const std::string path = directory.path("file");
  std::string content(3 * 4096 + 100, '\0');
  for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 7);
  WriteBytes(path, content);
  absl::StatusOr<InputFile> file = InputFile::Open(path);
  REQUIRE(file.ok());
  const InputFile moved = *std::move(file);
  CHECK(moved.path() == path);
  REQUIRE(moved.size() == content.size());
  for (const size_t offset : {size_t{0}, size_t{4095}, content.size()}) {
    std::string bytes(content.size() - offset, '\0');
    CHECK(moved.ReadAt(offset, std::as_writable_bytes(std::span(bytes))).ok());
    CHECK(bytes == content.substr(offset));
  }
}

TEST_CASE("a file that changes is noticed") {
  const TemporaryDirectory directory;
  const std::string path = directory.path("file");
  WriteBytes(path, std::string(10'000, 'x'));
  const absl::StatusOr<InputFile> file = InputFile::Open(path);
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
  const absl::StatusOr<InputFile> file = InputFile::Open(path);
  REQUIRE(file.ok());
  std::vector<std::byte> bytes(6'000);
  CHECK(file->ReadAt(4'000, bytes).ok());
  std::filesystem::resize_file(path, 5'000);
  const absl::Status status = file->ReadAt(4'000, bytes);
  CHECK(status.code() == absl::StatusCode::kFailedPrecondition);
  CHECK(status.message() == path + ": became shorter while it was being read; start again");
  CHECK(file->ReadAt(4'000, bytes, "tensor 'w'").message() ==
        path + ": became shorter while tensor 'w' was being read; start again");
  CHECK(file->ReadAt(0, std::span(bytes).first(1), "tensor 'w'").message() ==
        path + ": was changed while tensor 'w' was being read; start again");
}

TEST_CASE("an error of the disk says what was read") {
  // Address 0 of this process, where nothing is: EIO.
  const absl::StatusOr<InputFile> file = InputFile::Open("/proc/self/mem");
  REQUIRE(file.ok());
  std::byte byte{};
  CHECK(file->ReadAt(0, std::span(&byte, 1), "tensor 'w'").message() ==
        "/proc/self/mem: cannot read tensor 'w': Input/output error");
}

TEST_CASE("a file that is replaced by a rename stays readable") {
  const TemporaryDirectory directory;
  WriteBytes(directory.path("file"), "old");
  const absl::StatusOr<InputFile> file = InputFile::Open(directory.path("file"));
  REQUIRE(file.ok());
  WriteBytes(directory.path("other"), "newer");
  std::filesystem::rename(directory.path("other"), directory.path("file"));
  char first = 0;
  CHECK(file->ReadAt(0, std::as_writable_bytes(std::span(&first, 1))).ok());
  CHECK(first == 'o');
}

TEST_CASE("what cannot be read is refused by name") {
  const TemporaryDirectory directory;
  const auto code = [&](const std::string& name) {
    const absl::Status status = InputFile::Open(directory.path(name)).status();
    CHECK_THAT(Message(status), Catch::Contains(directory.path(name)));
    return status.code();
  };
  CHECK(code("missing") == absl::StatusCode::kNotFound);
  WriteBytes(directory.path("file"), "");
  CHECK(code("file/below") == absl::StatusCode::kNotFound);
  std::filesystem::create_directory(directory.path("directory"));
  CHECK(code("directory") == absl::StatusCode::kInvalidArgument);
  REQUIRE(mkfifo(directory.path("fifo").c_str(), 0600) == 0);
  CHECK(code("fifo") == absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace seedlm::format
