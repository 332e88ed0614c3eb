#include "kernels/bench/cuda_check_stages.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "kernels/bench/cuda_check_correct.h"
#include "kernels/bench/cuda_check_device.h"
#include "kernels/bench/cuda_check_ladder.h"
#include "kernels/bench/cuda_check_path.h"
#include "kernels/bench/cuda_check_pipeline.h"
#include "kernels/bench/cuda_check_search.h"
#include "kernels/cuda/tuning.h"

namespace seedlm::bench {
namespace {

using codec::Fit;
using codec::Profile;
using codec::ScaleRule;
using cuda::SearchMethod;

// The least that fills a device by far; the emulation and compute-sanitizer take a handful.
int64_t TimedBlocks(const Context& context) { return context.small ? 6 : context.blocks; }
// The naive search takes seconds for these.
int64_t TimedBlocks(const Context& context, SearchMethod method) {
  constexpr int64_t kNaive = int64_t{1} << 17;
  const int64_t blocks = TimedBlocks(context);
  return method == SearchMethod::kNaive ? std::min(blocks, kNaive) : blocks;
}

class List {
 public:
  static constexpr double kPatience = kEmulated ? 20 : 1;

  List(bool small, const Ceilings& ceilings) : small_(small), ceilings_(ceilings) {}

  void Add(const std::string& name, double seconds, StageWork work) {
    stages_.push_back({name, seconds * kPatience, std::move(work), {}});
  }
  void AddRung(const std::string& what, const Profile& profile, SearchMethod method, double seconds,
               StageWork work) {
    stages_.push_back({absl::StrCat(what, " ", std::string(profile.name), " ", Name(method)),
                       seconds * kPatience, std::move(work), std::pair{profile, method}});
  }

  void Figures(const Profile& profile) {
    const Ceilings& ceilings = ceilings_;
    for (const SearchMethod method : kRungs) {
      if (!HasRung(profile, method)) continue;
      if (kEmulated && method == SearchMethod::kTensor && profile.name != codec::k4bit.name) {
        continue;
      }
      AddRung("time", profile, method, 40, [=, &ceilings](Context& context) {
        return TimeRung(context, profile, method, TimedBlocks(context, method), ceilings);
      });
    }
    const std::string name(profile.name);
    Add(absl::StrCat("time ", name, " decode"), 40, [=, &ceilings](Context& context) {
      absl::Status status = TimeDecode(context, profile, backend::WeightType::kBF16, ceilings);
      if (status.ok()) status = TimeDecode(context, profile, backend::WeightType::kF32, ceilings);
      return status;
    });
    for (const int64_t batch : {cuda::kPipeline.batch_blocks, int64_t{1} << 20}) {
      if (small_ && batch != cuda::kPipeline.batch_blocks) continue;
      Add(absl::StrCat("time ", name, " pinned, batches of ", batch), 40,
          [=, &ceilings](Context& context) {
            return TimePinned(context, profile, context.small ? 12 : batch, ceilings);
          });
    }
    Add(absl::StrCat("time ", name, " pool"), 40,
        [=, &ceilings](Context& context) { return TimePool(context, profile, ceilings); });
    Add(absl::StrCat("time ", name, " product"), 40,
        [=, &ceilings](Context& context) { return TimeProduct(context, profile, ceilings); });
  }

  void Many(const Profile& profile, const Combination& combination) {
    Add(absl::StrCat("check ", std::string(profile.name), " ",
                     std::string(codec::Name(combination.fit)), " ",
                     std::string(codec::Name(combination.rule)), ", many blocks"),
        60, [=](Context& context) {
          Context some = context;
          some.blocks = TimedBlocks(context);
          return CheckMany(some, profile, combination.fit, combination.rule);
        });
  }

  std::vector<Stage> Take() { return std::move(stages_); }

 private:
  const bool small_;
  const Ceilings& ceilings_;
  std::vector<Stage> stages_;
};

}  // namespace

std::vector<Stage> MakeStages(bool small, const Ceilings& ceilings) {
  List list(small, ceilings);
  list.Add("device", 60, [](Context& context) {
    auto description = DescribeDevice(context.device);
    if (description.ok()) context.emit("device", *description);
    return description.status();
  });
  list.Add("ceilings", 40, [](Context& context) {
    const auto measured = MeasureCeilings(context.processors, context.small);
    if (measured.ok()) context.emit("ceilings", ToJson(*measured));
    return measured.status();
  });
  for (const Profile& profile : codec::kProfiles) {
    for (const SearchMethod method : kRungs) {
      if (!HasRung(profile, method)) continue;
      list.AddRung("check", profile, method, 40,
                   [=](Context& context) { return CheckRung(context, profile, method); });
    }
  }
  list.Figures(codec::k4bit);
  for (const Profile& profile : codec::kProfiles) list.Many(profile, kCombinations[0]);
  for (const Profile& profile : codec::kProfiles) {
    const std::string name(profile.name);
    list.Add(absl::StrCat("check ", name, " planes"), 60,
             [=](Context& context) { return CheckPlanes(context, profile); });
    list.Add(absl::StrCat("check ", name, " decoding"), 40,
             [=](Context& context) { return CheckDecoding(context, profile); });
  }
  list.Add("check outputs", 40, CheckOutputs);
  list.Figures(codec::k3bit);
  for (const Profile& profile : codec::kProfiles) {
    list.Add(absl::StrCat("check ", std::string(profile.name), " product"), 40,
             [=](Context& context) { return CheckByGemm(context, profile); });
  }
  for (const Combination& combination : kCombinations) {
    if (&combination == &kCombinations[0] || small) continue;
    for (const Profile& profile : codec::kProfiles) list.Many(profile, combination);
  }
  list.AddRung("time nearest", codec::k4bit, SearchMethod::kSliding, 40,
               [&ceilings](Context& context) {
                 return TimeRung(context, codec::k4bit, SearchMethod::kSliding,
                                 TimedBlocks(context), ceilings, Fit::kNearest, ScaleRule::kPaper);
               });
  return list.Take();
}

}  // namespace seedlm::bench
