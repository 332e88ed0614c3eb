#include "client/report/svg.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/text.h"
#include "kernels/format/utf8.h"

namespace seedlm::client {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// Controls, characters without width, marks of direction (Unicode UAX #9).
bool Deceives(uint32_t code) {
  return code < 0x20 || (code >= 0x7F && code < 0xA0) || (code >= 0x200B && code <= 0x200F) ||
         (code >= 0x2028 && code <= 0x202E) || (code >= 0x2060 && code <= 0x206F) ||
         code == 0xFEFF || (code >= 0xFFF9 && code <= 0xFFFB) || (code & 0xFFFE) == 0xFFFE;
}

double Step(double max, int count) {
  const double raw = max / count;
  const double power = std::pow(10, std::floor(std::log10(raw)));
  for (const double digit : {1.0, 2.0, 2.5, 5.0}) {
    if (raw <= digit * power * (1 + 1e-9)) return digit * power;
  }
  return 10 * power;
}

std::string Attribute(std::string_view name, std::string_view value) {
  if (value.empty()) return "";
  return absl::StrCat(" ", std::string(name), "=\"", EscapeHtml(value), "\"");
}

}  // namespace

std::string EscapeHtml(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const format::Utf8Character character = format::FirstCharacter(text);
    const size_t length = character.length == 0 ? 1 : character.length;
    if (character.length == 0 || Deceives(character.code)) {
      out += kReplacement;
    } else if (text[0] == '&') {
      out += "&amp;";
    } else if (text[0] == '<') {
      out += "&lt;";
    } else if (text[0] == '>') {
      out += "&gt;";
    } else if (text[0] == '"') {
      out += "&quot;";
    } else if (text[0] == '\'') {
      out += "&#39;";
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
  return out;
}

std::string BytesText(int64_t bytes) {
  return FormatBytes(static_cast<uint64_t>(std::max<int64_t>(bytes, 0)));
}

std::string Coordinate(double value) {
  std::string text = absl::StrFormat("%.2f", std::isfinite(value) ? value : 0.0);
  while (text.back() == '0') text.pop_back();
  if (text.back() == '.') text.pop_back();
  return text == "-0" ? "0" : text;
}

std::vector<double> Ticks(double max, int count) {
  const double step = Step(max, count);
  std::vector<double> ticks;
  for (int i = 0; i * step <= max * (1 + 1e-9); ++i) ticks.push_back(i * step);
  return ticks;
}

double AxisEnd(double max, int count) {
  const double step = Step(max, count);
  return std::ceil(max / step - 1e-9) * step;
}

Svg::Svg(double width, double height, std::string_view title)
    : text_(absl::StrCat("<svg viewBox=\"0 0 ", Coordinate(width), " ", Coordinate(height),
                         "\" role=\"img\" aria-label=\"", EscapeHtml(title), "\">")) {}

void Svg::Add(const Text& text) {
  absl::StrAppend(&text_, "<text x=\"", Coordinate(text.x), "\" y=\"", Coordinate(text.y), "\"",
                  Attribute("class", text.classes),
                  text.anchor == "start" ? "" : Attribute("text-anchor", text.anchor), ">",
                  EscapeHtml(text.text), "</text>");
}

void Svg::Rect(double x, double y, double width, double height, std::string_view classes,
               std::string_view title) {
  absl::StrAppend(&text_, "<rect x=\"", Coordinate(x), "\" y=\"", Coordinate(y), "\" width=\"",
                  Coordinate(width), "\" height=\"", Coordinate(height), "\"",
                  Attribute("class", classes));
  if (title.empty()) {
    absl::StrAppend(&text_, "/>");
  } else {
    absl::StrAppend(&text_, "><title>", EscapeHtml(title), "</title></rect>");
  }
}

void Svg::Line(double x1, double y1, double x2, double y2, std::string_view classes) {
  absl::StrAppend(&text_, "<line x1=\"", Coordinate(x1), "\" y1=\"", Coordinate(y1), "\" x2=\"",
                  Coordinate(x2), "\" y2=\"", Coordinate(y2), "\"", Attribute("class", classes),
                  "/>");
}

void Svg::Path(std::string_view d, std::string_view classes, double opacity) {
  absl::StrAppend(&text_, "<path d=\"", std::string(d), "\"", Attribute("class", classes),
                  opacity < 1 ? absl::StrCat(" fill-opacity=\"", Coordinate(opacity), "\"") : "",
                  "/>");
}

}  // namespace seedlm::client
