#include "server/jobs/job_events.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <memory>
#include <thread>
#include <vector>

namespace seedlm::server {
namespace {

TEST_CASE("a watcher is told of its own job only, until its subscription ends") {
  JobEvents hub;
  int calls = 0;
  {
    const auto subscription = hub.Subscribe("jobs/a", [&] { ++calls; });
    hub.Notify("jobs/a");
    hub.Notify("jobs/b");
    CHECK(calls == 1);
  }
  hub.Notify("jobs/a");
  CHECK(calls == 1);
}

TEST_CASE("a subscription that is moved stays one") {
  JobEvents hub;
  int calls = 0;
  auto first = hub.Subscribe("jobs/a", [&] { ++calls; });
  JobEvents::Subscription second = std::move(first);
  JobEvents::Subscription third;
  third = std::move(second);
  hub.Notify("jobs/a");
  CHECK(calls == 1);
  third.Reset();
  hub.Notify("jobs/a");
  CHECK(calls == 1);
}

TEST_CASE("a callback may subscribe, unsubscribe and read progress") {
  JobEvents hub;
  JobEvents::Subscription own;
  JobEvents::Subscription other;
  int calls = 0;
  own = hub.Subscribe("jobs/a", [&] {
    ++calls;
    other = hub.Subscribe("jobs/a", [] {});
    CHECK(hub.LiveProgress("jobs/a")->shards_done == 3);
    own.Reset();
  });
  Progress progress;
  progress.shards_done = 3;
  hub.SetProgress("jobs/a", progress);
  hub.Notify("jobs/a");
  hub.Notify("jobs/a");
  CHECK(calls == 1);
}

TEST_CASE("live progress is there from the first report to its clearing") {
  JobEvents hub;
  CHECK_FALSE(hub.LiveProgress("jobs/a").has_value());
  Progress progress;
  progress.weights_done = 7;
  hub.SetProgress("jobs/a", progress);
  progress.weights_done = 8;
  hub.SetProgress("jobs/a", progress);
  CHECK(hub.LiveProgress("jobs/a")->weights_done == 8);
  CHECK_FALSE(hub.LiveProgress("jobs/b").has_value());
  hub.ClearProgress("jobs/a");
  CHECK_FALSE(hub.LiveProgress("jobs/a").has_value());
}

TEST_CASE("watchers come and go while others notify") {
  JobEvents hub;
  std::atomic<bool> done = false;
  std::thread notifier([&] {
    while (!done) hub.Notify("jobs/a");
  });
  std::vector<std::thread> watchers;
  for (int i = 0; i < 4; ++i) {
    watchers.emplace_back([&] {
      for (int round = 0; round < 500; ++round) {
        // The callback may still run after Reset: it shares what it touches.
        const auto calls = std::make_shared<std::atomic<int>>(0);
        auto subscription = hub.Subscribe("jobs/a", [calls] { ++*calls; });
        hub.Notify("jobs/a");
        if (*calls < 1) std::abort();  // our own Notify reaches our own callback
      }
    });
  }
  for (std::thread& watcher : watchers) watcher.join();
  done = true;
  notifier.join();
  int calls = 0;
  const auto subscription = hub.Subscribe("jobs/a", [&] { ++calls; });
  hub.Notify("jobs/a");
  CHECK(calls == 1);
}

}  // namespace
}  // namespace seedlm::server
