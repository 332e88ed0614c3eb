// Text for HTML and SVG: escaped names, short numbers, the few shapes that the charts are made of.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace seedlm::client {

// For text and for attributes in double quotes. Control characters, and characters that turn the
// direction of writing or are not shown, become U+FFFD, and so do bytes that are not UTF-8: a name
// cannot pretend to be another.
std::string EscapeHtml(std::string_view text);

// At most two digits after the point, none that say nothing: "12", "12.5".
std::string Coordinate(double value);

// Round values that divide 0 .. max into about `count` parts; the last is not above max. REQUIRES:
// max > 0.
std::vector<double> Ticks(double max, int count);
// The smallest number of those ticks' step that is not below `max`: where an axis ends.
double AxisEnd(double max, int count);

// For people; a negative number, which a damaged history may hold, is 0 bytes.
std::string BytesText(int64_t bytes);

// Of all pictures, px.
inline constexpr double kChartWidth = 1120;
inline constexpr double kChartLeft = 250;  // of the bars; names before
inline constexpr double kChartLength = 740;

// One <svg>. All text goes through EscapeHtml; classes are those of the page's style sheet.
class Svg {
 public:
  // `title`: what the picture shows, for those who do not see it.
  Svg(double width, double height, std::string_view title);

  struct Text {
    double x = 0, y = 0;
    std::string_view text;
    std::string_view classes{};
    std::string_view anchor = "start";  // start, middle, end
  };
  void Add(const Text& text);
  // `title`: shown when pointed at; empty: none.
  void Rect(double x, double y, double width, double height, std::string_view classes,
            std::string_view title = {});
  void Line(double x1, double y1, double x2, double y2, std::string_view classes);
  // `d` as in SVG; `opacity` of the filling.
  void Path(std::string_view d, std::string_view classes, double opacity = 1);

  std::string Finish() const { return text_ + "</svg>\n"; }

 private:
  std::string text_;
};

}  // namespace seedlm::client
