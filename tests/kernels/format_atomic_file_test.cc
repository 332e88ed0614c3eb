#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cerrno>
#include <filesystem>

#include "kernels/format/atomic_file.h"
#include "kernels/format/file_io.h"
#include "kernels/format/staged_directory.h"
#include "tests/kernels/format_support.h"

namespace seedlm::format {
namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

std::span<const std::byte> Bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

TEST_CASE("a file appears under its name at Commit, not before") {
  const TemporaryDirectory directory;
  const std::string path = directory.path("out");
  absl::StatusOr<AtomicFile> file = AtomicFile::Create(path, 6, IfExists::kFail);
  REQUIRE(file.ok());
  REQUIRE(file->WriteAt(3, Bytes("def")).ok());
  REQUIRE(file->WriteAt(0, Bytes("abc")).ok());
  REQUIRE(directory.List().size() == 1);
  CHECK(directory.List()[0].starts_with("."));
  REQUIRE(file->Commit().ok());
  CHECK(directory.List() == Names{"out"});
  CHECK(ReadBytes(path) == "abcdef");
  const absl::Status again = file->Commit();
  CHECK(again.code() == absl::StatusCode::kFailedPrecondition);
  CHECK(again.message() == path + ": was committed or abandoned before");
}

TEST_CASE("a file that is not committed leaves nothing") {
  const TemporaryDirectory directory;
  {
    absl::StatusOr<AtomicFile> file =
        AtomicFile::Create(directory.path("out"), 10, IfExists::kFail);
    REQUIRE(file.ok());
    REQUIRE(file->WriteAt(0, Bytes("abc")).ok());
    AtomicFile moved = *std::move(file);
    CHECK(directory.List().size() == 1);
  }
  CHECK(directory.List().empty());
}

TEST_CASE("what was written is read back, and no more than that") {
  const TemporaryDirectory directory;
  const std::string path = directory.path("out");
  const absl::StatusOr<AtomicFile> file = AtomicFile::Create(path, 3, IfExists::kFail);
  REQUIRE(file.ok());
  REQUIRE(file->WriteAt(0, Bytes("abc")).ok());
  std::array<std::byte, 4> bytes{};
  CHECK(file->ReadAt(1, std::span(bytes).first(2)).ok());
  CHECK(bytes[1] == std::byte{'c'});
  const absl::Status status = file->ReadAt(0, bytes);
  CHECK(status.code() == absl::StatusCode::kInternal);
  CHECK(status.message() == path + ": cannot read back: ends before byte 3");
}

TEST_CASE("what is never written reads as zeros") {
  const TemporaryDirectory directory;
  absl::StatusOr<AtomicFile> file = AtomicFile::Create(directory.path("out"), 5, IfExists::kFail);
  REQUIRE(file.ok());
  REQUIRE(file->WriteAt(4, Bytes("x")).ok());
  REQUIRE(file->Commit().ok());
  CHECK(ReadBytes(directory.path("out")) == std::string("\0\0\0\0x", 5));
}

TEST_CASE("an existing file is kept, unless it may be replaced") {
  const TemporaryDirectory directory;
  const std::string path = directory.path("out");
  WriteBytes(path, "old");
  const absl::Status refused = WriteFileAtomically(path, "new", IfExists::kFail);
  CHECK(refused.code() == absl::StatusCode::kAlreadyExists);
  CHECK(refused.message() == path + ": already exists; remove it or ask for it to be replaced");
  CHECK(ReadBytes(path) == "old");
  CHECK(WriteFileAtomically(path, "new", IfExists::kReplace).ok());
  CHECK(ReadBytes(path) == "new");
  CHECK(directory.List() == Names{"out"});
}

TEST_CASE("a file that appears before Commit is not overwritten") {
  const TemporaryDirectory directory;
  const std::string path = directory.path("out");
  absl::StatusOr<AtomicFile> file = AtomicFile::Create(path, 3, IfExists::kFail);
  REQUIRE(file.ok());
  WriteBytes(path, "theirs");
  const absl::Status status = file->Commit();
  CHECK(status.code() == absl::StatusCode::kAlreadyExists);
  CHECK_THAT(Message(status), Catch::Contains(path));
  CHECK(ReadBytes(path) == "theirs");
  CHECK(directory.List() == Names{"out"});
}

TEST_CASE("a symbolic link is replaced, its target is not written") {
  const TemporaryDirectory directory;
  WriteBytes(directory.path("target"), "old");
  fs::create_symlink("target", directory.path("link"));
  CHECK(WriteFileAtomically(directory.path("link"), "new", IfExists::kFail).code() ==
        absl::StatusCode::kAlreadyExists);
  CHECK(WriteFileAtomically(directory.path("link"), "new", IfExists::kReplace).ok());
  CHECK(ReadBytes(directory.path("target")) == "old");
  CHECK_FALSE(fs::is_symlink(directory.path("link")));
}

TEST_CASE("a place where no file can be is refused by name") {
  const TemporaryDirectory directory;
  const auto code = [&](const std::string& path) {
    const absl::Status status = WriteFileAtomically(path, "x", IfExists::kReplace);
    CHECK_THAT(Message(status), Catch::Contains(path));
    return status.code();
  };
  CHECK(code(directory.path("missing/out")) == absl::StatusCode::kNotFound);
  CHECK(code(directory.path("out/")) == absl::StatusCode::kInvalidArgument);
  CHECK(WriteFileAtomically("out/", "x", IfExists::kReplace).message() ==
        "'out/': is no file name");
  CHECK(code(directory.path()) == absl::StatusCode::kInvalidArgument);
  fs::create_directory(directory.path("sub"));
  CHECK(code(directory.path("sub")) == absl::StatusCode::kInvalidArgument);
  CHECK(directory.List() == Names{"sub"});
}

TEST_CASE("a file that the disk cannot hold is refused before it is written") {
  const TemporaryDirectory directory;
  const uint64_t size = fs::space(directory.path()).available + (uint64_t{1} << 40);
  const absl::Status status =
      AtomicFile::Create(directory.path("out"), size, IfExists::kFail).status();
  CHECK(status.code() == absl::StatusCode::kResourceExhausted);
  CHECK_THAT(Message(status), Catch::Contains(directory.path("out") + ": needs"));
  CHECK(directory.List().empty());
}

TEST_CASE("a limit on the size of files shows at once and leaves nothing") {
  const TemporaryDirectory directory;
  rlimit old_limit{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &old_limit) == 0);
  const auto old_handler = signal(SIGXFSZ, SIG_IGN);
  rlimit limit = old_limit;
  limit.rlim_cur = 4096;
  REQUIRE(setrlimit(RLIMIT_FSIZE, &limit) == 0);
  const absl::Status status =
      AtomicFile::Create(directory.path("out"), 8192, IfExists::kFail).status();
  setrlimit(RLIMIT_FSIZE, &old_limit);
  signal(SIGXFSZ, old_handler);
  CHECK(status.code() == absl::StatusCode::kResourceExhausted);
  CHECK_THAT(Message(status), Catch::Contains(directory.path("out")));
  CHECK(directory.List().empty());
}

