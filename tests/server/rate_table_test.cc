#include "server/scheduler/rate_table.h"

#include <catch2/catch.hpp>

namespace seedlm::server {
namespace {

constexpr auto kOptimal = codec::Fit::kOptimal;

TEST_CASE("an unknown backend has no rate until it was measured") {
  RateTable rates;
  CHECK(rates.WeightsPerSecond("gpu", codec::k4bit, kOptimal) == 0);
  rates.Record("gpu", codec::k4bit, kOptimal, 1000, 2.0);
  CHECK(rates.WeightsPerSecond("gpu", codec::k4bit, kOptimal) == 500);
  CHECK(rates.WeightsPerSecond("gpu", codec::k3bit, kOptimal) == 0);
  CHECK(rates.WeightsPerSecond("gpu", codec::k4bit, codec::Fit::kNearest) == 0);
}

TEST_CASE("known backends have a rate from the start, the fast one the higher") {
  const RateTable rates;
  const double cpu = rates.WeightsPerSecond("cpu", codec::k4bit, kOptimal);
  const double reference = rates.WeightsPerSecond("reference", codec::k4bit, kOptimal);
  CHECK(cpu == 25'000 * codec::k4bit.block);  // blocks a second, as kernels/bench measured them
  CHECK(reference == 460 * codec::k4bit.block);
}

TEST_CASE("threads add up on a CPU, not on a device that nobody has measured") {
  RateTable rates;
  const auto rate = [&](const char* backend, int threads) {
    return rates.WeightsPerSecond(backend, codec::k4bit, kOptimal, threads);
  };
  CHECK(rate("cpu", 4) == 4 * rate("cpu", 1));
  CHECK(rate("cuda", 4) == rate("cuda", 1));
  CHECK(rate("cuda", 1) > rate("cpu", 64));
  rates.Record("cuda", codec::k4bit, kOptimal, 100, 1.0);  // of one thread, while others wait
  CHECK(rate("cuda", 4) == 400);
}

TEST_CASE("an index makes the first guess higher, and what is measured stays as it is") {
  RateTable rates;
  CHECK(rates.WeightsPerSecond("cpu", codec::k4bit, kOptimal, 1, 0.02) ==
        Approx(50 * rates.WeightsPerSecond("cpu", codec::k4bit, kOptimal)));
  rates.Record("cpu", codec::k4bit, kOptimal, 100, 1.0);
  CHECK(rates.WeightsPerSecond("cpu", codec::k4bit, kOptimal, 1, 0.02) == 100);
}

TEST_CASE("what is measured replaces the first guess and then moves slowly") {
  RateTable rates;
  rates.Record("cpu", codec::k4bit, kOptimal, 100, 1.0);
  CHECK(rates.WeightsPerSecond("cpu", codec::k4bit, kOptimal) == 100);
  rates.Record("cpu", codec::k4bit, kOptimal, 200, 1.0);
  CHECK(rates.WeightsPerSecond("cpu", codec::k4bit, kOptimal) == Approx(110));
  rates.Record("cpu", codec::k4bit, kOptimal, 200, 0.0);  // a clock that stood still
  rates.Record("cpu", codec::k4bit, kOptimal, 0, 1.0);
  CHECK(rates.WeightsPerSecond("cpu", codec::k4bit, kOptimal) == Approx(110));
}

}  // namespace
}  // namespace seedlm::server
