// The same with an output at an S3 server: its objects are those of an undisturbed run, and nothing
// else is left there.
#include <stdlib.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "server/storage/s3/signature_v4.h"
#include "tests/server/fake_s3.h"
#include "tests/server/kill_fixture.h"

namespace seedlm::server {
namespace {

using Sums = std::map<std::string, std::string>;  // SHA-256 by path

constexpr int64_t kEmbedded = 24 << 10;  // rows of 256 bytes: two parts of the smallest size

// One for all cases, each with a prefix of its own.
const FakeS3& S3() {
  static const FakeS3 fake;
  static const bool known = [] {
    setenv("AWS_ENDPOINT_URL", fake.options().endpoint.c_str(), 1);
    setenv("AWS_ACCESS_KEY_ID", "test-key", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "test-secret", 1);
    return true;
  }();
  REQUIRE(known);
  return fake;
}

const Sums& Undisturbed() {
  static const Sums sums = [] {
    KillFixture fixture(kEmbedded);
    fixture.Run({});
    Sums made;
    for (const auto& [path, content] : Tree(fixture.root() / "out")) {
      made[path] = s3::Sha256Hex(content);
    }
    return made;
  }();
  return sums;
}

Sums ObjectsAt(const std::string& prefix) {
  Sums sums;
  const nlohmann::json state = S3().State();
  for (const auto& [name, object] : state["objects"].items()) {
    const std::string start = "models/" + prefix + "/";
    if (name.starts_with(start)) sums[name.substr(start.size())] = object["sha256"];
  }
  return sums;
}

int UploadsAt(const std::string& prefix) {
  int count = 0;
  const nlohmann::json state = S3().State();
  for (const auto& upload : state["uploads"]) {
    count += upload["key"].get<std::string>().starts_with(prefix + "/");
  }
  return count;
}

bool NothingLeft(const KillFixture& fixture, const std::string& prefix) {
  return UploadsAt(prefix) == 0 && Tree(fixture.folder() / "data/s3").empty();
}

// `again`: over the output of an earlier job.
void CheckKilled(const Kill& deadly, bool again = false) {
  INFO(deadly.step << " " << deadly.count << (again ? ", overwriting" : ""));
  static int cases = 0;
  const std::string prefix = "case" + std::to_string(++cases);
  (void)S3();
  KillFixture fixture(kEmbedded);
  const std::string uri = "s3://models/" + prefix;
  if (again) fixture.Run({}, {.output = uri, .three_bits = true});
  fixture.Run({deadly}, {.output = uri, .overwrite = again});
  CHECK(ObjectsAt(prefix) == Undisturbed());
  // What the killed one left is swept by a server that is there for it.
  const FaultServer server(fixture.folder(), {}, fixture.commit);
  for (int i = 0; i < 1000 && !NothingLeft(fixture, prefix); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  CHECK(NothingLeft(fixture, prefix));
  CHECK(ObjectsAt(prefix) == Undisturbed());
}

TEST_CASE("killed on the way to S3, the same objects are there in the end, and no parts") {
  CheckKilled(
      GENERATE(Kill{"s3.created"}, Kill{"s3.sent", 2}, Kill{"s3.completed"}, Kill{"s3.made", 2}));
}

TEST_CASE("killed while it overwrites at S3, the new objects are there in the end") {
  CheckKilled({"s3.made", 2}, true);
}

TEST_CASE("killed at the other steps on the way to S3", "[.][slow]") {
  CheckKilled(GENERATE(Kill{"open.staged"}, Kill{"shard.encoded", 5}, Kill{"s3.begun"},
                       Kill{"s3.opened"}, Kill{"s3.sent", 1}, Kill{"commit.summed"},
                       Kill{"commit.intended"}, Kill{"s3.made", 1}, Kill{"commit.published"},
                       Kill{"end.storing"}, Kill{"end.stored"}));
}

TEST_CASE("killed at the other steps while it overwrites at S3", "[.][slow]") {
  CheckKilled(GENERATE(Kill{"s3.sent", 1}, Kill{"commit.intended"}, Kill{"s3.completed"},
                       Kill{"commit.published"}, Kill{"end.storing"}),
              true);
}

}  // namespace
}  // namespace seedlm::server
