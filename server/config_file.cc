// The configuration file: TOML to ServerOptions.
#include <toml++/toml.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>
#include <numeric>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/settings.h"

namespace seedlm::server {
namespace {

constexpr std::streamsize kMaxFileBytes = 1 << 20;

absl::Status At(const std::string& file, const toml::source_region& place,
                const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat(file, ":", place.begin.line, ": ", what));
}

absl::Status FirstOf(const absl::StatusOr<std::vector<absl::Status>>& faults) {
  if (!faults.ok()) return faults.status();
  return faults->empty() ? absl::OkStatus() : faults->front();
}

// Levenshtein's distance.
size_t Distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

std::string UnknownKey(std::string_view key) {
  constexpr size_t kMaxNameBytes = 64;
  std::string text = absl::StrCat(QuoteToml(key.substr(0, kMaxNameBytes)), " is no setting");
  const Setting* nearest = nullptr;
  size_t least = 4;  // more slips than three make another word
  for (const Setting& setting : Settings()) {
    const size_t distance = Distance(key.substr(0, kMaxNameBytes), setting.name);
    if (distance < least) {
      least = distance;
      nearest = &setting;
    }
  }
  if (nearest != nullptr) return absl::StrCat(text, ": do you mean ", nearest->name, "?");
  return absl::StrCat(text, ": seedlm-server --print-config lists them");
}

// INVALID_ARGUMENT for what no setting may be: a table, a date, a floating number.
absl::StatusOr<RawValue> ToRaw(const toml::node& node) {
  if (const auto* yes = node.as_boolean()) return RawValue(yes->get());
  if (const auto* number = node.as_integer()) return RawValue(number->get());
  if (const auto* text = node.as_string()) return RawValue(text->get());
  const toml::array* array = node.as_array();
  if (array == nullptr) {
    return absl::InvalidArgumentError(
        node.is_table() ? "is a table, and settings are not grouped in tables"
                        : "is neither an integer, a text, true, false nor a list of texts");
  }
  std::vector<std::string> texts;
  for (const toml::node& element : *array) {
    const auto* text = element.as_string();
    if (text == nullptr) return absl::InvalidArgumentError("has something in it that is no text");
    texts.push_back(text->get());
  }
  return RawValue(std::move(texts));
}

absl::Status ApplyEntry(std::string_view key, const toml::source_region& place,
                        const toml::node& node, const std::string& file, ServerOptions& options) {
  const Setting* setting = FindSetting(key);
  if (setting == nullptr) return At(file, place, UnknownKey(key));
  const absl::StatusOr<RawValue> value = ToRaw(node);
  const absl::Status status = value.ok() ? setting->type->Assign(*value, options) : value.status();
  if (status.ok()) options.places[setting->name] = absl::StrCat(file, ":", place.begin.line);
  if (status.ok()) return status;
  return At(file, place, absl::StrCat(setting->name, ": ", status.message()));
}

}  // namespace

absl::StatusOr<std::vector<absl::Status>> ApplyAllOfConfig(std::string_view toml,
                                                           const std::string& file,
                                                           ServerOptions& options) {
  toml::table table;
  try {
    table = toml::parse(toml, file);
  } catch (const toml::parse_error& error) {
    return At(file, error.source(), std::string(error.description()));
  }
  // In the order of the file, which the table has not kept.
  std::vector<toml::table::const_iterator> entries;
  for (auto entry = table.cbegin(); entry != table.cend(); ++entry) entries.push_back(entry);
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    return a->first.source().begin < b->first.source().begin;
  });
  std::vector<absl::Status> faults;
  for (const auto& entry : entries) {
    absl::Status status =
        ApplyEntry(entry->first.str(), entry->first.source(), entry->second, file, options);
    if (!status.ok()) faults.push_back(std::move(status));
  }
  return faults;
}

absl::StatusOr<std::vector<absl::Status>> ApplyAllOfConfigFile(const std::string& file,
                                                               ServerOptions& options) {
  std::ifstream stream(file, std::ios::binary);
  std::string text;
  if (stream) {
    text.resize(static_cast<size_t>(kMaxFileBytes) + 1);
    stream.read(text.data(), static_cast<std::streamsize>(text.size()));
    text.resize(static_cast<size_t>(stream.gcount()));
  }
  if (!stream.is_open() || stream.bad() || (stream.fail() && !stream.eof())) {
    return absl::ErrnoToStatus(errno, absl::StrCat("--config ", file));
  }
  if (text.size() > static_cast<size_t>(kMaxFileBytes)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--config ", file, ": is larger than ", ShowSize(kMaxFileBytes)));
  }
  return ApplyAllOfConfig(text, file, options);
}

absl::Status ApplyConfig(std::string_view toml, const std::string& file, ServerOptions& options) {
  return FirstOf(ApplyAllOfConfig(toml, file, options));
}

}  // namespace seedlm::server
