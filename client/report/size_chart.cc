#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/report/charts.h"
#include "client/report/svg.h"
#include "client/text.h"

namespace seedlm::client {
namespace {

constexpr double kBar = 30;
constexpr double kPitch = 46;
constexpr double kFits = 90;  // a figure in a bar

struct Parts {
  std::string name;
  int64_t compressed = 0;  // bytes of the tensors that are compressed
  int64_t rest = 0;
};

void Row(const Parts& parts, double per_byte, double top, Svg& svg) {
  svg.Add({kChartLeft - 14, top + 20, parts.name, "name", "end"});
  double x = kChartLeft;
  const auto part = [&](int64_t bytes, std::string_view classes, std::string_view ink,
                        std::string_view what) {
    const double length = static_cast<double>(bytes) * per_byte;
    svg.Rect(x, top, length, kBar, classes,
             absl::StrCat(std::string(what), ": ", BytesText(bytes)));
    if (length > kFits) svg.Add({x + 10, top + 20, BytesText(bytes), ink});
    x += length;
  };
  part(parts.compressed, "bar", "inside", "tensors that are compressed");
  part(parts.rest, "rest", "figure", "everything else");
  svg.Add({x + 10, top + 20, BytesText(parts.compressed + parts.rest), "figure strong"});
}

}  // namespace

std::string SizeChart(const JobHistory& history) {
  const Totals totals = Sum(history);
  if (totals.input_bytes <= 0 || totals.output_bytes <= 0) return "";
  // A server that does not say what the tensors take: two plain bars. So does a job that has not
  // finished all tensors.
  const bool known = totals.packed_bytes > 0 && history.job.state() == v1::JOB_STATE_SUCCEEDED &&
                     totals.source_bytes <= totals.input_bytes &&
                     totals.packed_bytes <= totals.output_bytes;
  const int64_t source = known ? totals.source_bytes : 0;
  const int64_t packed = known ? totals.packed_bytes : 0;
  const double per_byte =
      kChartLength / static_cast<double>(std::max(totals.input_bytes, totals.output_bytes));
  Svg svg(kChartWidth, 2 * kPitch + 30, "Size before and after");
  Row({"before", source, totals.input_bytes - source}, per_byte, 4, svg);
  Row({"after", packed, totals.output_bytes - packed}, per_byte, 4 + kPitch, svg);
  const double y = 2 * kPitch + 20;
  if (known) {
    svg.Rect(kChartLeft, y - 10, 11, 11, "bar");
    svg.Add({kChartLeft + 18, y, "tensors that are compressed", "dim"});
    svg.Rect(kChartLeft + 230, y - 10, 11, 11, "rest");
    svg.Add({kChartLeft + 248, y, "kept as they are: embeddings, norms, headers", "dim"});
  }
  return svg.Finish();
}

}  // namespace seedlm::client
