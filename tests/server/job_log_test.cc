// What the log and the events of a job say of who did the work.
#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "server/log/log_scope.h"
#include "tests/server/engine_fixture.h"

namespace seedlm::server {
namespace {

// What is logged, each message with the fields of its thread.
class CapturingSink : public spdlog::sinks::base_sink<std::mutex> {
 public:
  std::vector<std::map<std::string, std::string>> lines;

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    lines.emplace_back(LogScope::Current().begin(), LogScope::Current().end());
    lines.back()["message"] = std::string(message.payload.data(), message.payload.size());
  }
  void flush_() override {}
};

TEST_CASE_METHOD(EngineFixture, "the log names tensor, shard, backend and device") {
  WriteSafetensors(directory / "in.safetensors", {F32Tensor("a.weight", 128, 64, 1u)});
  const auto sink = std::make_shared<CapturingSink>();
  log = std::make_shared<spdlog::logger>("test", sink);
  log->set_level(spdlog::level::debug);
  std::atomic<bool> failed = false;
  fake->before = [&failed](auto&&...) {
    return failed.exchange(true) ? absl::OkStatus() : absl::UnavailableError("device 1 fell off");
  };
  Start({1, 64 * 64, false});
  const JobRecord job = Run(Request("in.safetensors", "o"));
  REQUIRE(job.state == JobState::kSucceeded);
  AwaitIdle();
  const auto expect = [&](std::map<std::string, std::string> fields, const char* word) {
    for (auto line : sink->lines) {
      const std::string message = std::exchange(line["message"], word);
      fields["message"] = word;
      if (line == fields && message.find(word) != std::string::npos) return true;
    }
    return false;
  };
  CHECK(expect({{"job", job.name}, {"tensor", "a.weight"}, {"shard", "1/2"}, {"backend", "fake"}},
               "attempt 1 of 3 was lost"));
  for (const char* shard : {"1/2", "2/2"}) {
    CHECK(expect({{"job", job.name},
                  {"tensor", "a.weight"},
                  {"shard", shard},
                  {"backend", "fake"},
                  {"device", "host"}},
                 "encoded in"));
  }
}

TEST_CASE_METHOD(EngineFixture, "a tensor names all the backends that encoded shards of it") {
  WriteSafetensors(directory / "in.safetensors", {F32Tensor("a.weight", 192, 64, 1u)});
  fake->before = [this](auto&&...) {
    fake->by = fake->shards == 2 ? "another" : "";
    return absl::OkStatus();
  };
  Start({1, 64 * 64, false});
  const JobRecord job = Run(Request("in.safetensors", "o"));
  REQUIRE(job.state == JobState::kSucceeded);
  int tensors = 0;
  const auto events = engine->service->ReadEvents(job.name, {0, 100}).value().events;
  for (const JobEvent& event : events) {
    const auto* tensor = std::get_if<TensorResult>(&event.body);
    if (tensor == nullptr) continue;
    ++tensors;
    CHECK(tensor->backend == "fake+another");
  }
  CHECK(tensors == 1);
}

}  // namespace
}  // namespace seedlm::server