TEST_CASE("system errors say what to do by their code") {
  const auto code = [](int error) { return ErrnoToStatus(error, "p", "write").code(); };
  CHECK(code(ENOSPC) == absl::StatusCode::kResourceExhausted);
  CHECK(code(EDQUOT) == absl::StatusCode::kResourceExhausted);
  CHECK(code(ENOENT) == absl::StatusCode::kNotFound);
  CHECK(code(EACCES) == absl::StatusCode::kPermissionDenied);
  CHECK(code(EROFS) == absl::StatusCode::kPermissionDenied);
  CHECK(code(EEXIST) == absl::StatusCode::kAlreadyExists);
  CHECK(code(EIO) == absl::StatusCode::kInternal);
  CHECK(ErrnoToStatus(ENOSPC, "a\nb", "write").message() ==
        "a\\x0ab: cannot write: No space left on device");
}

TEST_CASE("small files are read up to a limit") {
  const TemporaryDirectory directory;
  WriteBytes(directory.path("in"), "12345");
  CHECK(ReadSmallFile(directory.path("in"), 5).value() == "12345");
  const absl::Status too_large = ReadSmallFile(directory.path("in"), 4).status();
  CHECK(too_large.code() == absl::StatusCode::kInvalidArgument);
  CHECK_THAT(Message(too_large), Catch::Contains(directory.path("in") + ": is larger than 4"));
  CHECK(ReadSmallFile(directory.path("no"), 4).status().code() == absl::StatusCode::kNotFound);
  CHECK(ReadSmallFile(directory.path(), 4).status().code() == absl::StatusCode::kInvalidArgument);
}

TEST_CASE("files are copied whole, empty ones too") {
  const TemporaryDirectory directory;
  const std::string content(5 << 20, 'y');
  for (const std::string& text : {std::string(), std::string("short"), content}) {
    WriteBytes(directory.path("in"), text);
    REQUIRE(
        CopyFileAtomically(directory.path("in"), directory.path("out"), IfExists::kReplace).ok());
    CHECK(ReadBytes(directory.path("out")) == text);
  }
  CHECK(CopyFileAtomically(directory.path("in"), directory.path("out"), IfExists::kFail).code() ==
        absl::StatusCode::kAlreadyExists);
  CHECK(CopyFileAtomically(directory.path("no"), directory.path("new"), IfExists::kFail).code() ==
        absl::StatusCode::kNotFound);
}

