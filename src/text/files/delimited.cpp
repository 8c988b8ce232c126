#include "text/files/delimited.h"

#include <algorithm>
#include <cctype>

namespace pare {
namespace {

constexpr size_t kSeenBytes = 1 << 18;
constexpr size_t kSeenRecords = 32;
constexpr size_t kFewestRecords = 3;  // records of the smallest table, its line of names included
constexpr size_t kMaxName = 64;
constexpr char kDelimiters[] = {',', '\t', ';'};

struct Record {
  std::vector<std::string_view> fields;  // without the quotes around them
  bool quoted = false;                   // true if one of the fields is
};

// Takes records off the start of a text.
class RecordReader {
 public:
  RecordReader(std::string_view text, char delimiter) : rest_(text), delimiter_(delimiter) {}

  bool at_end() const { return rest_.empty(); }

  // The next record; nothing where a quoted field does not end, or something stands behind it.
  std::optional<Record> next() {
    Record record;
    while (true) {
      const std::optional<std::string_view> field = rest_.starts_with('"') ? quoted() : bare();
      if (!field) return std::nullopt;
      record.quoted = record.quoted || was_quoted_;
      record.fields.push_back(*field);
      if (rest_.empty()) return record;
      const char end = rest_.front();
      rest_.remove_prefix(1);
      if (end == '\n') return record;
    }
  }

 private:
  std::string_view take(size_t length) {
    const std::string_view taken = rest_.substr(0, length);
    rest_.remove_prefix(taken.size());
    return taken;
  }

  // Reads up to the delimiter or the end of the line, and leaves it.
  std::string_view bare() {
    was_quoted_ = false;
    const char ends[] = {delimiter_, '\n'};
    std::string_view field = take(std::min(rest_.find_first_of({ends, 2}), rest_.size()));
    if (field.ends_with('\r')) field.remove_suffix(1);
    return field;
  }

  std::optional<std::string_view> quoted() {
    was_quoted_ = true;
    size_t end = rest_.find('"', 1);
    while (end != std::string_view::npos && rest_.substr(end + 1).starts_with('"'))
      end = rest_.find('"', end + 2);
    if (end == std::string_view::npos) {
      rest_ = {};
      return std::nullopt;
    }
    const std::string_view field = take(end + 1).substr(1, end - 1);
    if (rest_.starts_with("\r\n")) rest_.remove_prefix(1);
    if (!rest_.empty() && rest_.front() != '\n' && rest_.front() != delimiter_) return std::nullopt;
    return field;
  }

  std::string_view rest_;
  char delimiter_;
  bool was_quoted_ = false;
};

bool is_name(std::string_view field) {
  return !field.empty() && field.size() <= kMaxName &&
         std::isalpha(static_cast<unsigned char>(field.front())) != 0 &&
         std::all_of(field.begin(), field.end(), [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '_' || c == '-' || c == '.';
         });
}

// pandas leaves the first name, of the row's number, empty.
bool are_names(const std::vector<std::string_view>& fields) {
  std::vector<std::string_view> sorted = fields;
  std::sort(sorted.begin(), sorted.end());
  if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()) return false;
  const bool numbered = fields.size() > 1 && fields.front().empty();
  return std::all_of(fields.begin() + (numbered ? 1 : 0), fields.end(), is_name);
}

std::optional<DelimitedTable> table_of(std::string_view text, char delimiter) {
  const std::string_view seen = text.substr(0, kSeenBytes);
  RecordReader reader(seen, delimiter);
  const std::optional<Record> names = reader.next();
  if (!names || !are_names(names->fields)) return std::nullopt;
  size_t records = 1;
  bool quoted = false;
  while (!reader.at_end() && records < kSeenRecords) {
    const std::optional<Record> record = reader.next();
    // The last record may be cut off by the end of the text.
    if (reader.at_end() && seen.size() < text.size()) break;
    if (!record || record->fields.size() != names->fields.size()) return std::nullopt;
    quoted = quoted || record->quoted;
    ++records;
  }
  if (records < kFewestRecords || (names->fields.size() == 1 && !quoted)) return std::nullopt;
  return DelimitedTable{delimiter, {names->fields.begin(), names->fields.end()}};
}

}  // namespace

std::optional<DelimitedTable> find_table(std::string_view text) {
  for (const char delimiter : kDelimiters)
    if (std::optional<DelimitedTable> table = table_of(text, delimiter)) return table;
  return std::nullopt;
}

}  // namespace pare
