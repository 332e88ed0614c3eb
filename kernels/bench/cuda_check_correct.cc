#include "kernels/bench/cuda_check_correct.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "kernels/bench/cuda_check_cublas.h"
#include "kernels/bench/cuda_check_search.h"
#include "kernels/codec/bitpack.h"
#include "kernels/codec/narrow.h"
#include "kernels/codec/reference.h"
#include "kernels/cuda/decode.h"

namespace seedlm::bench {
namespace {

using codec::Fit;
using codec::ScaleRule;
using cuda::CodeWord;
using cuda::SearchMethod;
using cuda::SearchPlan;
using nlohmann::ordered_json;

std::vector<CodeWord> ReferenceCodes(const Problem& problem, int threads) {
  const codec::ReferenceEncoder encoder(problem.profile);
  std::vector<CodeWord> codes(static_cast<size_t>(problem.count()));
  std::vector<std::jthread> workers;
  for (int t = 0; t < threads; ++t) {
    workers.emplace_back([&, t] {
      for (size_t i = static_cast<size_t>(t); i < codes.size(); i += static_cast<size_t>(threads)) {
        const codec::Candidate best =
            encoder.Search(problem.fit, problem.levels,
                           &problem.blocks[i * static_cast<size_t>(problem.profile.block)]);
        codes[i] = cuda::MakeCodeWord(best.seed, best.remainder);
      }
    });
  }
  return workers.clear(), codes;
}

int64_t Differences(const std::vector<CodeWord>& a, const std::vector<CodeWord>& b) {
  int64_t differences = 0;
  for (size_t i = 0; i < a.size(); ++i) differences += a[i] != b[i];
  return differences;
}

// The plan of the device, and two that no device would choose.
std::vector<SearchPlan> Plans(SearchPlan usual) {
  SearchPlan narrow = usual, odd = usual;
  narrow.scan_parts = narrow.wide = narrow.hard = 1;
  odd.scan_parts = 13;
  odd.wide = 7;
  odd.hard = 3;
  odd.queue_limit = 64;
  return {usual, narrow, odd};
}

class Checker {
 public:
  Checker(const CheckSizes& sizes, int processors, ordered_json& checks, bool& failed)
      : sizes_(sizes), processors_(processors), checks_(checks), failed_(failed) {}

  cudaError_t AgainstReference(const codec::Profile& profile, Fit fit, ScaleRule rule) {
    const Problem problem = MakeProblem(profile, fit, rule, sizes_.reference_blocks, 1);
    const std::vector<CodeWord> expected = ReferenceCodes(problem, sizes_.threads);
    DeviceSearch device(profile, problem.count(), processors_);
    for (const auto& [name, method] : FastRungs(device, profile)) {
      int64_t differences = 0;
      for (const SearchPlan& plan :
           sizes_.all ? Plans(device.plan()) : std::vector{device.plan()}) {
        differences += Differences(device.Codes(method, problem, plan), expected);
      }
      Report({{"check", std::string(name) + " = reference"},
              {"profile", profile.name},
              {"fit", codec::Name(fit)},
              {"scale", codec::Name(rule)}},
             problem.count(), differences);
    }
    return device.error();
  }

  cudaError_t AgainstNaive(const codec::Profile& profile) {
    const Problem problem =
        MakeProblem(profile, Fit::kOptimal, ScaleRule::kFitted, sizes_.blocks, 2);
    DeviceSearch device(profile, problem.count(), processors_);
    const auto naive = device.Codes(SearchMethod::kNaive, problem, device.plan());
    for (const auto& [name, method] : FastRungs(device, profile)) {
      const auto codes = device.Codes(method, problem, device.plan());
      Report({{"check", std::string(name) + " = naive"}, {"profile", profile.name}},
             problem.count(), Differences(naive, codes));
    }
    return device.error();
  }

  // No seed that the matrix product prefers has a better code than the one that was found, and no
  // code is better than its seed's score allows.
  cudaError_t AgainstGemm(const codec::Profile& profile) {
    const Problem problem =
        MakeProblem(profile, Fit::kOptimal, ScaleRule::kFitted, sizes_.gemm_blocks, 3);
    GemmResult gemm;
    const cudaError_t error = ScoreByGemm(profile, problem.blocks, gemm);
    if (error != cudaSuccess) return error;
    if (!gemm.skipped.empty()) {
      checks_.push_back({{"check", "GEMM"}, {"profile", profile.name}, {"skipped", gemm.skipped}});
      return cudaSuccess;
    }
    DeviceSearch device(profile, problem.count(), processors_);
    const auto codes = device.Codes(SearchMethod::kSliding, problem, device.plan());
    constexpr double kTolerance = 1e-5;  // of the product in float32
    int64_t wrong = 0;
    for (size_t i = 0; i < codes.size(); ++i) {
      const codec::BlockTask task =
          codec::MakeTask(profile, &problem.blocks[i * static_cast<size_t>(profile.block)]);
      const codec::BlockCode code =
          codec::FromSeedAndRemainder(profile, cuda::SeedOf(codes[i]), cuda::RemainderOf(codes[i]));
      const double found =
          codec::BlockError(profile, task.weights, codec::MakeBasis(profile, code.seed), code.q,
                            problem.levels.scale[code.level]);
      codec::Candidate preferred = codec::InitialCandidate(problem.fit, task);
      codec::EvaluateSeed(profile, problem.fit, task, problem.levels, gemm.seeds[i], preferred);
      const double bound = task.squared_norm * (1 - double{gemm.scores[i]} - kTolerance);
      wrong += preferred.error < found || found < bound;
    }
    Report({{"check", "no better code by GEMM"}, {"profile", profile.name}}, problem.count(),
           wrong);
    return device.error();
  }

