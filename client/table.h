// Columns of text.
#pragma once

#include <string>
#include <vector>

namespace seedlm::client {

enum class Align { kLeft, kRight };

struct Column {
  std::string title;
  Align align = Align::kLeft;
};

class Table {
 public:
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // REQUIRES: one cell a column. Control characters are shown as '?'.
  void AddRow(std::vector<std::string> cells);
  bool empty() const { return rows_.empty(); }

  // A title line, then the rows; two spaces between columns, none at the end of a line. Width is
  // counted in UTF-8 code points.
  std::string Render() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace seedlm::client
