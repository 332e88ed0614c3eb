#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/report/charts.h"
#include "client/report/svg.h"
#include "client/text.h"

namespace seedlm::client {
namespace {

constexpr double kRight = 1010;  // the figures of a row after
constexpr double kEnd = kRight - 24;
constexpr double kRow = 66;
constexpr double kBars = 50;     // height of the longest up and the longest down together
constexpr double kMaxStep = 64;  // from bar to bar; a dozen layers fill the width
constexpr double kSingle = 24;   // row of a tensor that stands alone
constexpr double kClipped = 2;   // deviations above this times the 95th percentile are cut off
constexpr double kMarked = 1.3;  // cut off by more than this: the figure says how much
constexpr size_t kMaxKinds = 14;
constexpr size_t kMaxSingles = 24;
constexpr size_t kNameColumns = 36;

double ErrorOf(const JobHistory& history, size_t tensor) {
  return history.tensors[tensor].result.relative_error();
}

std::string Described(const v1::TensorResult& result) {
  return absl::StrFormat("%s: relative error %.4f, largest %.3g", result.name(),
                         result.relative_error(), result.max_error());
}

// What the rows share.
struct Scale {
  const JobHistory& history;
  double end = 1;   // of the axis of errors that begins at 0
  double base = 0;  // of all tensors together, or their mean: where the bars of kinds begin
  double up = 0;    // deviations from there that are drawn whole
  double down = 0;
  size_t worst = 0;