TEST_CASE("a name that leads to another file by now is known") {
  const TemporaryDirectory directory;
  WriteBytes(directory.path("working"), "x");
  const int fd = open(directory.path("working").c_str(), O_RDONLY);
  REQUIRE(fd >= 0);
  CHECK(HasName(fd, directory.path("working")));
  fs::rename(directory.path("working"), directory.path("final"));
  CHECK_FALSE(HasName(fd, directory.path("working")));
  CHECK(HasName(fd, directory.path("final")));
  WriteBytes(directory.path("working"), "x");
  CHECK_FALSE(HasName(fd, directory.path("working")));
  close(fd);
}

TEST_CASE("while one has a working file, nobody else gets it, up to its end") {
  const TemporaryDirectory directory;
  const auto resume = [&] {
    return AtomicFile::Resume(directory.path("out"), directory.path(".working"), 3,
                              IfExists::kReplace);
  };
  {
    const absl::StatusOr<AtomicFile> first = resume();
    REQUIRE(first.ok());
    CHECK(resume().status().code() == absl::StatusCode::kAborted);
  }
  CHECK(directory.List().empty());
  absl::StatusOr<AtomicFile> second = resume();
  REQUIRE(second.ok());
  REQUIRE(second->WriteAt(0, Bytes("new")).ok());
  REQUIRE(second->Commit().ok());
  absl::StatusOr<AtomicFile> third = resume();  // of another file: the first is the output
  REQUIRE(third.ok());
  CHECK(third->written() == 0);
  REQUIRE(third->Clear().ok());
  CHECK(ReadBytes(directory.path("out")) == "new");
}

TEST_CASE("a file that is replaced keeps its permissions") {
  const TemporaryDirectory directory;
  WriteBytes(directory.path("out"), "old");
  fs::permissions(directory.path("out"), fs::perms::owner_read | fs::perms::owner_write);
  REQUIRE(WriteFileAtomically(directory.path("out"), "new", IfExists::kReplace).ok());
  CHECK(ReadBytes(directory.path("out")) == "new");
  CHECK(fs::status(directory.path("out")).permissions() ==
        (fs::perms::owner_read | fs::perms::owner_write));
}

TEST_CASE("a directory appears under its name at Commit, not before") {
  const TemporaryDirectory directory;
  absl::StatusOr<StagedDirectory> staged =
      StagedDirectory::Create(directory.path("out/"), IfExists::kFail);
  REQUIRE(staged.ok());
  const absl::StatusOr<std::string> file = staged->PathFor("a/b/file");
  REQUIRE(file.ok());
  REQUIRE(WriteFileAtomically(*file, "x", IfExists::kFail).ok());
  CHECK_FALSE(fs::exists(directory.path("out")));
  REQUIRE(staged->Commit().ok());
  CHECK(directory.List() == Names{"out", "out/a", "out/a/b", "out/a/b/file"});
}

TEST_CASE("a directory that is not committed leaves nothing") {
  const TemporaryDirectory directory;
  {
    absl::StatusOr<StagedDirectory> staged =
        StagedDirectory::Create(directory.path("out"), IfExists::kFail);
    REQUIRE(staged.ok());
    REQUIRE(WriteFileAtomically(*staged->PathFor("file"), "x", IfExists::kFail).ok());
  }
  CHECK(directory.List().empty());
}

const NewOutput kRestored{{"ours", "a/ours"}, OutputKind::kRestored};

TEST_CASE("an existing directory is kept, or replaced whole at Commit where that was asked for") {
  const TemporaryDirectory directory;
  WriteBytes(directory.path("out/a/ours"), "old");
  const absl::Status refused =
      StagedDirectory::Create(directory.path("out"), IfExists::kFail).status();
  CHECK(refused.code() == absl::StatusCode::kAlreadyExists);
  CHECK_THAT(Message(refused), Catch::Contains(directory.path("out")));
  absl::StatusOr<StagedDirectory> staged =
      StagedDirectory::Create(directory.path("out"), IfExists::kReplace, kRestored);
  REQUIRE(staged.ok());
  REQUIRE(WriteFileAtomically(*staged->PathFor("ours"), "x", IfExists::kFail).ok());
  CHECK(ReadBytes(directory.path("out/a/ours")) == "old");
  REQUIRE(staged->Commit().ok());
  CHECK(directory.List() == Names{"out", "out/ours"});
}

