#include "kernels/verify/planes_check.h"

#include <catch2/catch.hpp>
#include <filesystem>

#include "tests/client/tiny_checkpoint.h"
#include "tests/server/temporary_directory.h"

namespace seedlm::verify {
namespace {

std::vector<std::string> Check(const client::TinyCheckpoint& tiny) {
  const server::TemporaryDirectory scratch;
  client::WriteCompressed(tiny, scratch / "c.safetensors");
  const auto packed = OpenPackedCheckpoint(scratch / "c.safetensors");
  REQUIRE(packed.ok());
  const auto problems = CheckPlanes(*packed, 0, {});
  REQUIRE(problems.ok());
  return *problems;
}

TEST_CASE("planes: intact ones pass, a seed of zero does not, and many are not all told") {
  client::TinyCheckpoint tiny =
      client::MakeTinyCheckpoint(codec::Fit::kOptimal, codec::ScaleRule::kFitted);
  CHECK(Check(tiny).empty());
  const std::vector<uint32_t> intact = tiny.words;
  tiny.words[7] &= ~0xFFFFu;  // row 2, block 1
  const auto one = Check(tiny);
  REQUIRE(one.size() == 1);
  INFO(one[0]);
  CHECK(one[0].find("w.weight") != std::string::npos);
  CHECK(one[0].find("row 2") != std::string::npos);
  for (uint32_t& word : tiny.words) word = 0;
  CHECK(Check(tiny).size() == 6);  // a problem a row, the sixth says how many more
}

TEST_CASE("planes: a file that is truncated meanwhile has no answer") {
  const server::TemporaryDirectory scratch;
  const std::string path = scratch / "c.safetensors";
  client::WriteCompressed(
      client::MakeTinyCheckpoint(codec::Fit::kOptimal, codec::ScaleRule::kFitted), path);
  const auto packed = OpenPackedCheckpoint(path);
  REQUIRE(packed.ok());
  std::filesystem::resize_file(path, 8);
  const absl::Status status = CheckPlanes(*packed, 0, {}).status();
  CHECK(absl::IsFailedPrecondition(status));
  CHECK(status.message() ==
        path + ": became shorter while tensor 'w.weight_packed' was being read; start again");
}

TEST_CASE("planes: a check that is stopped has no answer") {
  const server::TemporaryDirectory scratch;
  const client::TinyCheckpoint tiny =
      client::MakeTinyCheckpoint(codec::Fit::kOptimal, codec::ScaleRule::kFitted);
  client::WriteCompressed(tiny, scratch / "c.safetensors");
  std::stop_source stop;
  stop.request_stop();
  CHECK(absl::IsCancelled(
      CheckPlanes(*OpenPackedCheckpoint(scratch / "c.safetensors"), 0, stop.get_token()).status()));
}

}  // namespace
}  // namespace seedlm::verify
