#include "server/storage/staged_file.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "tests/server/file_size_limit.h"
#include "tests/server/status_matcher.h"
#include "tests/server/temporary_directory.h"

namespace seedlm::server {
namespace {

namespace fs = std::filesystem;
using Code = absl::StatusCode;

struct StagedFixture {
  StagedFile Open(uint64_t size) const { return StagedFile::Open(path, size).value(); }
  static std::string ReadAll(const StagedFile& file, size_t size) {
    std::string text(size, '?');
    CHECK(file.ReadAt(0, std::as_writable_bytes(std::span(text))).ok());
    return text;
  }
  static absl::Status Write(StagedFile& file, uint64_t offset, std::string_view text) {
    return file.WriteAt(offset, std::as_bytes(std::span(text)));
  }

  TemporaryDirectory directory;
  const std::string path = directory / "staged";
};

TEST_CASE_METHOD(StagedFixture, "a staged file has its size at once, and zeros") {
  const StagedFile file = Open(10);
  CHECK(fs::file_size(path) == 10);
  CHECK(ReadAll(file, 10) == std::string(10, '\0'));
  CHECK(file.path() == path);
  CHECK(fs::file_size(path) == 10);
  const StagedFile empty = StagedFile::Open(directory / "empty", 0).value();
  CHECK(fs::file_size(empty.path()) == 0);
}

TEST_CASE_METHOD(StagedFixture, "a staged file that is opened again keeps what fits its size") {
  {
    StagedFile file = Open(4);
    REQUIRE(Write(file, 0, "abcd").ok());
    REQUIRE(file.Sync().ok());
    REQUIRE(file.Sync().ok());  // nothing was written since
  }
  SECTION("the same size") { CHECK(ReadAll(Open(4), 4) == "abcd"); }
  SECTION("it was cut meanwhile") {
    fs::resize_file(path, 2);
    CHECK(ReadAll(Open(4), 4) == std::string("ab\0\0", 4));
  }
  SECTION("it is too long") {
    CHECK(ReadAll(Open(3), 3) == "abc");
    CHECK(fs::file_size(path) == 3);
  }
}

TEST_CASE_METHOD(StagedFixture, "threads fill a staged file in any order") {
  constexpr size_t kThreads = 4, kPieces = 50;
  StagedFile file = Open(kThreads * kPieces);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back([&file, t] {
      for (size_t i = kPieces; i-- > 0;) {
        (void)Write(file, i * kThreads + t, std::string(1, static_cast<char>('a' + t)));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  REQUIRE(file.Sync().ok());
  std::string expected;
  for (size_t i = 0; i < kPieces; ++i) expected += "abcd";
  CHECK(ReadAll(file, expected.size()) == expected);
}

TEST_CASE_METHOD(StagedFixture,
                 "a staged file that was cut behind its back is an error, not zeros") {
  const StagedFile file = Open(10);
  fs::resize_file(path, 5);
  std::string text(10, '?');
  CHECK_THAT(file.ReadAt(0, std::as_writable_bytes(std::span(text))),
             IsStatus(Code::kInternal, {path, "ends before byte 5"}));
}

TEST_CASE_METHOD(StagedFixture, "what cannot be staged is named") {
  CHECK_THAT(StagedFile::Open(directory / "none/staged", 1).status(),
             IsStatus(Code::kNotFound, {directory / "none/staged"}));
  fs::create_symlink(directory / "elsewhere", path);  // nobody leads it out of its directory
  CHECK_THAT(StagedFile::Open(path, 1).status(), IsStatus(Code::kInvalidArgument, {path}));
  CHECK_FALSE(fs::exists(directory / "elsewhere"));
  fs::remove(path);
  const FileSizeLimit limit(1024);
  CHECK_THAT(StagedFile::Open(path, 2048).status(), IsStatus(Code::kResourceExhausted, {path}));
}

}  // namespace
}  // namespace seedlm::server
