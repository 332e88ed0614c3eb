#include "server/jobs/page_token.h"

#include <catch2/catch.hpp>
#include <limits>

#include "tests/server/status_matcher.h"

namespace seedlm::server {
namespace {

TEST_CASE("a page token leads back to its row, with its filters only") {
  JobQuery query;
  query.state = JobState::kFailed;
  query.labels = {{"a", "b"}};
  query.page_token = MakePageToken(query, 42);
  CHECK(ParsePageToken(query).value() == 42);

  const auto refused = [](JobQuery changed) {
    return absl::IsInvalidArgument(ParsePageToken(changed).status());
  };
  JobQuery other = query;
  other.state = JobState::kRunning;
  CHECK(refused(other));
  other = query;
  other.state.reset();
  CHECK(refused(other));
  other = query;
  other.labels = {{"ab", ""}};  // the same bytes in a row
  CHECK(refused(other));
}

TEST_CASE("the page size is no filter") {
  JobQuery query;
  query.page_token = MakePageToken(query, std::numeric_limits<int64_t>::max());
  query.page_size = 3;
  CHECK(ParsePageToken(query).value() == std::numeric_limits<int64_t>::max());
}

TEST_CASE("a token that List did not give is refused") {
  JobQuery query;
  CHECK(ParsePageToken(query).value() == std::numeric_limits<int64_t>::max());
  const std::string good = MakePageToken(query, 5);
  for (const std::string& bad :
       {std::string("x"), good + "0", good.substr(1), std::string(32, 'z'), std::string(32, '0'),
        "ffffffffffffffff" + good.substr(16), "0x" + good.substr(2)}) {
    INFO(bad);
    query.page_token = bad;
    CHECK_THAT(ParsePageToken(query).status(), IsInvalidField("page_token"));
  }
}

}  // namespace
}  // namespace seedlm::server