TEST_CASE("a replacement that is not committed leaves the old directory as it was") {
  const TemporaryDirectory directory;
  WriteBytes(directory.path("out/ours"), "old");
  {
    absl::StatusOr<StagedDirectory> staged =
        StagedDirectory::Create(directory.path("out"), IfExists::kReplace, kRestored);
    REQUIRE(staged.ok());
    REQUIRE(WriteFileAtomically(*staged->PathFor("ours"), "x", IfExists::kFail).ok());
  }
  CHECK(directory.List() == Names{"out", "out/ours"});
  CHECK(ReadBytes(directory.path("out/ours")) == "old");
}

TEST_CASE("a directory with a file that the new one has not is never replaced") {
  const TemporaryDirectory directory;
  for (const char* foreign : {"out/notes.txt", "out/a/notes.txt", "out/.git/HEAD"}) {
    INFO(foreign);
    fs::remove_all(directory.path("out"));
    WriteBytes(directory.path("out/ours"), "old");
    {
      absl::StatusOr<StagedDirectory> staged =
          StagedDirectory::Create(directory.path("out"), IfExists::kReplace, kRestored);
      REQUIRE(staged.ok());
      WriteBytes(directory.path(foreign), "precious");  // after the first look
      const absl::Status late = staged->Commit();
      CHECK(late.code() == absl::StatusCode::kFailedPrecondition);
    }
    const absl::Status early =
        StagedDirectory::Create(directory.path("out"), IfExists::kReplace, kRestored).status();
    CHECK(early.code() == absl::StatusCode::kFailedPrecondition);
    CHECK_THAT(Message(early), Catch::Contains(directory.path("out: holds '")));
    CHECK(ReadBytes(directory.path(foreign)) == "precious");
    CHECK(ReadBytes(directory.path("out/ours")) == "old");
    CHECK(fs::is_directory(directory.path("out")));
    CHECK(std::distance(fs::directory_iterator(directory.path("")), {}) == 1);
  }
}

TEST_CASE("restored weights never replace a directory of ordinary ones") {
  const TemporaryDirectory directory;
  const NewOutput restored{{"m.safetensors", "a/m.safetensors"}, OutputKind::kRestored};
  for (const char* weights : {"out/m.safetensors", "out/a/m.safetensors"}) {
    INFO(weights);
    fs::remove_all(directory.path("out"));
    WriteBytes(directory.path(weights), "of whatever program");
    const absl::Status refused =
        StagedDirectory::Create(directory.path("out"), IfExists::kReplace, restored).status();
    CHECK(refused.code() == absl::StatusCode::kFailedPrecondition);
    CHECK_THAT(Message(refused), Catch::Contains("ordinary weights, of which these may be the "
                                                 "only ones; it is not overwritten: remove it"));
    CHECK(ReadBytes(directory.path(weights)) == "of whatever program");
  }
}

TEST_CASE("what is not a file is not replaced by one") {
  const TemporaryDirectory directory;
  REQUIRE(mkfifo(directory.path("fifo").c_str(), 0600) == 0);
  fs::create_directory(directory.path("directory"));
  for (const char* name : {"fifo", "directory"}) {
    const absl::Status refused =
        AtomicFile::Create(directory.path(name), 1, IfExists::kReplace).status();
    CHECK(refused.code() == absl::StatusCode::kInvalidArgument);
    CHECK(refused.message() ==
          directory.path(name) + ": is not a file, so it is not replaced; choose another name");
  }
  CHECK(directory.List() == Names{"directory", "fifo"});
}

TEST_CASE("a directory that appears before Commit is not overwritten") {
  const TemporaryDirectory directory;
  {
    absl::StatusOr<StagedDirectory> staged =
        StagedDirectory::Create(directory.path("out"), IfExists::kFail);
    REQUIRE(staged.ok());
    WriteBytes(directory.path("out/theirs"), "x");
    CHECK(staged->Commit().code() == absl::StatusCode::kAlreadyExists);
  }
  CHECK(directory.List() == Names{"out", "out/theirs"});
}

TEST_CASE("a directory cannot take the place of a file or live nowhere") {
  const TemporaryDirectory directory;
  WriteBytes(directory.path("file"), "x");
  const absl::Status in_the_way =
      StagedDirectory::Create(directory.path("file"), IfExists::kReplace).status();
  CHECK(in_the_way.code() == absl::StatusCode::kInvalidArgument);
  CHECK(in_the_way.message() == directory.path("file") + ": is a file, not a directory");
  CHECK(StagedDirectory::Create(directory.path("no/out"), IfExists::kFail).status().code() ==
        absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace seedlm::format
