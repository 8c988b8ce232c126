// Tables written as text: CSV, TSV and their like.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pare {

struct DelimitedTable {
  char delimiter = ',';
  std::vector<std::string> columns;  // names of the columns
};

// The table that a text is, by how it begins: a line of names, then records of as many fields, separated by
// commas, semicolons or tabs and quoted as RFC 4180 says. Names are words without spaces, each another one,
// so that verse and lists of words are no table. A table of one column needs a quoted record to be told from
// prose. Nothing where a record does not fit.
std::optional<DelimitedTable> find_table(std::string_view text);

}  // namespace pare
