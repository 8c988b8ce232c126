#include "page/markup.h"

#include "base/error.h"
#include "text/unicode/utf8.h"

namespace pare {
namespace {

bool is_xml_char(char32_t c) {
  return c == '\t' || c == '\n' || c == '\r' || (c >= 0x20 && c != 0xFFFE && c != 0xFFFF);
}

}  // namespace

std::string escaped(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Utf8Char c = decode_utf8(text);
    if (!c.valid || !is_xml_char(c.code))
      append_utf8(out, 0xFFFD);
    else if (c.code == '&')
      out += "&amp;";
    else if (c.code == '<')
      out += "&lt;";
    else if (c.code == '>')
      out += "&gt;";
    else if (c.code == '"')
      out += "&quot;";
    else if (c.code == '\'')
      out += "&#39;";
    else
      out += text.substr(0, c.length);
    text.remove_prefix(c.length);
  }
  return out;
}

void Markup::begin(std::string_view tag, Attributes attributes) {
  out_ += fmt::format("<{}", tag);
  for (const auto& [name, value] : attributes) out_ += fmt::format(" {}=\"{}\"", name, escaped(value));
}

void Markup::open(std::string_view tag, Attributes attributes) {
  begin(tag, attributes);
  out_ += '>';
  open_.emplace_back(tag);
}

void Markup::close() {
  PARE_CHECK(!open_.empty());
  out_ += fmt::format("</{}>\n", open_.back());
  open_.pop_back();
}

void Markup::element(std::string_view tag, std::string_view text, Attributes attributes) {
  begin(tag, attributes);
  out_ += fmt::format(">{}</{}>\n", escaped(text), tag);
}

void Markup::empty(std::string_view tag, Attributes attributes) {
  begin(tag, attributes);
  out_ += "/>\n";
}

void Markup::text(std::string_view text) { out_ += escaped(text); }

std::string Markup::next_id() { return fmt::format("id{}", ++ids_); }

std::string Markup::finish() && {
  PARE_CHECK(open_.empty());
  return std::move(out_);
}

void add_folded_table(Markup& page, const std::vector<std::string>& header,
                      const std::vector<std::vector<std::string>>& rows) {
  page.open("details");
  page.element("summary", "The figure as a table");
  add_table(page, header, rows);
  page.close();
}

void add_table(Markup& page, const std::vector<std::string>& header,
               const std::vector<std::vector<std::string>>& rows, Cells cells) {
  page.open("div", {{"class", "scroll"}});
  page.open("table", {{"class", cells == Cells::kNumbers ? "numbers" : "words"}});
  page.open("thead");
  page.open("tr");
  for (const std::string& cell : header) page.element("th", cell, {{"scope", "col"}});
  page.close();
  page.close();
  page.open("tbody");
  for (const std::vector<std::string>& row : rows) {
    PARE_CHECK(row.size() == header.size());
    page.open("tr");
    for (size_t c = 0; c < row.size(); ++c)
      if (c == 0)
        page.element("th", row[c], {{"scope", "row"}});
      else
        page.element("td", row[c]);
    page.close();
  }
  page.close();
  page.close();
  page.close();
}

}  // namespace pare
