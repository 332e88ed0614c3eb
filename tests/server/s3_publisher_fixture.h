// A staged output that goes to an S3 server of the test's own.
#pragma once

#include <catch2/catch.hpp>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "server/storage/s3_publisher.h"
#include "tests/server/fake_s3.h"
#include "tests/server/status_matcher.h"
#include "tests/server/temporary_directory.h"

namespace seedlm::server {

inline constexpr int64_t kPart = s3::kMinPartBytes;
inline constexpr char kModel[] = "model.safetensors";

inline std::string Data(size_t size, uint32_t state) {
  std::string data(size, '\0');
  for (char& byte : data) {
    state = state * 1664525 + 1013904223;
    byte = static_cast<char>(state >> 24);
  }
  return data;
}

// A staged output: a model of two parts and a little, config.json, an index, a note below.
struct S3PublisherFixture {
  S3PublisherFixture() {
    std::filesystem::create_directories(scratch / "ledgers");
    files = {{"config.json", "{}"},
             {kModel, Data(2 * kPart + 77, 1)},
             {"model.safetensors.index.json", "{\"weight_map\": {}}"},
             {"onnx/note.txt", "copied"}};
    target.path = scratch / "ledgers/1";
    target.directory = true;
    target.id = "1";
    target.s3 = s3::Location{"models", "out/tiny"};
    Connect(fake.options());
  }
  void Connect(const s3::Options& options) {
    sweeper.reset();
    client = FakeS3::Connect(options);
    sweeper = std::make_unique<S3Sweeper>(
        *client, [this](const std::string& warning) { Warned(warning); },
        std::chrono::milliseconds(20));
  }
  std::unique_ptr<S3Publisher> Make() {
    return std::make_unique<S3Publisher>(
        target, S3Publisher::Parts{absl::OkStatus(), client.get(), sweeper.get(),
                                   scratch / "ledgers", transfer, [] { return std::time(nullptr); },
                                   [this](std::string_view step) { Reached(step); },
                                   [this](const std::string& warning) { Warned(warning); },
                                   [this](const std::string& message) {
                                     const std::lock_guard lock(mutex);
                                     informed.push_back(message);
                                   }});
  }
  // Stages the files and begins.
  absl::Status Begin(S3Publisher& publisher) {
    Staging staging;
    staging.directory = StagingPath(target);
    staging.outputs = {kModel};
    for (const auto& [path, content] : files) {
      WriteText(staging.directory + "/" + path, content);
      staging.paths.insert(path);
    }
    return publisher.Begin(staging);
  }
  absl::Status AllIsFinal(S3Publisher& publisher) {
    const auto size = static_cast<uint64_t>(files.at(kModel).size());
    for (uint64_t offset = 0; offset < size; offset += 1'000'000) {
      absl::Status status =
          publisher.RangeIsFinal({0, offset, std::min<uint64_t>(1'000'000, size - offset)});
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }
  std::vector<StoredFile> Stored() const {
    std::vector<StoredFile> stored;
    for (const auto& [path, content] : files) {
      stored.push_back({path, static_cast<int64_t>(content.size()), s3::Sha256Hex(content)});
    }
    return stored;
  }
  absl::Status Whole(S3Publisher& publisher) {
    absl::Status status = Begin(publisher);
    if (status.ok()) status = AllIsFinal(publisher);
    if (status.ok()) status = publisher.Publish(Stored(), {});
    return status;
  }
  // What is visible in the bucket is this job's output, or nothing.
  void CheckVisible(bool all) const {
    const nlohmann::json objects = fake.State()["objects"];
    if (!all) {
      CHECK(objects.empty());
      return;
    }
    REQUIRE(objects.size() == files.size());
    for (const auto& [path, content] : files) {
      const std::string key = "models/out/tiny/" + path;
      INFO(key);
      REQUIRE(objects.contains(key));
      CHECK(objects[key]["sha256"] == s3::Sha256Hex(content));
      CHECK(objects[key]["owner"] == "jobs/1");
    }
  }
  void AwaitNoOrphans() const {
    while (!sweeper->idle()) std::this_thread::yield();
    CHECK(fake.State()["uploads"].empty());
    CHECK(S3Ledger::Find(scratch / "ledgers").empty());
  }

  void Reached(std::string_view step) {
    const std::lock_guard lock(mutex);
    ++steps[std::string(step)];
  }
  int Count(const std::string& step) {
    const std::lock_guard lock(mutex);
    return steps[step];
  }
  void Warned(const std::string& warning) {
    const std::lock_guard lock(mutex);
    warnings.push_back(warning);
  }

  std::mutex mutex;
  std::map<std::string, int> steps;   // how often each was reached; guarded by mutex
  std::vector<std::string> warnings;  // guarded by mutex
  std::vector<std::string> informed;  // guarded by mutex
  FakeS3 fake;
  TemporaryDirectory scratch;
  std::map<std::string, std::string> files;
  SinkTarget target;
  S3Transfer transfer{kPart, 2};
  std::unique_ptr<s3::Client> client;
  std::unique_ptr<S3Sweeper> sweeper;
};

}  // namespace seedlm::server
