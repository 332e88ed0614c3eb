#include "client/table.h"

#include <algorithm>

#include "client/text.h"

namespace seedlm::client {
void Table::AddRow(std::vector<std::string> cells) {
  for (std::string& cell : cells) cell = Printable(cell);
  cells.resize(columns_.size());
  rows_.push_back(std::move(cells));
}

std::string Table::Render() const {
  std::vector<size_t> widths;
  std::vector<std::string> titles;
  for (size_t i = 0; i < columns_.size(); ++i) {
    size_t width = CountCharacters(columns_[i].title);
    for (const auto& row : rows_) width = std::max(width, CountCharacters(row[i]));
    widths.push_back(width);
    titles.push_back(columns_[i].title);
  }
  std::string out;
  const auto add = [&](const std::vector<std::string>& row) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      const std::string padding(widths[i] - CountCharacters(row[i]), ' ');
      if (i > 0) line += "  ";
      line += columns_[i].align == Align::kRight ? padding + row[i] : row[i] + padding;
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  };
  add(titles);
  for (const auto& row : rows_) add(row);
  return out;
}

}  // namespace seedlm::client
