#include "report/table.h"

#include <algorithm>

#include "base/error.h"

namespace pare {
namespace {

// Returns the columns a text takes on a terminal: its code points.
size_t width(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & '\xc0') != '\x80'; }));
}

std::string csv_cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

}  // namespace

void Table::add(std::vector<std::string> cells) {
  PARE_CHECK(cells.size() == rows_.front().size());
  rows_.push_back(std::move(cells));
}

std::string Table::text() const {
  std::vector<size_t> widths(rows_.front().size());
  for (const auto& row : rows_)
    for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], width(row[c]));
  std::string out;
  for (const auto& row : rows_) {
    for (size_t c = 0; c < row.size(); ++c) {
      const std::string padding(widths[c] - width(row[c]), ' ');
      out += c == 0 ? row[c] + padding : "  " + padding + row[c];
    }
    out.erase(out.find_last_not_of(' ') + 1);
    out += '\n';
  }
  return out;
}

std::string Table::markdown() const {
  std::string out;
  for (size_t r = 0; r < rows_.size(); ++r) {
    for (const std::string& cell : rows_[r]) out += "| " + cell + " ";
    out += "|\n";
    if (r == 0) {
      for (size_t c = 0; c < rows_[r].size(); ++c) out += c == 0 ? "|---" : "|---:";
      out += "|\n";
    }
  }
  return out;
}

std::string Table::csv() const {
  std::string out;
  for (const auto& row : rows_)
    for (size_t c = 0; c < row.size(); ++c) out += csv_cell(row[c]) + (c + 1 < row.size() ? "," : "\n");
  return out;
}

std::string with_error(double value, const std::optional<double>& error, int digits) {
  return error ? fmt::format("{:.{}f} ± {:.{}f}", value, digits, *error, digits)
               : fmt::format("{:.{}f}", value, digits);
}

}  // namespace pare
