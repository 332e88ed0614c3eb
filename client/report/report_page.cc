#include "client/report/report_page.h"

#include <google/protobuf/util/time_util.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "client/job_json.h"
#include "client/report/charts.h"
#include "client/report/style.h"
#include "client/report/svg.h"
#include "client/text.h"

namespace seedlm::client {
namespace {

std::string Tile(std::string_view label, const std::string& figure, const std::string& note) {
  return absl::StrCat("<div class=\"tile\"><b>", EscapeHtml(label), "</b><strong>",
                      EscapeHtml(figure), "</strong><span>", EscapeHtml(note), "</span></div>\n");
}

std::string Tiles(const JobHistory& history, const Totals& totals) {
  const v1::Job& job = history.job;
  std::string tiles = "<div class=\"tiles\">\n";
  if (totals.input_bytes > 0 && totals.output_bytes > 0) {
    const double ratio =
        static_cast<double>(totals.input_bytes) / static_cast<double>(totals.output_bytes);
    tiles +=
        Tile(job.state() == v1::JOB_STATE_SUCCEEDED ? "size" : "estimated size",
             BytesText(totals.output_bytes),
             absl::StrFormat("from %s, %.2f times smaller", BytesText(totals.input_bytes), ratio));
  }
  if (totals.has_error) {
    tiles += Tile("relative error", absl::StrFormat("%.4f", totals.relative_error),
                  "Frobenius norm, compressed tensors");
  }
  if (totals.weights > 0) {
    tiles += Tile("bits a weight", absl::StrFormat("%.3f", totals.bits_per_weight),
                  absl::StrCat("for ", FormatCount(totals.weights), " weights"));
    tiles += Tile("tensors", absl::StrCat(history.tensors.size()),
                  absl::StrCat(job.estimate().skipped_count(), " kept as they are"));
  }
  if (totals.run_seconds > 0) {
    tiles += Tile("time", FormatDuration(totals.run_seconds),
                  FormatRate(static_cast<double>(std::max<int64_t>(
                                 totals.weights - job.progress().weights_kept(), 0)) /
                             totals.run_seconds));
  }
  return tiles + "</div>\n";
}

std::string Fact(std::string_view name, const std::string& text) {
  if (text.empty()) return "";
  return absl::StrCat("<dt>", EscapeHtml(name), "</dt><dd>", EscapeHtml(text), "</dd>\n");
}

std::string Facts(const v1::Job& job) {
  using google::protobuf::util::TimeUtil;
  const std::string source = job.source().has_uri() ? job.source().uri() : job.source().artifact();
  const std::string destination = job.destination().has_uri()     ? job.destination().uri()
                                  : job.output_artifact().empty() ? "managed"
                                                                  : job.output_artifact();
  const auto& spec = job.spec();
  std::string labels;
  for (const auto& label :
       std::map<std::string, std::string>(job.labels().begin(), job.labels().end())) {
    absl::StrAppend(&labels, labels.empty() ? "" : ", ", label.first, "=", label.second);
  }
  return absl::StrCat(
      "<dl>\n", Fact("source", source), Fact("destination", destination),
      Fact("codec", absl::StrCat(ProfileName(spec.profile()), ", fit ", FitName(spec.fit()),
                                 ", scale ", ScaleName(spec.scale()))),
      Fact("created", job.has_create_time() ? TimeUtil::ToString(TimeUtil::SecondsToTimestamp(
                                                  job.create_time().seconds()))
                                            : ""),
      Fact("attempt", job.attempt() > 1 ? absl::StrCat(job.attempt()) : ""), Fact("labels", labels),
      "</dl>\n");
}

std::string Section(std::string_view title, std::string_view lead, const std::string& content) {
  if (content.empty()) return "";
  return absl::StrCat("<section><h2>", EscapeHtml(title), "</h2><p>", EscapeHtml(lead), "</p>\n",
                      content, "</section>\n");
}

std::string Troubles(const JobHistory& history) {
  std::string text;
  if (history.job.has_error()) {
    absl::StrAppend(&text, "<p class=\"trouble\">", EscapeHtml(history.job.error().message()),
                    "</p>\n");
  }
  for (const auto& warning : history.warnings) {
    absl::StrAppend(&text, "<p class=\"note\">after ", FormatDuration(warning.seconds), ": ",
                    EscapeHtml(warning.message), "</p>\n");
  }
  return text;
}

std::string Cell(const std::string& text) {
  return absl::StrCat("<td>", EscapeHtml(text), "</td>");
}

// A line of a long name may end after a dot.
std::string NameHtml(const std::string& name) {
  return absl::StrReplaceAll(EscapeHtml(name), {{".", ".<wbr>"}});
}

std::string TensorTable(const JobHistory& history) {
  if (history.tensors.empty()) return "";
  std::string table =
      "<div class=\"scroll\"><table><thead><tr><th>tensor</th><th>shape</th><th>relative error</th>"
      "<th>largest error</th><th>bits</th><th>before</th><th>after</th><th>device time</th>"
      "<th>backend</th></tr></thead><tbody>\n";
  for (const auto& [seconds, result] : history.tensors) {
    absl::StrAppend(&table, "<tr><td title=\"SHA-256 of its planes: ", EscapeHtml(result.sha256()),
                    "\">", NameHtml(result.name()), "</td>",
                    Cell(absl::StrCat(result.rows(), " × ", result.columns())),
                    Cell(absl::StrFormat("%.5f", result.relative_error())),
                    Cell(absl::StrFormat("%.3g", result.max_error())),
                    Cell(absl::StrFormat("%.3f", result.bits_per_weight())),
                    Cell(result.source_bytes() > 0 ? BytesText(result.source_bytes()) : ""),
                    Cell(result.packed_bytes() > 0 ? BytesText(result.packed_bytes()) : ""),
                    Cell(absl::StrFormat("%.3f s", result.seconds())), Cell(result.backend()),
                    "</tr>\n");
  }
  return table + "</tbody></table></div>\n";
}

std::string SkippedTable(const v1::Job& job) {
  if (job.estimate().skipped().empty()) return "";
  std::string table = absl::StrCat("<details><summary>", job.estimate().skipped_count(),
                                   " tensors kept as they are</summary>\n<div class=\"scroll\">"
                                   "<table><thead><tr><th>tensor</th><th>why</th></tr></thead>"
                                   "<tbody>\n");
  for (const auto& tensor : job.estimate().skipped()) {
    absl::StrAppend(&table, "<tr><td>", NameHtml(tensor.name()), "</td>", Cell(tensor.reason()),
                    "</tr>\n");
  }
  return table + "</tbody></table></div></details>\n";
}

}  // namespace

std::string RenderReport(const JobHistory& history) {
  const Totals totals = Sum(history);
  const std::string name = EscapeHtml(history.job.name());
  const std::string state = StateName(history.job.state());
  const bool succeeded = history.job.state() == v1::JOB_STATE_SUCCEEDED;
  const std::string nothing =
      history.tensors.empty() ? "<p class=\"note\">No tensor was finished.</p>\n" : "";
  return absl::StrCat(
      absl::string_view(kPageBegin.data(), kPageBegin.size()),
      "<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n",
      // Nothing is loaded and nothing runs, even if a name found a way out of its quotes.
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
      "'unsafe-inline'\">\n",
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>seedlm ",
      name, "</title>\n<style>\n", kReportStyle, "</style>\n</head>\n<body>\n<header><h1>", name,
      "</h1><span class=\"state ", state, "\">", state, "</span></header>\n", Facts(history.job),
      Troubles(history), Tiles(history, totals), nothing,
      Section(
          "Error of each layer",
          "Norm of the difference over the norm of the weights. A bar begins at the error of all "
          "tensors together: up is worse, down is better; all rows have one scale.",
          ErrorChart(history)),
      Section("Size",
              succeeded
                  ? "All safetensors files of the checkpoint, before and after."
                  : "All safetensors files of the checkpoint, before and, as estimated, after.",
              SizeChart(history)),
      Section("Use of the levels",
              "A block of weights is scaled by one of the 16 levels of its tensor; level 0 is the "
              "smallest. A dark column is a level that many blocks use.",
              LevelChart(history)),
      Section("Time line", "Since the job was created. A tick under the axis is a finished tensor.",
              TimeChart(history)),
      Section("Tensors", "In the order of their names; point at a name for its SHA-256.",
              TensorTable(history)),
      SkippedTable(history.job), "</body>\n</html>\n");
}

}  // namespace seedlm::client
