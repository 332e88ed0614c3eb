// The kernels of the CUDA search, emulated, against the reference encoder: the same codes.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cmath>
#include <vector>

#include "kernels/codec/level_design.h"
#include "kernels/codec/reference.h"
#include "kernels/cuda/cell_lists.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/seed_search.h"
#include "kernels/search/index_store.h"
#include "kernels/search/lattice.h"
#include "tests/kernels/test_weights.h"

namespace seedlm::cuda {
namespace {

using codec::Fit;
using codec::Profile;
using codec::ScaleRule;
using testing::Kind;

const codec::ReferenceEncoder& Reference(const Profile& profile) {
  static const codec::ReferenceEncoder encoders[] = {
      codec::ReferenceEncoder(codec::k4bit), codec::ReferenceEncoder(codec::k3bit),
      codec::ReferenceEncoder(codec::k4_5bit), codec::ReferenceEncoder(codec::k2bit)};
  for (size_t i = 0; i < codec::kProfiles.size(); ++i) {
    if (codec::kProfiles[i].name == profile.name) return encoders[i];
  }
  return encoders[0];
}

struct Problem {
  Profile profile;
  Fit fit;
  codec::LevelTable levels;
  std::vector<float> blocks;

  int64_t count() const { return static_cast<int64_t>(blocks.size()) / profile.block; }
};

Problem MakeProblem(const Profile& profile, Fit fit, ScaleRule rule, std::vector<float> blocks) {
  codec::NormHistogram histogram;
  for (size_t i = 0; i < blocks.size(); i += static_cast<size_t>(profile.block)) {
    histogram.Add(profile, &blocks[i], static_cast<int64_t>(i));
  }
  return {profile, fit, codec::DesignLevels(profile, rule, histogram), std::move(blocks)};
}

std::vector<CodeWord> Expected(const Problem& problem) {
  std::vector<CodeWord> codes;
  for (int64_t i = 0; i < problem.count(); ++i) {
    const codec::Candidate best =
        Reference(problem.profile)
            .Search(problem.fit, problem.levels,
                    &problem.blocks[static_cast<size_t>(i * problem.profile.block)]);
    codes.push_back(MakeCodeWord(best.seed, best.remainder));
  }
  return codes;
}

TableView Tables(const Profile& profile) {
  const SearchTables& tables = SearchTables::For(profile);
  return tables.ViewAt(tables.bytes().data());
}

// A few lists, for tests; as much for each as the profile's own shape has.
CellShape SmallShape(const Profile& profile) { return {256, 128, CellShapeOf(profile).capacity}; }

// `lists_made`, if not null, is told how many lists there are at the end.
std::vector<CodeWord> Search(SearchMethod method, const Problem& problem, const SearchPlan& plan,
                             const search::CellIndex* index = nullptr,
                             uint32_t* lists_made = nullptr) {
  std::vector<CodeWord> codes(static_cast<size_t>(problem.count()), ~CodeWord{0});
  void* scratch = nullptr;
  REQUIRE(cudaMalloc(&scratch, SearchScratchBytes(problem.profile, problem.count())) ==
          cudaSuccess);
  cudaStream_t stream = nullptr;
  REQUIRE(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess);
  TableView tables = Tables(problem.profile);
  void* lists = nullptr;
  const CellShape shape = SmallShape(problem.profile);
  const CellImage image(problem.profile, shape, index);
  if (method == SearchMethod::kCells) {
    REQUIRE(cudaMalloc(&lists, CellBytes(shape)) == cudaSuccess);
    tables.cells = image.ViewAt(lists);
    REQUIRE(image.Queue(tables.cells, stream) == cudaSuccess);
  }
  CHECK(QueueSearch(method, problem.profile, tables,
                    {problem.fit, problem.levels, problem.count(), problem.blocks.data()}, plan,
                    scratch, codes.data(), stream) == cudaSuccess);
  CHECK(cudaStreamSynchronize(stream) == cudaSuccess);
  if (lists_made != nullptr) *lists_made = *tables.cells.lists_made;
  cudaStreamDestroy(stream);
  cudaFree(scratch);
  cudaFree(lists);
  return codes;
}

SearchPlan PlanFor(const Problem& problem) {
  return MakeSearchPlan(Tables(problem.profile), problem.count(), 2);
}

size_t BlocksOf(Kind kind) {
  switch (kind) {
    case Kind::kTiny:
    case Kind::kHuge:
    case Kind::kConstant:
      return 1;
    case Kind::kSparse:
      return 2;
    default:
      return 7;
  }
}

std::vector<float> AllKinds(const Profile& profile, unsigned seed) {
  std::vector<float> blocks;
  for (const Kind kind : testing::kKinds) {
    if (kind == Kind::kTiny || kind == Kind::kHuge) continue;  // they would spoil the levels
    const auto some =
        testing::MakeWeights(kind, BlocksOf(kind) * static_cast<size_t>(profile.block), seed++);
    blocks.insert(blocks.end(), some.begin(), some.end());
  }
  return blocks;
}

TEST_CASE("the sliding search gives the reference's codes", "[cuda][search]") {
  unsigned seed = 0;
  for (const Profile& profile : codec::kProfiles) {
    for (const auto& [fit, rule] :
         {std::pair{Fit::kOptimal, ScaleRule::kFitted}, std::pair{Fit::kOptimal, ScaleRule::kPow2},
          std::pair{Fit::kOptimal, ScaleRule::kPaper}, std::pair{Fit::kNearest, ScaleRule::kPow2},
          std::pair{Fit::kNearest, ScaleRule::kPaper}}) {
      CAPTURE(profile.name, codec::Name(fit), codec::Name(rule));
      const Problem problem = MakeProblem(profile, fit, rule, AllKinds(profile, ++seed * 100));
      CHECK(Search(SearchMethod::kSliding, problem, PlanFor(problem)) == Expected(problem));
    }
  }
}

TEST_CASE("the naive search gives the reference's codes", "[cuda][search]") {
  for (const Profile& profile : codec::kProfiles) {
    CAPTURE(profile.name);
    const Problem problem =
        MakeProblem(profile, Fit::kOptimal, ScaleRule::kFitted,
                    testing::MakeWeights(Kind::kGaussian, 6 * static_cast<size_t>(profile.block),
                                         static_cast<unsigned>(profile.block)));
    CHECK(Search(SearchMethod::kNaive, problem, PlanFor(problem)) == Expected(problem));
  }
}

TEST_CASE("the search through cells gives the reference's codes", "[cuda][search][cells]") {
  unsigned seed = 0;
  for (const Profile& profile : {codec::k4bit, codec::k4_5bit, codec::k3bit}) {
    for (const auto& [fit, rule] :
         {std::pair{Fit::kOptimal, ScaleRule::kFitted}, std::pair{Fit::kOptimal, ScaleRule::kPaper},
          std::pair{Fit::kNearest, ScaleRule::kPow2}}) {
      CAPTURE(profile.name, codec::Name(fit), codec::Name(rule));
      const Problem problem = MakeProblem(profile, fit, rule, AllKinds(profile, ++seed * 1000));
      CHECK(Search(SearchMethod::kCells, problem, PlanFor(problem)) == Expected(problem));
    }
  }
}

// The index of the process with lists for the cells of some blocks, from the definition of x.
void PublishLists(const Problem& problem, search::CellIndex& index) {
  const Profile& profile = problem.profile;
  const auto width = static_cast<size_t>(profile.block);
  std::vector<uint32_t> seeds;
  std::vector<codec::Factor> factors;
  for (uint32_t seed = 1; seed <= profile.seed_count(); ++seed) {
    seeds.push_back(seed);
    factors.push_back(codec::FactorBasis(profile, codec::MakeBasis(profile, seed)));
  }
  for (size_t i = 0; i < problem.blocks.size(); i += width) {
    double norm = 0;
    for (size_t c = 0; c < width; ++c)
      norm += double{problem.blocks[i + c]} * problem.blocks[i + c];
    if (!(norm > 0)) continue;
    float scaled[codec::kMaxBlock];
    for (size_t c = 0; c < width; ++c) {
      scaled[c] = static_cast<float>(CellView::kRadius * problem.blocks[i + c] / std::sqrt(norm));
    }
    const search::LatticePoint point =
        width == 8 ? search::NearestOfDPlus<8>(scaled) : search::NearestOfDPlus<12>(scaled);
    const uint32_t cell =
        index.Find(width == 8 ? search::CellKey<8>(point) : search::CellKey<12>(point));
    if (index.list(cell) != nullptr) continue;
    double squared = 0;
    for (size_t c = 0; c < width; ++c) squared += double(point.twice[c]) * point.twice[c];
    std::vector<float> x;
    for (const codec::Factor& factor : factors) {
      double projected = 0;
      for (int p = 0; p < profile.rank; ++p) {
        double z = 0;
        for (size_t c = 0; c < width; ++c) z += factor.q[c][p] * point.twice[c];
        projected += z * z;
      }
      x.push_back(static_cast<float>(1 - projected / squared));
    }
    index.Publish(cell, x, seeds);
  }
}

TEST_CASE("lists of the process's index are taken over, the others made", "[cuda][search][cells]") {
  // Plain lists, which are shorter than a device's own; and gaps, which are not.
  for (const Profile& profile : {codec::k4bit, codec::k3bit}) {
    CAPTURE(profile.name);
    const bool taken = CellReachOf(profile) == 0;
    const auto width = static_cast<size_t>(profile.block);
    const Problem some = MakeProblem(profile, Fit::kOptimal, ScaleRule::kFitted,
                                     testing::MakeWeights(Kind::kGaussian, 3 * width, 23));
    search::IndexStore store;
    search::CellIndex& index = store.At(profile, 0);
    PublishLists(some, index);
    const int64_t lists = index.lists();
    REQUIRE(lists == 3);
    CHECK(CellImage(profile, SmallShape(profile), &index).lists() == (taken ? lists : 0));
    uint32_t made = 0;
    CHECK(Search(SearchMethod::kCells, some, PlanFor(some), &index, &made) == Expected(some));
    CHECK(made == lists);
    std::vector<float> blocks = some.blocks;
    const auto others = testing::MakeWeights(Kind::kGaussian, 2 * width, 24);
    blocks.insert(blocks.end(), others.begin(), others.end());
    const Problem more = MakeProblem(profile, Fit::kOptimal, ScaleRule::kFitted, blocks);
    CHECK(Search(SearchMethod::kCells, more, PlanFor(more), &index, &made) == Expected(more));
    CHECK(made == lists + 2);
    // Where a list does not fit, its front is taken; where lists do not, the first ones.
    CellShape tight = SmallShape(profile);
    tight.capacity = 1000;
    tight.lists = 2;
    const CellImage cut(profile, tight, &index);
    CHECK(cut.lists() == (taken ? 2 : 0));
    std::vector<std::byte> memory(CellBytes(tight));
    CHECK(cut.ViewAt(memory.data()).shape.capacity == 1000);
  }
}

TEST_CASE("the search by tensor cores gives the reference's codes", "[cuda][search][tensor]") {
  for (const Profile& profile : codec::kProfiles) {
    CAPTURE(profile.name);
    std::vector<float> blocks =
        testing::MakeWeights(Kind::kGaussian, 5 * static_cast<size_t>(profile.block), 31);
    // A zero block, one that is hard, and an outlier among small weights.
    std::fill_n(blocks.begin() + profile.block, profile.block, 0.0f);
    for (int c = 0; c < profile.block; ++c) blocks[static_cast<size_t>(c)] *= 1e-3f;
    blocks.back() *= 50;
    const Problem problem = MakeProblem(profile, Fit::kOptimal, ScaleRule::kPow2, blocks);
    CHECK(Search(SearchMethod::kTensor, problem, PlanFor(problem)) == Expected(problem));
  }
}

TEST_CASE("tensor cores for the paper's heuristic, whole tiles", "[cuda][search][tensor]") {
  // More blocks than the smallest tiles take; zeros, which are soon done, but for some.
  Problem problem = MakeProblem(codec::k4bit, Fit::kNearest, ScaleRule::kPaper,
                                testing::MakeWeights(Kind::kGaussian, 40 * 8, 12));
  std::fill(problem.blocks.begin() + 8, problem.blocks.end() - 8, 0.0f);
  CHECK(Search(SearchMethod::kTensor, problem, PlanFor(problem)) == Expected(problem));
}

TEST_CASE("neither plan nor schedule nor a full queue changes a code of cells",
          "[cuda][search][cells]") {
  // Many blocks of one cell: more than a visit holds at once.
  std::vector<float> blocks = testing::MakeWeights(Kind::kGaussian, 8 * 6, 17);
  const size_t directions = blocks.size();
  for (size_t copy = 0; copy < kCellTuning.blocks + 2; ++copy) {
    for (size_t c = 0; c < 8; ++c) {
      blocks.push_back(blocks[c] * (1 + 0.001f * static_cast<float>((copy * 7 + c) % 13)));
    }
  }
  REQUIRE(blocks.size() > directions);
  const Problem problem = MakeProblem(codec::k4bit, Fit::kOptimal, ScaleRule::kFitted, blocks);
  const std::vector<CodeWord> expected = Expected(problem);
  SearchPlan small_queue = PlanFor(problem);
  small_queue.queue_limit = 9;
  CHECK(Search(SearchMethod::kCells, problem, small_queue) == expected);
  CHECK(Search(SearchMethod::kCells, problem, SearchPlan{1, 1, 1, 1}) == expected);
  emulation::SetSchedule(emulation::Schedule::kShuffled);
  CHECK(Search(SearchMethod::kCells, problem, PlanFor(problem)) == expected);
  emulation::SetSchedule(emulation::Schedule::kAscending);
}

TEST_CASE("blocks far from the levels are hard, and right", "[cuda][search]") {
  const Kind kind = GENERATE(Kind::kTiny, Kind::kHuge);
  for (const Profile& profile : {codec::k4bit, codec::k3bit}) {
    CAPTURE(profile.name, testing::Name(kind));
    std::vector<float> blocks = testing::MakeWeights(kind, static_cast<size_t>(profile.block), 3);
    for (const ScaleRule rule : {ScaleRule::kPaper, ScaleRule::kFitted}) {
      const Problem problem = MakeProblem(profile, Fit::kOptimal, rule, blocks);
      CHECK(Search(SearchMethod::kSliding, problem, PlanFor(problem)) == Expected(problem));
    }
  }
}

// A little below the lowest level's reach nearly every seed survives the scan.
TEST_CASE("a block with many survivors is hard", "[cuda][search]") {
  Problem problem = MakeProblem(codec::k4bit, Fit::kOptimal, ScaleRule::kPaper,
                                testing::MakeWeights(Kind::kGaussian, 8, 4));
  for (float& w : problem.blocks) w *= 0.01f;
  CHECK(Search(SearchMethod::kSliding, problem, PlanFor(problem)) == Expected(problem));
}

TEST_CASE("a queue that is full makes blocks hard, and no difference", "[cuda][search]") {
  const Problem problem = MakeProblem(codec::k3bit, Fit::kOptimal, ScaleRule::kFitted,
                                      testing::MakeWeights(Kind::kGaussian, 8 * 12, 6));
  const std::vector<CodeWord> expected = Expected(problem);
  for (const int64_t limit : {0, 1, 5, 10}) {
    CAPTURE(limit);
    SearchPlan plan = PlanFor(problem);
    plan.queue_limit = limit;
    CHECK(Search(SearchMethod::kSliding, problem, plan) == expected);
  }
}

TEST_CASE("neither the plan nor the schedule changes a code", "[cuda][search]") {
  const Problem problem =
      MakeProblem(codec::k4bit, Fit::kOptimal, ScaleRule::kFitted, AllKinds(codec::k4bit, 7));
  const std::vector<CodeWord> expected = Expected(problem);
  for (const SearchPlan& plan :
       {SearchPlan{1, 1, 1, 1}, SearchPlan{1, 7, 3, 2}, SearchPlan{3, 32, 9, 5}}) {
    CAPTURE(plan.ToString());
    CHECK(Search(SearchMethod::kSliding, problem, plan) == expected);
  }
  for (const auto schedule : {emulation::Schedule::kDescending, emulation::Schedule::kShuffled}) {
    emulation::SetSchedule(schedule);
    CHECK(Search(SearchMethod::kSliding, problem, PlanFor(problem)) == expected);
  }
  emulation::SetSchedule(emulation::Schedule::kAscending);
}

TEST_CASE("blocks more than a thread block has places for", "[cuda][search]") {
  constexpr size_t kBlocks = kScan.threads * kScan.blocks_per_thread + 5;
  Problem problem =
      MakeProblem(codec::k4bit, Fit::kOptimal, ScaleRule::kPow2, std::vector<float>(kBlocks * 8));
  // Zeros but for the ends, so that it is soon done.
  const auto ends = testing::MakeWeights(Kind::kGaussian, 2 * 8, 5);
  std::copy_n(ends.begin(), 8, problem.blocks.begin());
  std::copy_n(ends.begin() + 8, 8, problem.blocks.end() - 8);
  CHECK(Search(SearchMethod::kSliding, problem, PlanFor(problem)) == Expected(problem));
}

TEST_CASE("no blocks, no work", "[cuda][search]") {
  const Problem problem = MakeProblem(codec::k4bit, Fit::kOptimal, ScaleRule::kPow2, {});
  CHECK(Search(SearchMethod::kSliding, problem, PlanFor(problem)).empty());
}

}  // namespace
}  // namespace seedlm::cuda
