#include "kernels/bench/cuda_check_reference.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "kernels/bench/bench_support.h"
#include "kernels/codec/bitpack.h"
#include "kernels/codec/reference.h"
#include "kernels/cpu/backends.h"

namespace seedlm::bench {
namespace {

// Calls work(i) for i = 0, 1, .. on several threads, in order, until it is `count` or one fails;
// returns the first error. All calls below *done have been made.
template <typename WorkOn>
absl::Status InOrder(int64_t count, int threads, double seconds, const WorkOn& work,
                     int64_t* done = nullptr) {
  const Stopwatch watch;
  std::atomic<int64_t> next{0};
  std::mutex mutex;
  absl::Status first;
  std::vector<std::jthread> workers;
  for (int t = 0; t < threads; ++t) {
    workers.emplace_back([&] {
      while (watch.seconds() < seconds) {
        const int64_t mine = next++;
        if (mine >= count) break;
        const absl::Status status = work(mine);
        const std::lock_guard lock(mutex);
        if (first.ok()) first = status;
        if (!status.ok()) break;
      }
    });
  }
  workers.clear();
  if (done != nullptr) *done = std::min<int64_t>(next, count);
  return first;
}

constexpr double kNoLimit = 1e9;

}  // namespace

std::vector<cuda::CodeWord> ReferenceCodes(const Problem& problem, int threads) {
  const codec::ReferenceEncoder encoder(problem.profile);
  std::vector<cuda::CodeWord> codes(static_cast<size_t>(problem.count()));
  const auto search = [&](int64_t i) {
    const codec::Candidate best = encoder.Search(problem.fit, problem.levels, problem.block(i));
    codes[static_cast<size_t>(i)] = cuda::MakeCodeWord(best.seed, best.remainder);
    return absl::OkStatus();
  };
  static_cast<void>(InOrder(problem.count(), threads, kNoLimit, search));  // cannot fail
  return codes;
}

absl::StatusOr<HostCodes> EncodeOnHost(const Problem& problem, int threads, double seconds) {
  constexpr int64_t kPiece = 8192;
  const auto backend = cpu::MakeSimdBackend();
  if (!backend.ok()) return backend.status();
  const codec::Profile& profile = problem.profile;
  const backend::EncodeSpec spec{profile, problem.fit, problem.levels, problem.count()};
  const int64_t count = problem.count();
  HostCodes host;
  host.search = (*backend)->description();
  host.codes.resize(static_cast<size_t>(count));
  const auto encode = [&](int64_t piece) -> absl::Status {
    const int64_t first = piece * kPiece;
    const int64_t some = std::min(kPiece, count - first);
    const backend::WeightRows row{backend::WeightType::kF32, 1, some * profile.block,
                                  reinterpret_cast<const std::byte*>(problem.block(first)), 0};
    const auto shard = (*backend)->Encode(spec, row, {});
    if (!shard.ok()) return shard.status();
    for (int64_t i = 0; i < some; ++i) {
      const uint32_t level =
          profile.level_in_word() ? 0 : codec::GetLevelNibble(shard->levels.data(), i);
      const codec::BlockCode code =
          codec::UnpackWord(profile, shard->words[static_cast<size_t>(i)], level);
      host.codes[static_cast<size_t>(first + i)] =
          cuda::MakeCodeWord(code.seed, codec::Remainder(profile, code));
    }
    return absl::OkStatus();
  };
  const Stopwatch watch;
  int64_t pieces = 0;
  const absl::Status status =
      InOrder((count + kPiece - 1) / kPiece, threads, seconds, encode, &pieces);
  if (!status.ok()) return status;
  host.seconds = watch.seconds();
  host.codes.resize(static_cast<size_t>(std::min(count, pieces * kPiece)));
  return host;
}

absl::StatusOr<std::vector<backend::EncodedShard>> EncodeRowsOnHost(
    const backend::EncodeSpec& spec, const backend::WeightRows& weights, int threads) {
  const auto backend = cpu::MakeSimdBackend();
  if (!backend.ok()) return backend.status();
  std::vector<backend::EncodedShard> rows(static_cast<size_t>(weights.rows));
  const absl::Status status = InOrder(weights.rows, threads, kNoLimit, [&](int64_t i) {
    backend::WeightRows row = weights;
    row.rows = 1;
    row.data += i * weights.columns * backend::ByteWidth(weights.type);
    auto shard = (*backend)->Encode(spec, row, {});
    if (shard.ok()) rows[static_cast<size_t>(i)] = *std::move(shard);
    return shard.status();
  });
  if (!status.ok()) return status;
  return rows;
}

int64_t Differences(const std::vector<cuda::CodeWord>& a, const std::vector<cuda::CodeWord>& b) {
  int64_t differences = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i) differences += a[i] != b[i];
  return differences;
}

}  // namespace seedlm::bench
