#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "kernels/cpu/backends.h"
#include "kernels/cpu/code_judge.h"
#include "kernels/cpu/encode_shard.h"
#include "kernels/cpu/exhaustive_search.h"
#include "kernels/cpu/index_search.h"
#include "kernels/cpu/search_kernels.h"

namespace seedlm::cpu {
namespace {

// Blocks that are searched together: the more, the more share the visit of a cell. At 4bit a
// million are a sixth faster than half a million, two million another sixteenth; they take some 150
// MB. The exhaustive scan needs no more than fit into the cache.
constexpr int64_t kIndexBatch = int64_t{2} << 20;
constexpr int64_t kScanBatch = 1024;

// The batch by which cells are chosen. A small part of a large job goes by the choice for the job's
// usual parts, so that all use the same lists.
int64_t ModelBatch(int64_t blocks, const backend::EncodeSpec& spec) {
  constexpr int64_t kUsual = int64_t{1} << 16;
  return std::min(std::max(blocks, std::min(spec.blocks_to_come, kUsual)), kIndexBatch);
}

class SimdBackend : public backend::Backend {
 public:
  SimdBackend(const std::string& target, std::shared_ptr<search::IndexStore> index)
      : target_(target), kernels_(KernelsFor(target)), index_(std::move(index)) {}

  std::string_view name() const override { return "cpu"; }
  std::string description() const override {
    return absl::StrCat(target_, index_ == nullptr ? ", scan of all seeds by sliding correlation"
                                                   : ", exact cell index");
  }

  int64_t BlocksTogether(const codec::Profile& profile) const override {
    const bool scanned =
        index_ == nullptr || index_->memory() == 0 || search::Resolutions(profile).empty();
    return scanned ? kScanBatch : kIndexBatch;
  }

  std::vector<size_t> FindForeign(const backend::CodedBlocks& blocks) const override {
    return cpu::FindForeign(kernels_, blocks);
  }

  Results EncodeAll(std::span<const backend::ShardTask> shards,
                    std::stop_token stop) const override {
    if (shards.empty()) return {};
    const backend::EncodeSpec& spec = *shards.front().spec;
    int64_t blocks = 0;
    for (const auto& [_, weights] : shards) {
      blocks += weights.rows * spec.profile.blocks_per_row(weights.columns);
    }
    std::string choice;
    search::CellIndex* cells =
        index_ == nullptr
            ? nullptr
            : index_->Choose(spec.profile, {ModelBatch(blocks, spec), spec.blocks_to_come},
                             &choice);
    Results results;
    if (cells == nullptr) {
      ExhaustiveSearch search(kernels_, spec);
      results = EncodeShards(
          shards, kScanBatch, stop,
          [&](const Batch& batch, std::span<const Section> sections,
              const std::stop_token& stopped) { return search.Run(batch, sections, stopped); });
    } else {
      IndexSearch search(kernels_, spec, *cells);
      results = EncodeShards(
          shards, kIndexBatch, stop,
          [&](const Batch& batch, std::span<const Section> sections,
              const std::stop_token& stopped) { return search.Run(batch, sections, stopped); });
      absl::StrAppend(&choice, "; ", search.statistics().ToString());
    }
    if (shards.size() > 1) absl::StrAppend(&choice, ", all of ", shards.size(), " shards together");
    std::string warning = index_ == nullptr ? "" : index_->TakeWarning();
    for (auto& shard : results) {
      if (!shard.ok()) continue;
      shard->search = choice;
      shard->warning = std::exchange(warning, "");
    }
    return results;
  }

 private:
  std::string target_;
  SearchKernels kernels_;
  std::shared_ptr<search::IndexStore> index_;
};

}  // namespace

int64_t EncodeBytes(const codec::Profile& profile, int64_t blocks) {
  // Of a block in a batch: its weights as float32, its best code (16), its place (4), its cell,
  // twice for sorting (8 and 8), all in KeptMemory; and what vectors that grow have at most: a
  // visit of its own (72), a place among the rest (12).
  const int64_t kept = profile.block * static_cast<int64_t>(sizeof(float)) + 36;
  const int64_t block_bytes = kept + kept / 4 + 84;
  // Whatever the batch: rows and scores of up to 65,535 seeds, items of a cell, lists being built.
  constexpr int64_t kFixed = int64_t{32} << 20;
  return kFixed + std::min(blocks, kIndexBatch) * block_bytes;
}

std::vector<std::string> SimdTargets() { return SupportedTargets(); }

absl::StatusOr<std::shared_ptr<const backend::Backend>> MakeSimdBackend(
    const std::string& wanted, std::shared_ptr<search::IndexStore> index) {
  const std::vector<std::string> targets = SimdTargets();
  const std::string target = wanted.empty() ? targets.front() : wanted;
  if (std::find(targets.begin(), targets.end(), target) == targets.end()) {
    return absl::InvalidArgumentError(
        absl::StrCat("instruction set '", target,
                     "' is not one of this machine's: ", absl::StrJoin(targets, ", ")));
  }
  return std::make_shared<SimdBackend>(target, std::move(index));
}

}  // namespace seedlm::cpu
