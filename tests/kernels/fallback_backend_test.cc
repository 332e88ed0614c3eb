#include "kernels/backend/fallback_backend.h"

#include <catch2/catch.hpp>
#include <utility>
#include <vector>

namespace seedlm::backend {
namespace {

// Answers as it was told, by the number of a shard's rows.
class Scripted : public Backend {
 public:
  Scripted(std::string name, std::vector<absl::Status> answers)
      : name_(std::move(name)), answers_(std::move(answers)) {}

  std::string_view name() const override { return name_; }
  std::string description() const override { return name_; }
  int64_t BlocksTogether(const codec::Profile&) const override { return 1; }
  Results EncodeAll(std::span<const ShardTask> shards, std::stop_token) const override {
    Results results;
    asked.emplace_back();
    for (const ShardTask& shard : shards) {
      const auto rows = static_cast<size_t>(shard.weights.rows);
      asked.back().push_back(rows);
      if (answers_[rows].ok()) {
        EncodedShard encoded;
        encoded.words = {static_cast<uint32_t>(rows)};
        results.push_back(std::move(encoded));
      } else {
        results.push_back(answers_[rows]);
      }
    }
    return results;
  }

  mutable std::vector<std::vector<size_t>> asked;

 private:
  const std::string name_;
  const std::vector<absl::Status> answers_;
};

TEST_CASE("only the shards that are lost go to the second backend", "[fallback]") {
  const absl::Status ok, lost = absl::UnavailableError("gone"),
                         bad = absl::InvalidArgumentError("NaN");
  const auto first = std::make_shared<Scripted>("one", std::vector{ok, lost, ok, bad, lost, lost});
  const auto second = std::make_shared<Scripted>("two", std::vector{ok, ok, ok, ok, bad, ok});
  const auto backend = MakeFallbackBackend(first, second);
  const EncodeSpec spec;
  std::vector<ShardTask> shards(6, {&spec, {}});
  for (size_t i = 0; i < shards.size(); ++i) shards[i].weights.rows = static_cast<int64_t>(i);

  const auto results = backend->EncodeAll(shards, {});
  REQUIRE(results.size() == shards.size());
  CHECK(second->asked == std::vector<std::vector<size_t>>{{1, 4, 5}});
  for (const size_t i : {0, 1, 2, 5}) {
    REQUIRE(results[i].ok());
    CHECK(results[i]->words == std::vector<uint32_t>{static_cast<uint32_t>(i)});
    CHECK(results[i]->backend == (i == 1 || i == 5 ? "two" : "one"));
    CHECK(results[i]->warning == (i == 1 ? "backend 'one' is lost, 'two' goes on: gone" : ""));
  }
  CHECK(results[3].status() == bad);
  CHECK(results[4].status() == bad);
  backend->EncodeAll(shards, {});
  CHECK(first->asked.size() == 1);
}

}  // namespace
}  // namespace seedlm::backend
