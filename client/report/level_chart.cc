#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/report/charts.h"
#include "client/report/svg.h"
#include "client/text.h"
#include "kernels/codec/profile.h"

namespace seedlm::client {
namespace {

constexpr size_t kLevels = codec::kLevels;
constexpr double kColumn = 46;
constexpr double kBars = 120;
constexpr double kTop = 24;
constexpr double kMapHeight = 560;  // of all lines, where they can be thin enough
constexpr double kThinnest = 1.2, kThickest = 20;
constexpr double kNamed = 11;  // lines from here on carry a name
constexpr int kShades = 12;
constexpr size_t kMaxGroups = 40;

using Shares = std::array<double, kLevels>;

// False where the server did not say, or there are no blocks.
bool SharesOf(const v1::TensorResult& result, Shares& shares) {
  if (result.level_blocks_size() != static_cast<int>(kLevels)) return false;
  const double all =
      std::accumulate(result.level_blocks().begin(), result.level_blocks().end(), 0.0);
  if (!(all > 0)) return false;
  for (size_t i = 0; i < kLevels; ++i) {
    shares[i] = static_cast<double>(result.level_blocks(static_cast<int>(i))) / all;
  }
  return true;
}

struct Line {
  const v1::TensorResult* result;
  Shares shares;
  bool first = false;   // of its group
  std::string group{};  // what its lines have in common: a kind
  size_t group_size = 1;
};

// Tensors of a kind are neighbours, in the order of layers.
std::vector<Line> LinesOf(const JobHistory& history) {
  std::vector<size_t> others;
  std::vector<KindGroup> groups = GroupByKind(history, kMaxGroups, others);
  for (const size_t other : others) {
    groups.push_back({history.tensors[other].result.name(), {other}});
  }
  std::vector<Line> lines;
  for (const KindGroup& group : groups) {
    const size_t begin = lines.size();
    for (const size_t tensor : group.tensors) {
      Line line{&history.tensors[tensor].result, {}};
      if (SharesOf(*line.result, line.shares)) lines.push_back(std::move(line));
    }
    if (lines.size() == begin) continue;
    lines[begin].first = true;
    lines[begin].group = group.kind;
    lines[begin].group_size = lines.size() - begin;
  }
  return lines;
}

Shares Total(const std::vector<Line>& lines) {
  Shares total{};
  double blocks = 0;
  for (const Line& line : lines) {
    for (size_t i = 0; i < kLevels; ++i) {
      const auto count = static_cast<double>(line.result->level_blocks(static_cast<int>(i)));
      total[i] += count;
      blocks += count;
    }
  }
  for (double& share : total) share /= blocks;
  return total;
}

void Histogram(const Shares& total, Svg& svg) {
  const double end = AxisEnd(*std::max_element(total.begin(), total.end()), 3);
  const double base = kTop + kBars;
  for (const double tick : Ticks(end, 3)) {
    const double y = base - kBars * tick / end;
    svg.Line(kChartLeft, y, kChartLeft + kColumn * kLevels, y, tick == 0 ? "axis" : "grid");
    svg.Add({kChartLeft - 14, y + 4, absl::StrFormat("%.3g %%", 100 * tick), "dim", "end"});
  }
  for (size_t i = 0; i < kLevels; ++i) {
    const double height = kBars * total[i] / end;
    const double x = kChartLeft + kColumn * static_cast<double>(i);
    svg.Rect(x + 2, base - height, kColumn - 4, height, "bar",
             absl::StrFormat("level %d: %.2f %% of all blocks", i, 100 * total[i]));
    svg.Add({x + kColumn / 2, base + 17, absl::StrCat(i), "dim", "middle"});
  }
}

// One path a shade, for a page that stays small with thousands of tensors.
void Map(const std::vector<Line>& lines, double top, double pitch, double darkest, Svg& svg) {
  std::array<std::string, kShades + 1> paths;
  const std::string box =
      absl::StrCat("h", Coordinate(kColumn - 1), "v", Coordinate(pitch > 4 ? pitch - 1 : pitch),
                   "h", Coordinate(1 - kColumn), "z");
  for (size_t i = 0; i < lines.size(); ++i) {
    for (size_t level = 0; level < kLevels; ++level) {
      // The square root: rare levels are seen, too.
      const double strength = std::sqrt(lines[i].shares[level] / darkest);
      const auto shade = static_cast<size_t>(std::ceil(kShades * strength - 1e-9));
      if (shade == 0) continue;
      absl::StrAppend(&paths[std::min<size_t>(shade, kShades)], "M",
                      Coordinate(kChartLeft + kColumn * static_cast<double>(level)), " ",
                      Coordinate(top + pitch * static_cast<double>(i)), box);
    }
  }
  for (size_t shade = 1; shade <= kShades; ++shade) {
    if (!paths[shade].empty()) {
      svg.Path(paths[shade], "bar", static_cast<double>(shade) / kShades);
    }
  }
}

std::string MostUsed(const Line& line) {
  const auto most = std::max_element(line.shares.begin(), line.shares.end());
  return absl::StrFormat("%s: level %d most often, %.1f %%", line.result->name(),
                         most - line.shares.begin(), 100 * *most);
}

// A name a line where they fit, else one a group; what still does not fit is left out.
void Names(const std::vector<Line>& lines, double top, double pitch, Svg& svg) {
  double free = top;  // no name above this
  for (size_t i = 0; i < lines.size(); ++i) {
    const Line& line = lines[i];
    const double y = top + pitch * static_cast<double>(i);
    svg.Rect(kChartLeft, y, kColumn * kLevels, pitch, "touch", MostUsed(line));
    const bool each = pitch >= kNamed;
    if (!each && !line.first) continue;
    const double height = each ? pitch : pitch * static_cast<double>(line.group_size);
    if (!each && line.group_size > 1 && i > 0) {
      svg.Line(kChartLeft - 8, y, kChartLeft + kColumn * kLevels, y, "grid");
    }
    const double middle = y + height / 2;
    if (middle - kNamed / 2 < free) continue;
    free = middle + kNamed / 2;
    svg.Add({kChartLeft - 14, middle + 4, Ellipsis(each ? line.result->name() : line.group, 36),
             "name", "end"});
  }
}

}  // namespace

std::string LevelChart(const JobHistory& history) {
  const std::vector<Line> lines = LinesOf(history);
  if (lines.empty()) return "";
  const auto count = static_cast<double>(lines.size());
  const double pitch = std::clamp(kMapHeight / count, kThinnest, kThickest);
  const bool has_map = lines.size() > 1;  // of one tensor the histogram says it all
  const double top = kTop + kBars + 34;
  const double height = has_map ? top + pitch * count + 8 : top - 10;
  Svg svg(kChartWidth, height, "How often each of the 16 levels is used");
  svg.Add({kChartLeft, 12, "all tensors together, share of blocks", "dim"});
  Histogram(Total(lines), svg);
  if (!has_map) return svg.Finish();

  double darkest = 0;
  for (const Line& line : lines) {
    darkest = std::max(darkest, *std::max_element(line.shares.begin(), line.shares.end()));
  }
  Map(lines, top, pitch, darkest, svg);
  Names(lines, top, pitch, svg);
  const double x = kChartLeft + kColumn * kLevels + 22;
  svg.Add({x, top + 12, "a line a tensor", "dim"});
  for (int shade = 0; shade <= 4; ++shade) {
    svg.Path(
        absl::StrCat("M", Coordinate(x + 18 * shade), " ", Coordinate(top + 24), "h17v12h-17z"),
        "bar", std::max(0.05, shade / 4.0));
  }
  svg.Add({x, top + 52, absl::StrFormat("0 .. %.0f %% of its blocks", 100 * darkest), "dim"});
  return svg.Finish();
}

}  // namespace seedlm::client
