#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <thread>

#include "server/auth/token_file.h"
#include "server/auth/token_table.h"
#include "tests/server/status_matcher.h"
#include "tests/server/temporary_directory.h"

namespace seedlm::server {
namespace {

using Code = absl::StatusCode;

std::string Line(const std::string& token, const std::string& rest) {
  return ToHex(DigestOf(token)) + " " + rest + "\n";
}

TEST_CASE("a digest is what sha256sum prints") {
  // FIPS 180-2, "abc".
  CHECK(ToHex(DigestOf("abc")) ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_CASE("a token is found with its owner and role; comments and blanks are none") {
  const auto table =
      TokenTable::Parse("# who may come in\n\n  \t\n" + Line("a", "alice user") + "  " +
                            Line("b", "bob\t  readonly\r") + Line("c", "alice admin"),
                        "tokens");
  INFO(table.status());
  REQUIRE(table.ok());
  CHECK(table->size() == 3);
  REQUIRE(table->Find("a").has_value());
  CHECK(table->Find("a")->owner == "alice");
  CHECK(table->Find("a")->role == Role::kUser);
  CHECK(table->Find("b")->role == Role::kReadonly);
  CHECK(table->Find("c")->role == Role::kAdmin);
  for (const std::string token : {"", "d", "A", "a ", "alice"}) {
    CHECK_FALSE(table->Find(token).has_value());
  }
  CHECK_FALSE(table->Find(ToHex(DigestOf("a"))).has_value());  // a digest is no token
}

TEST_CASE("a line that is wrong is named, and never shown: it may hold a token") {
  const std::string good = Line("a", "alice user");
  const std::string digest = ToHex(DigestOf("b"));
  const std::string secret = "s3cr3t-token";
  struct Row {
    std::string line;
    std::string word;
  };
  const Row rows[] = {
      {secret + " bob user", "64 hex digits"},
      {digest.substr(1) + " bob user", "64 hex digits"},
      {"z" + digest.substr(1) + " bob user", "64 hex digits"},
      {digest, "DIGEST OWNER ROLE"},
      {digest + " bob", "DIGEST OWNER ROLE"},
      {digest + " bob user more", "DIGEST OWNER ROLE"},
      {digest + " ../bob user", "no owner"},
      {digest + " .bob user", "no owner"},
      {digest + " b/ob user", "no owner"},
      {digest + " " + std::string(65, 'b') + " user", "no owner"},
      {digest + " bob root", "no role"},
      {digest + " bob " + secret, "third field is no role"},
      {digest + " " + secret + "= user", "second field is no owner"},
      {digest + " bob user " + secret, "DIGEST OWNER ROLE"},
      {ToHex(DigestOf("a")) + " bob user", "line 1 again"},
  };
  for (const Row& row : rows) {
    const absl::Status status = TokenTable::Parse(good + row.line, "/etc/tokens").status();
    CHECK_THAT(status, IsStatus(Code::kInvalidArgument, {"/etc/tokens:2: ", row.word}));
    CHECK(std::string(status.message()).find(secret) == std::string::npos);
  }
  CHECK_THAT(TokenTable::Parse("# nobody\n", "f").status(),
             IsStatus(Code::kInvalidArgument, {"f: lists no token"}));
}

TEST_CASE("the number of tokens is limited") {
  std::string text;
  for (size_t i = 0; i < kMaxTokens; ++i) text += Line(std::to_string(i), "a user");
  CHECK(TokenTable::Parse(text, "f").ok());
  CHECK_THAT(TokenTable::Parse(text + Line("x", "a user"), "f").status(),
             IsStatus(Code::kInvalidArgument, {"f:10001: "}));
}

TEST_CASE("roles: who may what, and who sees whose") {
  CHECK(CheckRight({"a", Role::kReadonly}, Right::kRead).ok());
  const absl::Status denied = CheckRight({"a", Role::kReadonly}, Right::kWrite);
  CHECK(absl::IsPermissionDenied(denied));
  CHECK(ReasonOf(denied) == "ROLE_FORBIDS");
  CHECK(CheckRight({"a", Role::kUser}, Right::kWrite).ok());
  CHECK(CheckRight({"a", Role::kAdmin}, Right::kWrite).ok());
  CHECK(Caller{"a", Role::kUser}.Sees("a"));
  CHECK_FALSE(Caller{"a", Role::kUser}.Sees("b"));
  CHECK_FALSE(Caller{"a", Role::kReadonly}.Sees(""));
  CHECK(Caller{"a", Role::kAdmin}.Sees("b"));
}

// A token file, and what was said about it.
struct FileFixture {
  FileFixture() { Write(Line("old", "alice user")); }
  void Write(const std::string& text) {
    WriteText(path + ".new", text);
    chmod((path + ".new").c_str(), mode);
    std::filesystem::rename(path + ".new", path);
  }
  std::unique_ptr<TokenFile> Open() {
    auto file =
        TokenFile::Open(path, {[this](const std::string& text) { warnings.push_back(text); },
                               [this](const std::string& text) { told.push_back(text); }});
    INFO(file.status());
    REQUIRE(file.ok());
    return *std::move(file);
  }
  TemporaryDirectory directory;
  std::string path = directory / "tokens";
  mode_t mode = 0600;
  std::vector<std::string> warnings, told;
};

TEST_CASE("a token file is taken up again when it has changed") {
  FileFixture fixture;
  const auto file = fixture.Open();
  CHECK(file->Table()->Find("old").has_value());
  CHECK(fixture.told == std::vector{fixture.path + ": 1 token read"});
  fixture.Write(Line("new", "alice user") + Line("more", "bob user"));
  bool changed = false;
  for (int i = 0; i < 100 && !changed; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    changed = file->Table()->Find("new").has_value();
  }
  CHECK(changed);
  CHECK_FALSE(file->Table()->Find("old").has_value());
  CHECK(fixture.warnings.empty());
  CHECK(fixture.told.size() == 2);  // once for each change
  CHECK(fixture.told.back() == fixture.path + ": 2 tokens read");
}

TEST_CASE("a token file that is wrong now changes nothing, and is warned of") {
  FileFixture fixture;
  const auto file = fixture.Open();
  fixture.Write("nonsense\n");
  CHECK_THAT(file->Reload(), IsStatus(Code::kInvalidArgument, {fixture.path + ":1: "}));
  CHECK(file->Table()->Find("old").has_value());
  std::filesystem::remove(fixture.path);
  CHECK_THAT(file->Reload(), IsStatus(Code::kNotFound, {fixture.path}));
  CHECK(file->Table()->Find("old").has_value());
  fixture.Write("nonsense again\n");
  for (int i = 0; i < 100 && fixture.warnings.empty(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    CHECK(file->Table()->Find("old").has_value());
  }
  CHECK(fixture.warnings.size() == 1);
  fixture.Write(Line("new", "alice user"));
  CHECK(file->Reload().ok());
  CHECK(file->Table()->Find("new").has_value());
}

TEST_CASE("digests that others may read or change are warned of; a missing file is an error") {
  FileFixture fixture;
  fixture.mode = 0644;
  fixture.Write(Line("a", "alice user"));
  fixture.Open();
  REQUIRE(fixture.warnings.size() == 1);
  CHECK(fixture.warnings[0].find(fixture.path) == 0);
  fixture.warnings.clear();
  fixture.mode = 0640;  // a group that may read it is how services get at such files
  fixture.Write(Line("a", "alice user"));
  fixture.Open();
  CHECK(fixture.warnings.empty());
  CHECK_THAT(TokenFile::Open(fixture.path + "-not", {[](const std::string&) {}}).status(),
             IsStatus(Code::kNotFound, {"tokens-not"}));
}

}  // namespace
}  // namespace seedlm::server