  cudaError_t Decoding(const codec::Profile& profile) {
    constexpr int64_t kRows = 5;
    const int64_t columns = 67 * profile.block - 3;
    const int64_t per_row = profile.blocks_per_row(columns);
    const auto level_bytes = static_cast<size_t>(kRows * codec::LevelRowBytes(profile, per_row));
    std::vector<uint32_t> words(static_cast<size_t>(kRows * per_row));
    for (size_t i = 0; i < words.size(); ++i)
      words[i] = static_cast<uint32_t>(i * 2654435761u) | 1u;
    const std::vector<uint8_t> levels(level_bytes, 0x5A);
    std::vector<float> scale(codec::kLevels, 0x1p-20f), expected;
    for (int64_t i = 0; i < kRows * per_row; ++i) {
      const int64_t b = i % per_row;
      const uint32_t level = level_bytes == 0 ? 0 : (b % 2 == 0 ? 0xA : 0x5);
      float block[codec::kMaxBlock];
      codec::DecodeBlock(profile, codec::UnpackWord(profile, words[static_cast<size_t>(i)], level),
                         scale.data(), block);
      expected.insert(expected.end(), block,
                      block + std::min<int64_t>(profile.block, columns - b * profile.block));
    }
    std::vector<float> got(expected.size());
    const cudaError_t error = Decode(profile, words, levels, scale, kRows, columns, got);
    Report({{"check", "decode = codec"}, {"profile", profile.name}}, kRows * per_row,
           std::memcmp(got.data(), expected.data(), got.size() * sizeof(float)) != 0);
    return error;
  }

 private:
  // The rungs above the naive one that a profile has.
  std::vector<std::pair<const char*, SearchMethod>> FastRungs(const DeviceSearch& device,
                                                              const codec::Profile& profile) const {
    std::vector<std::pair<const char*, SearchMethod>> rungs{{"sliding", SearchMethod::kSliding}};
    if (sizes_.all || profile.name == codec::k4bit.name) {
      rungs.emplace_back("tensor", SearchMethod::kTensor);
    }
    if (device.tables().cells.exists()) rungs.emplace_back("cells", SearchMethod::kCells);
    return rungs;
  }

  cudaError_t Decode(const codec::Profile& profile, const std::vector<uint32_t>& words,
                     const std::vector<uint8_t>& levels, const std::vector<float>& scale,
                     int64_t rows, int64_t columns, std::vector<float>& out) {
    cudaStream_t stream = nullptr;
    cudaError_t error = cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    const auto upload = [&](const auto& values) -> void* {
      void* memory = nullptr;
      const size_t bytes = std::max<size_t>(values.size() * sizeof(values[0]), 1);
      if (error == cudaSuccess) error = cudaMalloc(&memory, bytes);
      if (error == cudaSuccess) {
        error = cudaMemcpyAsync(memory, values.data(), values.size() * sizeof(values[0]),
                                cudaMemcpyHostToDevice, stream);
      }
      return memory;
    };
    void* on_device[] = {upload(words), upload(levels), upload(scale), upload(out)};
    if (error == cudaSuccess) {
      error = cuda::QueueDecode(
          profile,
          {static_cast<const uint32_t*>(on_device[0]), static_cast<const uint8_t*>(on_device[1]),
           static_cast<const float*>(on_device[2]), rows, columns, profile.blocks_per_row(columns)},
          backend::WeightType::kF32, on_device[3], stream);
    }
    if (error == cudaSuccess) {
      error = cudaMemcpyAsync(out.data(), on_device[3], out.size() * sizeof(float),
                              cudaMemcpyDeviceToHost, stream);
    }
    if (error == cudaSuccess) error = cudaStreamSynchronize(stream);
    for (void* memory : on_device) cudaFree(memory);
    if (stream != nullptr) cudaStreamDestroy(stream);
    return error;
  }

  void Report(ordered_json what, int64_t blocks, int64_t differences) {
    what["blocks"] = blocks;
    what["differences"] = differences;
    checks_.push_back(std::move(what));
    failed_ |= differences != 0;
  }

  const CheckSizes& sizes_;
  const int processors_;
  ordered_json& checks_;
  bool& failed_;
};

}  // namespace

cudaError_t CheckAll(const CheckSizes& sizes, int processors, ordered_json& checks, bool& failed) {
  Checker checker(sizes, processors, checks, failed);
  checks = ordered_json::array();
  for (const codec::Profile& profile : codec::kProfiles) {
    for (const auto& [fit, rule] :
         {std::pair{Fit::kOptimal, ScaleRule::kFitted}, std::pair{Fit::kOptimal, ScaleRule::kPow2},
          std::pair{Fit::kOptimal, ScaleRule::kPaper}, std::pair{Fit::kNearest, ScaleRule::kPow2},
          std::pair{Fit::kNearest, ScaleRule::kPaper}}) {
      const bool usual = rule == (fit == Fit::kOptimal ? ScaleRule::kFitted : ScaleRule::kPaper);
      if (!sizes.all && !usual) continue;
      if (const cudaError_t error = checker.AgainstReference(profile, fit, rule);
          error != cudaSuccess) {
        return error;
      }
    }
    for (const auto check : {&Checker::AgainstNaive, &Checker::AgainstGemm, &Checker::Decoding}) {
      if (const cudaError_t error = (checker.*check)(profile); error != cudaSuccess) return error;
    }
  }
  return cudaSuccess;
}

}  // namespace seedlm::bench
