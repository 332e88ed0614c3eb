// client/report.
#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>

#include "absl/strings/str_replace.h"
#include "client/report/charts.h"
#include "client/report/report_page.h"
#include "client/report/svg.h"
#include "tests/client/report_samples.h"

namespace seedlm::client {
namespace {

size_t Count(const std::string& text, const std::string& part) {
  size_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

bool Contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// Every tag that is opened is closed, in the right order; attributes are quoted.
void CheckMarkup(const std::string& page) {
  const std::set<std::string> empty_tags{"meta", "wbr", "!DOCTYPE"};
  const std::regex attributes("( [a-zA-Z0-9:-]+(=\"[^\"<>]*\")?)*/?");
  std::vector<std::string> open;
  size_t at = page.find("<style>");
  const size_t style_end = page.find("</style>");
  REQUIRE(at != std::string::npos);
  const std::string text = page.substr(0, at) + page.substr(style_end + 8);
  for (at = text.find('<'); at != std::string::npos; at = text.find('<', at + 1)) {
    const size_t end = text.find('>', at);
    REQUIRE(end != std::string::npos);
    std::string tag = text.substr(at + 1, end - at - 1);
    INFO(tag);
    REQUIRE_FALSE(tag.empty());
    if (tag[0] == '/') {
      REQUIRE_FALSE(open.empty());
      REQUIRE(open.back() == tag.substr(1));
      open.pop_back();
      continue;
    }
    const size_t name_end = std::min(tag.find_first_of(" /"), tag.size());
    const std::string name = tag.substr(0, name_end);
    // std::regex recurses: long paths would end the stack.
    if (tag.size() < 1000) CHECK(std::regex_match(tag.substr(name_end), attributes));
    if (tag.back() != '/' && !empty_tags.contains(name)) open.push_back(name);
  }
  CHECK(open.empty());
}

TEST_CASE("a name says its layer and its kind") {
  struct Case {
    std::string name;
    int64_t layer;
    std::string kind;
  };
  for (const Case& c : {
           Case{"model.layers.12.mlp.up_proj.weight", 12, "mlp.up_proj"},
           Case{"h.0.attn.c_attn.weight", 0, "attn.c_attn"},
           Case{"model.layers.3.mlp.experts.17.w1.weight", 3, "mlp.experts.*.w1"},
           Case{"blocks.7.weight", 7, "blocks"},
           Case{"lm_head.weight", -1, "lm_head"},
           Case{"weight", -1, "weight"},
           Case{"", -1, ""},
           Case{"a.99999999999999999999.b", -1, "a.99999999999999999999.b"},
       }) {
    INFO(c.name);
    CHECK(PlaceOf(c.name).layer == c.layer);
    CHECK(PlaceOf(c.name).kind == c.kind);
  }
}

TEST_CASE("numbers in names count as numbers") {
  std::vector<std::string> names{"a.10", "a.9", "a.1", "a.010", "a", "b", "a.1.c", ""};
  std::sort(names.begin(), names.end(), NaturalLess);
  CHECK(names == std::vector<std::string>{"", "a", "a.1", "a.1.c", "a.9", "a.010", "a.10", "b"});
}

TEST_CASE("kinds in several layers are rows, the rest stands alone") {
  std::vector<SampleTensor> tensors = ManyTensors();
  tensors.push_back({"lm_head.weight"});
  tensors.push_back({"model.layers.0.odd.weight"});
  const JobHistory history = SampleHistory(tensors, 100);
  std::vector<size_t> others;
  const auto kinds = GroupByKind(history, 14, others);
  CHECK(kinds.size() == 7);
  CHECK(others.size() == 2);
  for (const KindGroup& kind : kinds) {
    REQUIRE(kind.tensors.size() == 43);
    for (size_t i = 0; i < 43; ++i) {
      CHECK(PlaceOf(history.tensors[kind.tensors[i]].result.name()).layer ==
            static_cast<int64_t>(i));
    }
  }
  CHECK(GroupByKind(history, 5, others).size() == 5);
  CHECK(others.size() == 2 + 2 * 43);
}

TEST_CASE("text is escaped, and what deceives the eye is replaced") {
  CHECK(EscapeHtml("<script>alert(\"1\")</script>&'") ==
        "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&#39;");
  CHECK(EscapeHtml("größe 層") == "größe 層");
  const std::string gone = "\xEF\xBF\xBD";
  CHECK(EscapeHtml(std::string("a\0b\n\x7F", 5)) == "a" + gone + "b" + gone + gone);
  CHECK(EscapeHtml("a\xE2\x80\xAE"
                   "b") == "a" + gone + "b");                          // right-to-left override
  CHECK(EscapeHtml("\xFF\xC0\xAF") == gone + gone + gone);             // not UTF-8, overlong
  CHECK(EscapeHtml("\xED\xA0\x80") == gone + gone + gone);             // a surrogate
  CHECK(EscapeHtml("\xF4\x90\x80\x80") == gone + gone + gone + gone);  // over U+10FFFF
}

TEST_CASE("axes end at round values") {
  CHECK(Coordinate(12) == "12");
  CHECK(Coordinate(12.5) == "12.5");
  CHECK(Coordinate(-0.001) == "0");
  CHECK(AxisEnd(0.171, 4) == Approx(0.2));
  CHECK(AxisEnd(0.2, 4) == Approx(0.2));
  CHECK(Ticks(60, 6) == std::vector<double>{0, 10, 20, 30, 40, 50, 60});
  CHECK(Ticks(0.3, 3).size() == 4);
}

TEST_CASE("events become a history: the last attempt counts, times do not go back") {
  v1::Job job;
  *job.mutable_create_time() = TimeAt(10);
  std::vector<v1::JobEvent> events(4);
  for (size_t i = 0; i < events.size(); ++i) events[i].set_sequence(static_cast<int64_t>(i) + 1);
  *events[0].mutable_time() = TimeAt(11);
  events[0].mutable_tensor()->set_name("a");
  events[0].mutable_tensor()->set_relative_error(1);
  *events[1].mutable_time() = TimeAt(14);
  events[1].set_warning("w");
  *events[2].mutable_time() = TimeAt(12);  // the clock was set back
  events[2].mutable_tensor()->set_name("a");
  events[2].mutable_tensor()->set_relative_error(0.5);
  *events[3].mutable_time() = TimeAt(9);
  events[3].set_state(v1::JOB_STATE_FAILED);
  const JobHistory history = ToHistory(job, events);
  REQUIRE(history.tensors.size() == 1);
  CHECK(history.tensors[0].result.relative_error() == 0.5);
  CHECK(history.tensors[0].seconds == 4);
  CHECK(history.warnings[0].seconds == 4);
  CHECK(history.states[0].seconds == 4);
  CHECK(history.seconds == 4);
}

TEST_CASE("a page is whole, loads nothing, and is the same for the same history") {
  for (const auto& tensors : {OneTensor(), ManyTensors()}) {
    const JobHistory history = SampleHistory(tensors, 5000);
    const std::string page = RenderReport(history);
    CHECK(page == RenderReport(history));
    CheckMarkup(page);
    CHECK(Count(page, "<svg ") == 4);
    CHECK(Count(page, "<td title=") == tensors.size());
    const std::string unbroken = absl::StrReplaceAll(page, {{"<wbr>", ""}});
    for (const auto& tensor : tensors) CHECK(Contains(unbroken, ">" + tensor.name + "</td>"));
    for (const char* never : {"<script", "http:", "https:", "src=", "url(", "@import", "href"}) {
      INFO(never);
      CHECK_FALSE(Contains(page, never));
    }
    CHECK(page.size() < 500'000);
  }
}

TEST_CASE("the figures of a page are those of the job") {
  const std::string page = RenderReport(SampleHistory(
      {{"layers.0.up.weight", 100, 80, 0.1}, {"layers.1.up.weight", 100, 80, 0.2}}, 60));
  CHECK(Contains(page, ">0.1581<"));  // sqrt((0.01 + 0.04) / 2)
  CHECK(Contains(page, ">SUCCEEDED<"));
  CHECK(Contains(page, "layers.1.up.weight: relative error 0.2000"));
  CHECK(Count(page, "\"bar worst\"") == 2);  // the bar and its key
  CHECK(Contains(page, "from 36.6 kB"));
}

TEST_CASE("hostile names are text") {
  const std::string hostile =
      "</title></text><script>alert(1)</script><img src=x onerror=\"alert(2)\">'\"&\xFF\n";
  std::vector<SampleTensor> tensors{{hostile}, {hostile + ".1.a"}, {hostile + ".2.a"}};
  JobHistory history = SampleHistory(tensors, 1);
  history.job.set_name("jobs/" + hostile);
  (*history.job.mutable_labels())[hostile] = hostile;
  history.job.mutable_error()->set_message(hostile);
  history.job.mutable_source()->set_uri(hostile);
  history.warnings.push_back({0.5, hostile});
  history.job.mutable_estimate()->mutable_skipped(0)->set_name(hostile);
  history.job.mutable_estimate()->mutable_skipped(0)->set_reason(hostile);
  const std::string page = RenderReport(history);
  CheckMarkup(page);
  CHECK_FALSE(Contains(page, "<script"));
  CHECK_FALSE(Contains(page, "<img"));
  CHECK(Contains(page, "&lt;script&gt;alert(1)"));
}

TEST_CASE("a job without figures gives a page, too") {
  v1::Job job;
  job.set_name("jobs/a");
  job.set_state(v1::JOB_STATE_FAILED);
  job.mutable_error()->set_message("disk full");
  for (const bool empty : {true, false}) {
    JobHistory history = empty ? JobHistory() : ToHistory(job, {});
    const std::string page = RenderReport(history);
    CheckMarkup(page);
    CHECK(Contains(page, "No tensor was finished"));
    CHECK(Count(page, "<svg ") == 0);
  }
  CHECK(Contains(RenderReport(ToHistory(job, {})), "disk full"));

  // Of a server that counted neither bytes nor levels; and errors of nothing at all.
  JobHistory history = SampleHistory(OneTensor(), 1);
  history.tensors[0].result.clear_level_blocks();
  history.tensors[0].result.clear_packed_bytes();
  history.tensors[0].result.set_relative_error(0);
  history.tensors[0].result.set_squared_error(0);
  CheckMarkup(RenderReport(history));
  CHECK(LevelChart(history).empty());
  CHECK_FALSE(ErrorChart(history).empty());
}

// Pages to look at: SEEDLM_REPORT_SAMPLES=DIR client_test "sample pages".
TEST_CASE("sample pages", "[.]") {
  const char* directory = std::getenv("SEEDLM_REPORT_SAMPLES");
  REQUIRE(directory != nullptr);
  const auto write = [&](const std::string& name, const JobHistory& history) {
    std::ofstream(std::filesystem::path(directory) / name) << RenderReport(history);
  };
  write("one.html", SampleHistory(OneTensor(), 0.8));
  write("many.html", SampleHistory(ManyTensors(), 3900));
  JobHistory failed = SampleHistory(ManyTensors(), 3900);
  failed.tensors.resize(40);
  failed.job.set_state(v1::JOB_STATE_FAILED);
  failed.job.clear_output_files();
  failed.job.mutable_error()->set_message("/data/out: no space left on device");
  failed.states.back().state = v1::JOB_STATE_FAILED;
  failed.warnings.push_back(
      {1700, "the cache of the index cannot be written: read-only file system"});
  write("failed.html", failed);
}

}  // namespace
}  // namespace seedlm::client
