#include <algorithm>
#include <cmath>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/job_json.h"
#include "client/report/charts.h"
#include "client/report/svg.h"
#include "client/text.h"

namespace seedlm::client {
namespace {

constexpr double kPlotTop = 44;
constexpr double kHeight = 150;
constexpr double kBase = kPlotTop + kHeight;
constexpr size_t kMaxMarks = 2000;

// Times that people count in, s.
constexpr double kSteps[] = {60,   120,   300,   600,   900,   1800,   3600,
                             7200, 10800, 21600, 43200, 86400, 172800, 604800};

// About six marks on 0 .. end.
std::vector<double> TimeTicks(double end) {
  if (end <= 120) return Ticks(end, 6);
  const auto* step = std::find_if(std::begin(kSteps), std::prev(std::end(kSteps)),
                                  [&](double s) { return end / s <= 8; });
  std::vector<double> ticks;
  for (double tick = 0; tick <= end; tick += std::max(*step, end / 100)) ticks.push_back(tick);
  return ticks;
}

std::string TimeText(double seconds, double end) {
  const auto minutes = static_cast<int64_t>(std::llround(seconds / 60));
  if (end <= 120) return absl::StrFormat("%.3g s", seconds);
  if (end <= 7200) return absl::StrCat(minutes, " min");
  if (end <= 2 * 86400) return absl::StrFormat("%d:%02d h", minutes / 60, minutes % 60);
  return absl::StrFormat("%.1f d", seconds / 86400);
}

// Where a time is.
struct Axis {
  double end = 1;
  double At(double seconds) const {
    return kChartLeft + kChartLength * std::clamp(seconds / end, 0.0, 1.0);
  }
};

void States(const JobHistory& history, const Axis& axis, Svg& svg) {
  for (size_t i = 0; i < history.states.size(); ++i) {
    const auto& [begin, state] = history.states[i];
    const bool last = i + 1 == history.states.size();
    const double end = last ? history.seconds : history.states[i + 1].seconds;
    const double x = axis.At(begin);
    const double width = axis.At(end) - x;
    const std::string name = StateName(state);
    const bool running = state == v1::JOB_STATE_RUNNING;
    const bool waiting = state == v1::JOB_STATE_QUEUED;
    if (running || waiting) {
      svg.Rect(x, kPlotTop - 24, std::max(width, 0.5), 16, running ? "running" : "waiting",
               absl::StrCat(name, " for ", FormatDuration(end - begin)));
      if (width > 80) svg.Add({x + 8, kPlotTop - 12, name, "dim small"});
    } else {
      svg.Line(x, kPlotTop - 26, x, kBase, "axis");
      svg.Add({x + 8, kPlotTop - 12, name, "figure strong"});
    }
  }
}

// The weights of all tensors that were finished until then, as a filled step line; the tensors are
// sorted by time.
void Steps(const std::vector<const JobHistory::Tensor*>& tensors, double all, const Axis& axis,
           double until, Svg& svg) {
  std::string line;
  double done = 0;
  double y = kBase;
  absl::StrAppend(&line, "M", Coordinate(axis.At(0)), " ", Coordinate(y));
  for (const auto* tensor : tensors) {
    done += static_cast<double>(tensor->result.rows() * tensor->result.columns());
    y = kBase - kHeight * std::min(done / all, 1.0);
    absl::StrAppend(&line, "H", Coordinate(axis.At(tensor->seconds)), "V", Coordinate(y));
  }
  absl::StrAppend(&line, "H", Coordinate(axis.At(until)));
  svg.Path(absl::StrCat(line, "V", Coordinate(kBase), "z"), "area");
  svg.Path(line, "line");
}

void Axes(const Axis& axis, double end, Svg& svg) {
  for (int quarter = 0; quarter <= 4; ++quarter) {
    const double y = kBase - kHeight * quarter / 4;
    svg.Line(kChartLeft, y, kChartLeft + kChartLength, y, quarter == 0 ? "axis" : "grid");
    if (quarter % 2 == 0) {
      svg.Add({kChartLeft - 14, y + 4, absl::StrFormat("%d %%", 25 * quarter), "dim", "end"});
    }
  }
  for (const double tick : TimeTicks(end)) {
    svg.Line(axis.At(tick), kBase, axis.At(tick), kBase + 5, "axis");
    svg.Add({axis.At(tick), kBase + 34, TimeText(tick, end), "dim", "middle"});
  }
}

}  // namespace

std::string TimeChart(const JobHistory& history) {
  if (!(history.seconds > 0) || history.states.empty()) return "";
  const Axis axis{history.seconds};
  const double all =
      static_cast<double>(std::max(history.job.progress().weights_total(), Sum(history).weights));
  Svg svg(kChartWidth, kBase + 44, "Weights compressed over time");
  Axes(axis, history.seconds, svg);
  svg.Add({kChartLeft - 14, kPlotTop + 24, "weights", "name", "end"});
  svg.Add({kChartLeft - 14, kPlotTop + 40, "compressed", "name", "end"});

  std::vector<const JobHistory::Tensor*> tensors;
  for (const auto& tensor : history.tensors) tensors.push_back(&tensor);
  std::stable_sort(tensors.begin(), tensors.end(),
                   [](const auto* a, const auto* b) { return a->seconds < b->seconds; });
  if (!tensors.empty() && all > 0) Steps(tensors, all, axis, history.seconds, svg);
  States(history, axis, svg);
  for (size_t i = 0; i < std::min(tensors.size(), kMaxMarks); ++i) {
    svg.Rect(
        axis.At(tensors[i]->seconds) - 0.5, kBase + 6, 1, 10, "mark",
        absl::StrCat(tensors[i]->result.name(), " after ", FormatDuration(tensors[i]->seconds)));
  }
  for (const auto& [seconds, message] : history.warnings) {
    svg.Rect(axis.At(seconds) - 2, kPlotTop, 4, kHeight, "warning", message);
  }
  return svg.Finish();
}

}  // namespace seedlm::client
