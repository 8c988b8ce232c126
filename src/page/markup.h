// XHTML and SVG as text: every element is closed, every text escaped.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace pare {

// Escapes what has a meaning in XML, in texts and attributes. What XML has no place for (control characters,
// bytes that are no UTF-8) becomes U+FFFD.
std::string escaped(std::string_view text);

class Markup {
 public:
  using Attributes = std::initializer_list<std::pair<std::string_view, std::string>>;

  // Opens an element; close() closes the one opened last.
  void open(std::string_view tag, Attributes attributes = {});
  void close();
  // Adds an element with a text, or without content.
  void element(std::string_view tag, std::string_view text, Attributes attributes = {});
  void empty(std::string_view tag, Attributes attributes = {});
  void text(std::string_view text);
  // Adds text that is trusted to be well-formed, as style sheets of the program are.
  void raw(std::string_view text) { out_ += text; }

  // Returns an id that no other element has.
  std::string next_id();

  // Returns the whole; every element is closed.
  std::string finish() &&;

 private:
  void begin(std::string_view tag, Attributes attributes);

  std::string out_;
  std::vector<std::string> open_;
  int ids_ = 0;
};

// Adds a table under a line that opens it, for what a figure above shows.
void add_folded_table(Markup& page, const std::vector<std::string>& header,
                      const std::vector<std::vector<std::string>>& rows);

enum class Cells { kNumbers, kWords };  // what the columns behind the first hold

// Adds a table: a header, then rows with as many cells. The first column is a name.
void add_table(Markup& page, const std::vector<std::string>& header,
               const std::vector<std::vector<std::string>>& rows, Cells cells = Cells::kNumbers);

}  // namespace pare
