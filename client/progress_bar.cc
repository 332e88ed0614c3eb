#include "client/progress_bar.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "absl/strings/str_cat.h"
#include "client/text.h"

namespace seedlm::client {
namespace {

constexpr int kDefaultWidth = 80;
constexpr size_t kMinBar = 6;  // cells between the brackets
constexpr size_t kMaxBar = 30;
constexpr size_t kMinName = 12;  // columns; a shorter piece of a tensor's name says nothing

std::string Numbers(const ProgressView& view) {
  if (!view.phase.empty()) {
    return absl::StrCat(view.phase, " ", FormatPercent(view.phase_fraction, 1));
  }
  const double total = static_cast<double>(view.total);
  std::string out = FormatPercent(static_cast<double>(view.done), total);
  if (view.bytes) {
    absl::StrAppend(&out, "  ", FormatBytes(static_cast<uint64_t>(view.done)), " of ",
                    FormatBytes(static_cast<uint64_t>(view.total)));
    if (view.rate > 0) {
      absl::StrAppend(&out, "  ", FormatBytes(static_cast<uint64_t>(view.rate)), "/s");
    }
  } else {
    absl::StrAppend(&out, "  ", FormatCount(view.done), " of ", FormatCount(view.total),
                    " weights");
    if (view.rate > 0) absl::StrAppend(&out, "  ", FormatRate(view.rate));
  }
  if (view.eta_seconds > 0 && view.done < view.total) {
    absl::StrAppend(&out, "  ETA ", FormatDuration(view.eta_seconds));
  }
  return out;
}

std::string Bar(const ProgressView& view, size_t cells) {
  double part = view.phase_fraction;
  if (view.phase.empty()) {
    part = view.total > 0 ? static_cast<double>(view.done) / static_cast<double>(view.total) : 0;
  }
  const auto filled = static_cast<size_t>(std::clamp(part, 0.0, 1.0) * static_cast<double>(cells));
  return absl::StrCat("[", std::string(filled, '#'), std::string(cells - filled, '.'), "] ");
}

}  // namespace

std::string RenderBar(const ProgressView& view, int width) {
  const auto columns = static_cast<size_t>(std::max(width, 1));
  std::string out = Numbers(view);
  const size_t brackets = 3;  // "[", "]", and the space behind
  if (out.size() + brackets + kMinBar <= columns) {
    const size_t room = columns - out.size() - brackets;
    // A quarter of what is free, so that the name has the rest.
    const size_t cells = std::clamp(room / 4, kMinBar, kMaxBar);
    out = Bar(view, cells) + out;
  }
  if (!view.current.empty() && out.size() + 2 + kMinName <= columns) {
    return absl::StrCat(out, "  ", Ellipsis(Printable(view.current), columns - out.size() - 2));
  }
  return out.substr(0, columns);
}

std::string RenderLine(const ProgressView& view) {
  std::string out = Numbers(view);
  if (!view.current.empty()) absl::StrAppend(&out, "  ", Printable(view.current));
  return out;
}

ProgressTarget ProgressTarget::Stderr() {
  ProgressTarget target;
  target.is_terminal = isatty(STDERR_FILENO) == 1;
  target.width = [] {
    winsize size{};
    const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    return known ? static_cast<int>(size.ws_col) : kDefaultWidth;
  };
  target.write = [](std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stderr);
    std::fflush(stderr);
  };
  target.now = [] { return std::chrono::steady_clock::now(); };
  return target;
}

void ProgressBar::Update(const ProgressView& view) {
  const auto now = target_.now();
  const auto pause = target_.is_terminal ? kRedraw : kLine;
  if (!started_ && !target_.is_terminal) {  // what is over in no time needs no line
    started_ = true;
    last_ = now;
  }
  if (started_ && now - last_ < pause) return;
  started_ = true;
  last_ = now;
  if (target_.is_terminal) {
    // One column stays free: a full line would wrap on some terminals.
    target_.write(absl::StrCat("\r\033[K", RenderBar(view, target_.width() - 1)));
    drawn_ = true;
  } else {
    target_.write(RenderLine(view) + "\n");
  }
}

void ProgressBar::Print(std::string_view line) {
  Clear();
  target_.write(std::string(line) + "\n");
  if (target_.is_terminal) started_ = false;  // the bar comes back with the next update
}

void ProgressBar::Clear() {
  if (!drawn_) return;
  target_.write("\r\033[K");
  drawn_ = false;
}

}  // namespace seedlm::client
