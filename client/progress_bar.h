// How far the work is: one line that redraws itself on a terminal, a line now and then elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace seedlm::client {

struct ProgressView {
  int64_t done = 0;
  int64_t total = 0;
  double rate = 0;         // a second
  double eta_seconds = 0;  // 0: unknown
  std::string current{};   // tensor or file
  bool bytes = false;      // counts bytes (a transfer), not weights
  // Work that is not counted in weights ("measuring"), and how much of it is done, 0 .. 1. When it
  // is set the bar shows it instead.
  std::string phase{};
  double phase_fraction = 0;
};

// "[#######.......]  52.1 %  11.8 M of 22.7 M weights  1.25 M weights/s  ETA 9.0 s  layer.3.query".
// Never wider than `width` columns: the name is shortened first, then left out with the bar, then
// the rest is cut.
std::string RenderBar(const ProgressView& view, int width);

// The same without a bar, any width: for logs.
std::string RenderLine(const ProgressView& view);

// Where and when progress is shown. The defaults are stderr and the steady clock.
struct ProgressTarget {
  bool is_terminal = false;
  std::function<int()> width;
  std::function<void(std::string_view)> write;
  std::function<std::chrono::steady_clock::time_point()> now;

  static ProgressTarget Stderr();
};

// Not thread-safe.
class ProgressBar {
 public:
  static constexpr std::chrono::milliseconds kRedraw{100};  // at most 10 a second
  static constexpr std::chrono::milliseconds kLine{3000};

  explicit ProgressBar(ProgressTarget target = ProgressTarget::Stderr())
      : target_(std::move(target)) {}
  ~ProgressBar() { Clear(); }
  ProgressBar(const ProgressBar&) = delete;
  ProgressBar& operator=(const ProgressBar&) = delete;

  void Update(const ProgressView& view);
  // A line of its own, above the bar.
  void Print(std::string_view line);
  // Takes the bar away.
  void Clear();

 private:
  ProgressTarget target_;
  bool drawn_ = false;
  bool started_ = false;
  std::chrono::steady_clock::time_point last_{};
};

}  // namespace seedlm::client
