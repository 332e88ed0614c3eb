#include "client/output.h"

#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/text.h"

namespace seedlm::client {
namespace {

void PrintLine(absl::string_view label, absl::string_view text) {
  while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
  const std::string line =
      absl::StrCat(label, Printable({text.data(), text.size()}, std::string::npos), "\n");
  std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace

void PrintOut(absl::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

void PrintNote(absl::string_view text) { PrintLine("seedlm: ", text); }

void PrintError(absl::string_view text) { PrintLine("seedlm: error: ", text); }

}  // namespace seedlm::client