  double PerError() const { return up + down > 0 ? kBars / (up + down) : 0; }
};

Scale MakeScale(const JobHistory& history) {
  Scale scale{history};
  const Totals totals = Sum(history);
  std::vector<double> errors;
  for (size_t i = 0; i < history.tensors.size(); ++i) {
    errors.push_back(ErrorOf(history, i));
    scale.base += errors.back() / static_cast<double>(history.tensors.size());
    if (errors.back() > errors[scale.worst]) scale.worst = i;
  }
  if (totals.has_error) scale.base = totals.relative_error;
  if (errors[scale.worst] > 0) scale.end = AxisEnd(errors[scale.worst], 4);
  std::vector<double> deviations;
  for (const double error : errors) deviations.push_back(std::abs(error - scale.base));
  std::sort(deviations.begin(), deviations.end());
  const double limit = kClipped * deviations[(deviations.size() - 1) * 95 / 100];
  for (const double error : errors) {
    scale.up = std::max(scale.up, std::min(error - scale.base, limit));
    scale.down = std::max(scale.down, std::min(scale.base - error, limit));
  }
  return scale;
}

// A bar from the line of all tensors; of one that is cut off the figure is beside it.
void KindBar(const Scale& scale, size_t tensor, double x, double width, double line, Svg& svg) {
  const v1::TensorResult& result = scale.history.tensors[tensor].result;
  const double deviation = result.relative_error() - scale.base;
  const double drawn = std::clamp(deviation, -scale.down, scale.up);
  const double height = std::max(std::abs(drawn) * scale.PerError(), 0.7);
  const bool worst = tensor == scale.worst && scale.history.tensors.size() > 1;
  svg.Rect(x, drawn > 0 ? line - height : line, width, height,
           worst       ? "bar worst"
           : drawn > 0 ? "bar above"
                       : "bar",
           Described(result));
  if (drawn > 0 && deviation > kMarked * drawn) {
    svg.Add({x + width + 4, line - height + 9, absl::StrFormat("%.4f", result.relative_error()),
             "dim small"});
  }
}

void KindRow(const Scale& scale, const KindGroup& group, double top, Svg& svg) {
  const double line = top + 6 + scale.up * scale.PerError();
  const double step =
      std::min((kEnd - kChartLeft) / static_cast<double>(group.tensors.size()), kMaxStep);
  const double width = std::max(0.8, step - (step > 5 ? 2 : 0.4));
  double least = scale.end;
  double most = 0;
  svg.Line(kChartLeft, line, kEnd, line, "mean");
  for (size_t i = 0; i < group.tensors.size(); ++i) {
    const double error = ErrorOf(scale.history, group.tensors[i]);
    least = std::min(least, error);
    most = std::max(most, error);
    KindBar(scale, group.tensors[i], kChartLeft + step * static_cast<double>(i), width, line, svg);
  }
  const double middle = top + kRow / 2;
  svg.Add({kChartLeft - 14, middle - 4, Ellipsis(group.kind, kNameColumns), "name", "end"});
  svg.Add(
      {kChartLeft - 14, middle + 12, absl::StrCat(group.tensors.size(), " tensors"), "dim", "end"});
  svg.Add({kRight, middle - 4, absl::StrFormat("%.4f", most), "figure"});
  svg.Add({kRight + 56, middle - 4, "highest", "dim"});
  svg.Add({kRight, middle + 12, absl::StrFormat("%.4f", least), "figure"});
  svg.Add({kRight + 56, middle + 12, "lowest", "dim"});
}

// Numbers of layers under the bars, of the kind with the most of them.
void LayerAxis(const JobHistory& history, const std::vector<KindGroup>& kinds, double y, Svg& svg) {
  const auto longest = std::max_element(
      kinds.begin(), kinds.end(),
      [](const auto& a, const auto& b) { return a.tensors.size() < b.tensors.size(); });
  const size_t count = longest->tensors.size();
  const double step = std::min((kEnd - kChartLeft) / static_cast<double>(count), kMaxStep);
  const auto every = static_cast<size_t>(std::ceil(48 / step));
  for (size_t i = 0; i < count; i += every) {
    const int64_t layer = PlaceOf(history.tensors[longest->tensors[i]].result.name()).layer;
    svg.Add({kChartLeft + step * (static_cast<double>(i) + 0.5), y, absl::StrCat(layer), "dim",
             "middle"});
  }
  svg.Add({kChartLeft - 14, y, "layer", "dim", "end"});
}

void SingleRow(const Scale& scale, size_t tensor, double top, Svg& svg) {
  const v1::TensorResult& result = scale.history.tensors[tensor].result;
  const double length = (kEnd - kChartLeft) * result.relative_error() / scale.end;
  svg.Add({kChartLeft - 14, top + 15, Ellipsis(result.name(), kNameColumns), "name", "end"});
  svg.Rect(kChartLeft, top + 4, std::max(length, 1.0), kSingle - 9,
           tensor == scale.worst && scale.history.tensors.size() > 1 ? "bar worst" : "bar",
           Described(result));
  svg.Add({kRight, top + 15, absl::StrFormat("%.4f", result.relative_error()), "figure"});
}

// The largest errors of `others`, in the order that they have.
void KeepLargest(const JobHistory& history, std::vector<size_t>& others) {
  if (others.size() <= kMaxSingles) return;
  std::stable_sort(others.begin(), others.end(),
                   [&](size_t a, size_t b) { return ErrorOf(history, a) > ErrorOf(history, b); });
  others.resize(kMaxSingles);
  std::sort(others.begin(), others.end());
}

}  // namespace

std::string ErrorChart(const JobHistory& history) {
  if (history.tensors.empty()) return "";
  std::vector<size_t> others;
  const std::vector<KindGroup> kinds = GroupByKind(history, kMaxKinds, others);
  const size_t all_others = others.size();
  KeepLargest(history, others);
  const Scale scale = MakeScale(history);
  const double axis = kinds.empty() ? 0 : 24;
  const double gap = kinds.empty() || others.empty() ? 0 : 34;
  const double height = 8 + kRow * static_cast<double>(kinds.size()) + axis + gap +
                        kSingle * static_cast<double>(others.size()) + 26;
  Svg svg(kChartWidth, height, "Relative error of each tensor, by kind and layer");
  double top = 4;
  for (const KindGroup& kind : kinds) {
    KindRow(scale, kind, top, svg);
    top += kRow;
  }
  if (!kinds.empty()) LayerAxis(history, kinds, top + 12, svg);
  top += axis;
  if (gap > 0) {
    const std::string heading =
        others.size() < all_others
            ? absl::StrCat("The ", others.size(), " largest of ", all_others, " others, from 0")
            : "In one layer only, or in none; these bars begin at 0";
    svg.Add({kChartLeft, top + 26, heading, "dim"});
    top += gap;
  }
  const double first = top;
  for (const size_t tensor : others) {
    SingleRow(scale, tensor, top, svg);
    top += kSingle;
  }
  if (!others.empty()) {
    const double x = kChartLeft + (kEnd - kChartLeft) * scale.base / scale.end;
    svg.Line(x, first, x, top, "mean");
  }
  svg.Line(kChartLeft, top + 13, kChartLeft + 26, top + 13, "mean");
  svg.Add({kChartLeft + 34, top + 17, absl::StrFormat("all tensors together: %.4f", scale.base),
           "dim"});
  if (history.tensors.size() > 1) {
    svg.Rect(kChartLeft + 260, top + 8, 11, 11, "bar worst");
    svg.Add({kChartLeft + 278, top + 17,
             "highest: " + Ellipsis(history.tensors[scale.worst].result.name(), 60), "dim"});
  }
  return svg.Finish();
}

}  // namespace seedlm::client
