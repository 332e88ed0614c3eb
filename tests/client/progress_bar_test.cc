#include "client/progress_bar.h"

#include <catch2/catch.hpp>
#include <string>

#include "absl/strings/match.h"

namespace seedlm::client {
namespace {

using std::chrono::milliseconds;

ProgressView Half() {
  ProgressView view;
  view.done = 11'350'000;
  view.total = 22'700'000;
  view.rate = 1'250'000;
  view.eta_seconds = 9.08;
  view.current = "encoder.layer.3.attention.self.query.weight";
  return view;
}

TEST_CASE("the bar fits every width") {
  for (int width = 1; width <= 250; ++width) {
    CAPTURE(width);
    REQUIRE(RenderBar(Half(), width).size() <= static_cast<size_t>(width));
  }
  CHECK(RenderBar(Half(), 0).size() <= 1);
}

TEST_CASE("while the weights do not move, the phase does") {
  ProgressView view = Half();
  view.done = 0;
  view.phase = "measuring";
  view.phase_fraction = 0.5;
  const std::string bar = RenderBar(view, 100);
  CAPTURE(bar);
  CHECK(absl::StrContains(bar, "#....."));
  CHECK(absl::StrContains(bar, "] measuring 50.0 %"));
  CHECK_FALSE(absl::StrContains(bar, "weights"));
  CHECK(absl::StartsWith(RenderLine(view), "measuring 50.0 %"));
}

TEST_CASE("a wide bar says everything, half of it filled") {
  const std::string bar = RenderBar(Half(), 160);
  CAPTURE(bar);
  CHECK(absl::StartsWith(bar, "[#######"));
  CHECK(absl::StrContains(bar, "#....."));
  CHECK(absl::StrContains(bar, "50.0 %  11.3 M of 22.7 M weights  1.25 M weights/s  ETA 9.1 s"));
  CHECK(absl::EndsWith(bar, "  encoder.layer.3.attention.self.query.weight"));
}

TEST_CASE("on 80 columns the numbers stay") {
  const std::string bar = RenderBar(Half(), 80);
  CAPTURE(bar);
  CHECK(absl::StartsWith(bar, "[###...] 50.0 %"));
  CHECK(absl::StrContains(bar, "1.25 M weights/s  ETA 9.1 s"));
}

TEST_CASE("on 100 columns the name is cut at its front") {
  const std::string bar = RenderBar(Half(), 100);
  CAPTURE(bar);
  CHECK(absl::StrContains(bar, "  ..."));
  CHECK(absl::EndsWith(bar, "query.weight"));
}

TEST_CASE("on 12 columns the percentage is left") {
  CHECK(absl::StartsWith(RenderBar(Half(), 12), "50.0 %"));
}

TEST_CASE("bounds: nothing, everything, more than everything") {
  CHECK(absl::StrContains(RenderBar(ProgressView{}, 80), "0.0 %  0 of 0 weights"));
  ProgressView view = Half();
  view.done = view.total;
  CHECK_FALSE(absl::StrContains(RenderBar(view, 160), "ETA"));
  CHECK_FALSE(absl::StrContains(RenderBar(view, 160), "#."));
  view.done = 3 * view.total;
  CHECK(RenderBar(view, 160).size() <= 160);
}

TEST_CASE("transfers count bytes") {
  ProgressView view = Half();
  view.bytes = true;
  CHECK(absl::StrContains(RenderLine(view), "11.3 MB of 22.7 MB  1.25 MB/s"));
}

TEST_CASE("control characters of a name do not reach the terminal") {
  ProgressView view = Half();
  view.current = "a\033[2Jb\nc";
  CHECK(absl::EndsWith(RenderLine(view), "a\\x1b[2Jb\\x0ac"));
  CHECK(absl::EndsWith(RenderBar(view, 160), "a\\x1b[2Jb\\x0ac"));
}

struct Screen {
  std::string written;
  std::chrono::steady_clock::time_point now{};

  ProgressTarget Target(bool terminal) {
    ProgressTarget target;
    target.is_terminal = terminal;
    target.width = [] { return 80; };
    target.write = [this](std::string_view text) { written += text; };
    target.now = [this] { return now; };
    return target;
  }
};

size_t Count(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST_CASE("a terminal is redrawn at most ten times a second, and cleared at the end") {
  Screen screen;
  {
    ProgressBar bar(screen.Target(true));
    for (int i = 0; i < 1000; ++i) {
      bar.Update(Half());
      screen.now += milliseconds(1);
    }
    CHECK(Count(screen.written, "\r\033[K") == 10);
    CHECK(Count(screen.written, "\n") == 0);
  }
  CHECK(absl::EndsWith(screen.written, "\r\033[K"));
}

TEST_CASE("elsewhere a line every three seconds, no control characters") {
  Screen screen;
  {
    ProgressBar bar(screen.Target(false));
    for (int i = 0; i < 100; ++i) {
      bar.Update(Half());
      screen.now += milliseconds(100);
    }
  }
  CHECK(Count(screen.written, "\n") == 3);  // at 3, 6 and 9 s: what is quick needs none
  CHECK(Count(screen.written, "\033") == 0);
  CHECK(Count(screen.written, "\r") == 0);
}

TEST_CASE("a printed line stands above the bar, which comes back at once") {
  Screen screen;
  ProgressBar bar(screen.Target(true));
  bar.Update(Half());
  bar.Print("a warning");
  CHECK(absl::EndsWith(screen.written, "\r\033[Ka warning\n"));
  screen.written.clear();
  bar.Update(Half());
  CHECK(absl::StrContains(screen.written, "50.0 %"));
}

}  // namespace
}  // namespace seedlm::client
