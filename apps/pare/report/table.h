// Tables of text: the first column is a name, the others are numbers.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace pare {

class Table {
 public:
  explicit Table(std::vector<std::string> header) : rows_{std::move(header)} {}
  // Adds a row, with as many cells as the header has.
  void add(std::vector<std::string> cells);
  std::string text() const;  // with aligned columns
  std::string markdown() const;
  std::string csv() const;  // RFC 4180, with \n

 private:
  std::vector<std::vector<std::string>> rows_;
};

// Writes "12.50 ± 0.31", or the value alone where its error is not known.
std::string with_error(double value, const std::optional<double>& error, int digits);

}  // namespace pare
