#include <catch2/catch.hpp>

#include "kernels/format/name_pattern.h"

namespace seedlm::format {
namespace {

bool Matches(std::string_view pattern, std::string_view name) {
  const absl::StatusOr<NamePattern> parsed = NamePattern::Parse(pattern);
  REQUIRE(parsed.ok());
  return parsed->Matches(name);
}

TEST_CASE("a glob matches the whole name") {
  CHECK(Matches("a.weight", "a.weight"));
  CHECK_FALSE(Matches("a.weight", "xa.weight"));
  CHECK_FALSE(Matches("a.weight", "a.weightx"));
  CHECK_FALSE(Matches("A.weight", "a.weight"));
  CHECK(Matches("*", ""));
  CHECK(Matches("*.q_proj.*", "model.layers.0.q_proj.weight"));
  CHECK_FALSE(Matches("*.q_proj.*", "model.layers.0.k_proj.weight"));
  CHECK(Matches("*ab*ab", "abxabxab"));
  CHECK_FALSE(Matches("*ab*ab", "abx"));
  CHECK(Matches("layers.?.w", "layers.7.w"));
  CHECK_FALSE(Matches("layers.?.w", "layers.17.w"));
  CHECK_FALSE(Matches("layers.?", "layers."));
  CHECK(Matches("?b",
                "\xC3\xA4"
                "b"));             // one character, two bytes
  CHECK(Matches("a[0]", "a[0]"));  // brackets are themselves
}

TEST_CASE("a glob with many stars does not explode") {
  std::string glob;
  for (int i = 0; i < 500; ++i) glob += "*a";
  CHECK_FALSE(Matches(glob + "b", std::string(20'000, 'a')));
}

TEST_CASE("case is ignored only where asked") {
  CHECK(GlobMatches("*norm*", "LayerNorm.weight", true));
  CHECK_FALSE(GlobMatches("*norm*", "LayerNorm.weight", false));
}

TEST_CASE("an expression matches the whole name") {
  CHECK(Matches("re:layers\\.[0-3]\\..*", "layers.2.weight"));
  CHECK_FALSE(Matches("re:layers\\.[0-3]", "layers.2.weight"));
  CHECK_FALSE(Matches("re:ayers.*", "layers.2.weight"));
  CHECK(Matches("re:", ""));
}

TEST_CASE("an expression that backtracks elsewhere ends here") {
  CHECK_FALSE(Matches("re:(a*)*b", std::string(100'000, 'a')));
  CHECK_FALSE(Matches("re:(x+x+)+y", std::string(100'000, 'x')));
}

TEST_CASE("bad patterns are refused by name") {
  const auto refusal = [](std::string_view pattern) {
    const absl::StatusOr<NamePattern> parsed = NamePattern::Parse(pattern);
    REQUIRE(parsed.status().code() == absl::StatusCode::kInvalidArgument);
    return std::string(parsed.status().message());
  };
  CHECK(refusal("re:(") == "pattern 're:(': missing ): (");
  CHECK_THAT(refusal("re:(?=a)"), Catch::Contains("'re:(?=a)'"));
  CHECK_THAT(refusal("re:((a{1000}){1000}){1000}"), Catch::Contains("((a{1000})"));
  CHECK(refusal("") == "a pattern is empty");
  CHECK_THAT(refusal(std::string(1025, 'a')), Catch::Contains("longer than 1024 bytes"));
  CHECK(NamePattern::Parse(std::string(1024, 'a')).ok());
}

}  // namespace
}  // namespace seedlm::format
