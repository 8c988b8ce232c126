#include "text/files/json_records.h"

#include <algorithm>

namespace pare {
namespace {

constexpr std::string_view kJsonSpace = " \t\r\n";

// Returns whether a line ends in the middle of a record, as indented JSON does.
bool goes_on(std::string_view line) {
  const size_t first = line.find_first_not_of(kJsonSpace);
  const size_t last = line.find_last_not_of(kJsonSpace);
  return line[first] == '{' && (line[last] == '{' || line[last] == '[' || line[last] == ',');
}

}  // namespace

bool is_json_list(std::string_view text) {
  const size_t open = text.find_first_not_of(kJsonSpace);
  if (open == std::string_view::npos || text[open] != '[') return false;
  const size_t next = text.find_first_not_of(kJsonSpace, open + 1);
  if (next == std::string_view::npos) return false;
  const bool empty =
      text[next] == ']' && text.find_first_not_of(kJsonSpace, next + 1) == std::string_view::npos;
  return text[next] == '{' || empty;
}

void for_each_record(std::string_view text, std::string_view what, const RecordSink& take) {
  if (is_json_list(text)) {
    const Json list = parse_json(text, what);
    for (size_t i = 0; i < list.size(); ++i)
      if (!take(list[i], fmt::format("{}: record {}", what, i + 1))) return;
    return;
  }
  for (int64_t number = 1; !text.empty(); ++number) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    if (line.find_first_not_of(kJsonSpace) == std::string_view::npos) continue;
    const std::string where = fmt::format("{}:{}", what, number);
    if (goes_on(line))
      fail(ErrorCode::kFormat,
           "{}: the record goes on behind the end of the line; `jq -c . FILE` writes each record in a line",
           where);
    if (!take(parse_json(line, where), where)) return;
  }
}

}  // namespace pare
