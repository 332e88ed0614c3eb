// An engine whose shards wait for the test.
#pragma once

#include <catch2/catch.hpp>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <utility>

#include "tests/server/engine_fixture.h"

namespace seedlm::server {

// Shards wait here until they are let go or stopped.
class Gate {
 public:
  absl::Status Pass(std::stop_token stop) {
    std::unique_lock lock(mutex_);
    ++waiting_;
    changed_.notify_all();
    changed_.wait(lock, stop, [this] { return open_; });
    return open_ ? absl::OkStatus() : absl::CancelledError("stopped on request");
  }
  void WaitForShards(int count) {
    std::unique_lock lock(mutex_);
    REQUIRE(changed_.wait_for(lock, std::chrono::minutes(1), [&] { return waiting_ >= count; }));
  }
  void Open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any changed_;
  int waiting_ = 0;
  bool open_ = false;
};

struct GatedFixture : EngineFixture {
  GatedFixture() {
    fake->before = [this](const backend::WeightRows&, std::stop_token stop) {
      return gate.Pass(std::move(stop));
    };
    WriteSafetensors(directory / "in.safetensors", {F32Tensor("a.weight", 640, 64, 1u)});
  }
  ~GatedFixture() { engine.reset(); }  // before the gate
  Gate gate;
};

}  // namespace seedlm::server
