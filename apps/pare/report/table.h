// Tables of text: the first column is a name, the others are numbers.
#pragma once

#include <string>
#include <vector>

namespace pare {

class Table {
 public:
  explicit Table(std::vector<std::string> header) : rows_{std::move(header)} {}
  // As many cells as the header has.
  void add(std::vector<std::string> cells);
  std::string text() const;  // aligned columns
  std::string markdown() const;
  std::string csv() const;  // RFC 4180, with \n

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace pare
