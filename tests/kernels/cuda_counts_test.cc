// How much work the searches do, counted in the emulation: what a time would show on a device.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdio>
#include <limits>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "kernels/codec/level_design.h"
#include "kernels/cuda/cell_lists.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/events.h"
#include "kernels/cuda/seed_search.h"

namespace seedlm::cuda {
namespace {

using codec::Profile;

enum class Weights : uint8_t { kGaussian, kStudent, kOutliers };
constexpr const char* kNames[] = {"Gaussian", "t(3)", "outliers"};

// kOutliers: Gaussian, and a weight in 64 blocks is 60 times as large.
std::vector<float> MakeBlocks(Weights weights, const Profile& profile, int64_t count) {
  std::mt19937 bits(20 + static_cast<unsigned>(weights));
  std::normal_distribution<float> normal(0, 0.02f);
  std::student_t_distribution<float> student(3);
  std::vector<float> blocks(static_cast<size_t>(count * profile.block));
  for (float& w : blocks) {
    w = weights == Weights::kStudent ? 0.02f * student(bits) : normal(bits);
  }
  for (size_t i = 0; weights == Weights::kOutliers && i < blocks.size();
       i += static_cast<size_t>(64 * profile.block)) {
    blocks[i] *= 60;
  }
  return blocks;
}

constexpr int64_t kNoLimit = std::numeric_limits<uint32_t>::max();

// For each block.
struct Work {
  double queued, evaluated, hard;
  double hard_scores, hard_seeds;  // for each hard block
};

Work CountWork(SearchMethod method, const Profile& profile, Weights weights, int64_t count,
               int64_t queue_limit = kNoLimit) {
  const std::vector<float> blocks = MakeBlocks(weights, profile, count);
  codec::NormHistogram histogram;
  for (int64_t i = 0; i < count; ++i) histogram.Add(profile, &blocks[i * profile.block], i);
  const auto levels = codec::DesignLevels(profile, codec::ScaleRule::kFitted, histogram);
  const SearchTables& host = SearchTables::For(profile);
  TableView tables = host.ViewAt(host.bytes().data());
  CellShape shape = CellShapeOf(profile);
  shape.slots = std::min(shape.slots, 1 << 12);
  shape.lists = static_cast<int>(std::min<int64_t>(shape.lists, count));
  const CellImage image(profile, shape, nullptr);
  void *lists = nullptr, *scratch = nullptr;
  cudaStream_t stream = nullptr;
  REQUIRE(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess);
  REQUIRE(cudaMalloc(&scratch, SearchScratchBytes(profile, count)) == cudaSuccess);
  if (method == SearchMethod::kCells && shape.slots > 0) {
    REQUIRE(cudaMalloc(&lists, CellBytes(shape)) == cudaSuccess);
    tables.cells = image.ViewAt(lists);
    REQUIRE(image.Queue(tables.cells, stream) == cudaSuccess);
  }
  for (auto& events : event_counts) events = 0;
  std::vector<CodeWord> codes(static_cast<size_t>(count));
  SearchPlan plan = MakeSearchPlan(tables, count, 2);
  plan.queue_limit = queue_limit;
  REQUIRE(QueueSearch(method, profile, tables, {codec::Fit::kOptimal, levels, count, blocks.data()},
                      plan, scratch, codes.data(), stream) == cudaSuccess);
  REQUIRE(cudaStreamSynchronize(stream) == cudaSuccess);
  cudaStreamDestroy(stream);
  cudaFree(scratch);
  cudaFree(lists);
  const auto events = [](Event event) {
    return static_cast<double>(event_counts[static_cast<size_t>(event)]);
  };
  const auto each = static_cast<double>(count);
  const double hard = std::max(1.0, events(Event::kHard));
  return {events(Event::kQueued) / each, events(Event::kEvaluated) / each,
          events(Event::kHard) / each, events(Event::kHardScore) / hard,
          events(Event::kHardSeed) / hard};
}

// Without room in the queue every block with a survivor is hard.
TEST_CASE("hard blocks score all seeds and evaluate few", "[cuda][counts]") {
  const auto& profile = GENERATE(codec::k4bit, codec::k3bit);
  const Work work = CountWork(SearchMethod::kSliding, profile, Weights::kGaussian, 12, 0);
  REQUIRE(work.hard > 0);
  CHECK(work.hard_scores == profile.seed_count());
  CHECK(work.hard_seeds >= 1);
  CHECK(work.hard_seeds < 100);  // they were 65,535
}

TEST_CASE("cells leave few blocks hard and few seeds to evaluate", "[cuda][counts]") {
  const Work work = CountWork(SearchMethod::kCells, codec::k4bit, Weights::kStudent, 128);
  CHECK(work.hard < 0.01);    // 0.021 with lists to 0.60 and one seed evaluated first
  CHECK(work.evaluated < 4);  // 6.8 without a second look
  CHECK(work.evaluated < work.queued);
}

TEST_CASE("without cells the tensor cores search", "[cuda][counts]") {
  const Work cells = CountWork(SearchMethod::kCells, codec::k2bit, Weights::kGaussian, 6);
  CHECK(cells.queued ==
        CountWork(SearchMethod::kTensor, codec::k2bit, Weights::kGaussian, 6).queued);
  CHECK(cells.queued >
        CountWork(SearchMethod::kSliding, codec::k2bit, Weights::kGaussian, 6).queued);
}

std::string Text(const Profile& profile, const char* rung, Weights weights, const Work& work) {
  char text[200];
  std::snprintf(
      text, sizeof text,
      "%-7s %-8s %-9s queued %6.2f evaluated %6.2f hard %.4f: scores %.0f, evaluated %.0f",
      std::string(profile.name).c_str(), rung, kNames[static_cast<int>(weights)], work.queued,
      work.evaluated, work.hard, work.hard_scores, work.hard_seeds);
  return text;
}

// The table of README: cuda_test "[.table]", with -c one section alone.
TEST_CASE("counts of all rungs", "[.table]") {
  constexpr std::tuple<const char*, SearchMethod, int64_t> kRungs[] = {
      {"sliding", SearchMethod::kSliding, 512},
      {"tensor", SearchMethod::kTensor, 64},
      {"cells", SearchMethod::kCells, 2048}};
  for (const Profile& profile : codec::kProfiles) {
    for (const auto& [rung, method, count] : kRungs) {
      if (method == SearchMethod::kCells && CellShapeOf(profile).slots == 0) continue;
      DYNAMIC_SECTION(profile.name << " " << rung) {
        for (const Weights weights : {Weights::kGaussian, Weights::kStudent, Weights::kOutliers}) {
          const int64_t blocks = profile.name == codec::k4bit.name ? count : count / 4;
          const Work work = CountWork(method, profile, weights, blocks);
          WARN(Text(profile, rung, weights, work));
        }
      }
    }
  }
}

}  // namespace
}  // namespace seedlm::cuda
