#include "tests/server/fake_s3.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cstdio>
#include <string>

#include "tests/server/status_matcher.h"

extern char** environ;

namespace seedlm::server {

FakeS3::FakeS3() {
  std::array<int, 2> in{};
  std::array<int, 2> out{};
  // Close-on-exec, or a server that is started meanwhile would hold this one's standard input open.
  REQUIRE(pipe2(in.data(), O_CLOEXEC) == 0);
  REQUIRE(pipe2(out.data(), O_CLOEXEC) == 0);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
  std::string program = SEEDLM_TEST_DATA "/s3/fake_s3.py";
  std::array<std::string, 8> words = {"python3", "-B",       program, "--bucket",
                                      "models",  "--bucket", "other", ""};
  std::array<char*, 8> argv{};
  for (size_t i = 0; i + 1 < words.size(); ++i) argv[i] = words[i].data();
  REQUIRE(posix_spawnp(&pid_, "python3", &actions, nullptr, argv.data(), environ) == 0);
  posix_spawn_file_actions_destroy(&actions);
  close(in[0]);
  close(out[1]);
  stdin_ = in[1];
  FILE* lines = fdopen(out[0], "r");
  REQUIRE(std::fscanf(lines, "%d", &port_) == 1);
  std::fclose(lines);
}

FakeS3::~FakeS3() {
  close(stdin_);  // it ends with its input
  waitpid(pid_, nullptr, 0);
}

s3::Options FakeS3::options() const {
  s3::Options options;
  options.endpoint = "http://127.0.0.1:" + std::to_string(port_);
  options.credentials = {"test-key", "test-secret", ""};
  options.retry.patience = std::chrono::seconds(2);
  options.retry.first_delay = std::chrono::milliseconds(2);
  options.retry.max_delay = std::chrono::milliseconds(20);
  return options;
}

std::unique_ptr<s3::Client> FakeS3::Connect(const s3::Options& options) {
  auto client = s3::Client::Create(options);
  REQUIRE(client.status() == absl::OkStatus());
  return *std::move(client);
}

std::string FakeS3::Control(const std::string& method, const std::string& path,
                            const std::string& body) const {
  s3::Transport transport(options());
  const s3::Body sent = s3::BodyOf(body);
  const auto answer = transport.Send({.method = method,
                                      .url = options().endpoint + path,
                                      .headers = {},
                                      .body = method == "PUT" ? &sent : nullptr,
                                      .max_answer = size_t{16} << 20},
                                     {});
  REQUIRE(answer.status() == absl::OkStatus());
  REQUIRE(answer->status == 200);
  return answer->body;
}

void FakeS3::Fail(const nlohmann::json& rules) const { Control("PUT", "/-/faults", rules.dump()); }

nlohmann::json FakeS3::State() const {
  return nlohmann::json::parse(Control("GET", "/-/state", ""));
}

int FakeS3::Calls(const std::string& operation) const {
  return State()["calls"].value(operation, 0);
}

std::string FakeS3::Sha256Of(const std::string& key) const {
  const nlohmann::json objects = State()["objects"];
  return objects.contains(key) ? objects[key]["sha256"].get<std::string>() : "";
}

}  // namespace seedlm::server
