#include "text/jinja/lexer.h"

#include <algorithm>
#include <array>

#include "text/jinja/fault.h"
#include "text/jinja/lexer_strings.h"
#include "text/jinja/python_text.h"

namespace pare {
namespace {

constexpr size_t kNotFound = std::string_view::npos;

// Line ends become \n, and one at the end of the text goes.
std::string normalize(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out.push_back(source[i]);
      continue;
    }
    out.push_back('\n');
    if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

class Lexer {
 public:
  explicit Lexer(std::string source) : source_(std::move(source)), text_(source_) {}

  std::vector<JinjaToken> run() {
    try {
      while (pos_ < text_.size()) read_data();
    } catch (const JinjaFault& fault) {
      throw Error(fault.code == ErrorCode::kUnsupported ? fault.code : ErrorCode::kFormat,
                  fmt::format("line {}: {}", line_at(pos_), fault.message));
    }
    put(JinjaToken::Kind::kEnd, pos_);
    return std::move(tokens_);
  }

 private:
  using Kind = JinjaToken::Kind;

  int line_at(size_t pos) {
    for (; counted_ < pos; ++counted_)
      if (text_[counted_] == '\n') ++line_;
    return line_;
  }
  void put(Kind kind, size_t at, std::string text = {}) {
    tokens_.push_back({.kind = kind, .line = line_at(at), .text = std::move(text), .number = {}});
  }

  bool starts(size_t pos, std::string_view what) const { return text_.substr(pos).starts_with(what); }
  size_t skip_space(size_t pos) const {
    while (pos < text_.size()) {
      const PythonChar c = python_char_at(text_, pos);
      if (!c.is(kPySpace)) break;
      pos = c.end;
    }
    return pos;
  }

  // Returns where the end of a tag leads, with its sign and what it swallows; kNotFound if none is at pos.
  size_t tag_end(size_t pos, std::string_view end, bool block) const {
    if (pos < text_.size() && text_[pos] == '-' && starts(pos + 1, end))
      return skip_space(pos + 1 + end.size());
    if (block && pos < text_.size() && text_[pos] == '+' && starts(pos + 1, end)) return pos + 1 + end.size();
    if (!starts(pos, end)) return kNotFound;
    pos += end.size();
    return block && pos < text_.size() && text_[pos] == '\n' ? pos + 1 : pos;
  }

  // Returns where {% raw %} at pos leads. The end of the tag swallows no newline.
  size_t raw_begin(size_t pos) const {
    pos = word_tag(pos, "raw");
    if (pos == kNotFound) return kNotFound;
    if (starts(pos, "-%}")) return skip_space(pos + 3);
    return starts(pos, "%}") ? pos + 2 : kNotFound;
  }
  size_t raw_end(size_t pos) const {
    pos = word_tag(pos, "endraw");
    return pos == kNotFound ? kNotFound : tag_end(pos, "%}", true);
  }
  // The place behind "{%", a sign, and the word with space around it.
  size_t word_tag(size_t pos, std::string_view word) const {
    if (!starts(pos, "{%")) return kNotFound;
    pos += 2;
    if (pos < text_.size() && (text_[pos] == '-' || text_[pos] == '+')) ++pos;
    pos = skip_space(pos);
    return starts(pos, word) ? skip_space(pos + word.size()) : kNotFound;
  }

  // The text before a tag, as its sign and lstrip_blocks leave it. `tag` is where the tag begins.
  std::string_view before_tag(size_t begin, size_t tag, bool variable) const {
    std::string_view data = text_.substr(begin, tag - begin);
    const char sign = tag + 2 < text_.size() ? text_[tag + 2] : ' ';
    if (sign == '-') {
      while (!data.empty()) {
        const PythonChar c = python_char_before(data, data.size());
        if (!c.is(kPySpace)) break;
        data = data.substr(0, c.begin);
      }
      return data;
    }
    if (sign == '+' || variable) return data;
    const size_t newline = data.rfind('\n');
    const size_t line_begin = newline == kNotFound ? 0 : newline + 1;
    const bool at_line_start = newline != kNotFound || begin == 0 || text_[begin - 1] == '\n';
    if (at_line_start && skip_space_in(data, line_begin) == data.size()) return data.substr(0, line_begin);
    return data;
  }
  static size_t skip_space_in(std::string_view data, size_t pos) {
    while (pos < data.size()) {
      const PythonChar c = python_char_at(data, pos);
      if (!c.is(kPySpace)) break;
      pos = c.end;
    }
    return pos;
  }

  void put_data(size_t at, std::string_view data) {
    if (!data.empty()) put(Kind::kData, at, std::string(data));
  }

  // Text up to the next tag, and the tag.
  void read_data() {
    const size_t begin = pos_;
    size_t tag = begin;
    while (true) {
      tag = text_.find('{', tag);
      if (tag == kNotFound) {
        put_data(begin, text_.substr(begin));
        pos_ = text_.size();
        return;
      }
      if (tag + 1 < text_.size() && std::string_view("{%#").find(text_[tag + 1]) != kNotFound) break;
      ++tag;
    }
    const char mark = text_[tag + 1];
    put_data(begin, before_tag(begin, tag, mark == '{'));
    pos_ = tag;
    if (const size_t raw = raw_begin(tag); raw != kNotFound) return read_raw(raw);
    const bool sign = tag + 2 < text_.size() && (text_[tag + 2] == '-' || text_[tag + 2] == '+');
    const size_t inside = tag + 2 + (sign ? 1 : 0);
    if (mark == '#') return read_comment(inside);
    put(mark == '{' ? Kind::kVariableBegin : Kind::kBlockBegin, tag);
    pos_ = inside;
    read_tag(mark == '%');
  }

  // jinja2 does not miss the end of a tag behind which the text ends at once.
  void finish() { pos_ = text_.size(); }

  void read_comment(size_t from) {
    for (size_t pos = from;; ++pos) {
      pos = text_.find('#', pos);
      if (pos == kNotFound && from < text_.size()) jinja_fault("Missing end of comment tag");
      if (pos == kNotFound) return finish();
      if (!starts(pos, "#}")) continue;
      const bool sign = pos > from && (text_[pos - 1] == '-' || text_[pos - 1] == '+');
      pos_ = tag_end(sign ? pos - 1 : pos, "#}", true);
      return;
    }
  }

  void read_raw(size_t from) {
    for (size_t pos = from;; ++pos) {
      pos = text_.find("{%", pos);
      if (pos == kNotFound && from < text_.size()) jinja_fault("Missing end of raw directive");
      if (pos == kNotFound) return finish();
      const size_t end = raw_end(pos);
      if (end == kNotFound) continue;
      put_data(from, before_tag(from, pos, false));
      pos_ = end;
      return;
    }
  }

  // Tokens of an expression or statement, up to and with its end.
  void read_tag(bool block) {
    const std::string_view end = block ? "%}" : "}}";
    while (pos_ < text_.size()) {
      if (open_.empty()) {
        if (const size_t behind = tag_end(pos_, end, block); behind != kNotFound) {
          put(block ? Kind::kBlockEnd : Kind::kVariableEnd, pos_);
          pos_ = behind;
          return;
        }
      }
      if (const size_t behind = skip_space(pos_); behind != pos_) {
        pos_ = behind;
      } else {
        read_token();
      }
    }
  }

  void read_token() {
    const std::string_view rest = text_.substr(pos_);
    if (const size_t size = pos_ > 0 && text_[pos_ - 1] == '.' ? 0 : scan_jinja_float(rest)) {
      put(Kind::kFloat, pos_);
      tokens_.back().number = jinja_float_literal(rest.substr(0, size));
      pos_ += size;
    } else if (const size_t digits = scan_jinja_integer(rest)) {
      put(Kind::kInteger, pos_);
      tokens_.back().number = jinja_integer_literal(rest.substr(0, digits));
      pos_ += digits;
    } else if (const size_t letters = scan_name()) {
      put(Kind::kName, pos_, std::string(rest.substr(0, letters)));
      pos_ += letters;
    } else if (rest[0] == '\'' || rest[0] == '"') {
      read_string(rest);
    } else {
      read_operator(rest);
    }
  }

  size_t scan_name() const {
    size_t pos = pos_;
    while (pos < text_.size()) {
      const PythonChar c = python_char_at(text_, pos);
      if (!c.is(pos == pos_ ? kPyIdentifierStart : kPyIdentifierPart)) break;
      pos = c.end;
    }
    return pos - pos_;
  }

  void read_string(std::string_view rest) {
    size_t end = 1;
    while (end < rest.size() && rest[end] != rest[0]) end += rest[end] == '\\' ? 2 : 1;
    if (end >= rest.size()) jinja_fault("unexpected char {}", rest[0] == '"' ? "'\"'" : "\"'\"");
    put(Kind::kString, pos_, unescape_jinja_string(rest.substr(1, end - 1)));
    pos_ += end + 1;
  }

  void read_operator(std::string_view rest) {
    static constexpr std::array<std::string_view, 26> kOperators = {
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[",
        "]",  "(",  ")",  "{",  "}",  ">",  "<", "=", ".", ":", "|", ",", ";"};
    const auto* const found =
        std::find_if(kOperators.begin(), kOperators.end(), [&](auto op) { return rest.starts_with(op); });
    if (found == kOperators.end())
      jinja_fault("unexpected char {}",
                  python_repr(JinjaString(std::string(rest.substr(0, python_char_at(rest, 0).end)))).text());
    const char op = (*found)[0];
    if (op == '(') open_.push_back(')');
    if (op == '[') open_.push_back(']');
    if (op == '{') open_.push_back('}');
    if (op == ')' || op == ']' || op == '}') {
      if (open_.empty()) jinja_fault("unexpected '{}'", op);
      if (open_.back() != op) jinja_fault("unexpected '{}', expected '{}'", op, open_.back());
      open_.pop_back();
    }
    put(Kind::kOperator, pos_, std::string(*found));
    pos_ += found->size();
  }

  std::string source_;
  std::string_view text_;
  size_t pos_ = 0;
  size_t counted_ = 0;  // line_ is the line of this byte
  int line_ = 1;
  std::string open_;  // the brackets that must close, innermost last
  std::vector<JinjaToken> tokens_;
};

}  // namespace

std::vector<JinjaToken> lex_jinja(std::string_view source) { return Lexer(normalize(source)).run(); }

std::string describe_jinja_token(const JinjaToken& token) {
  using Kind = JinjaToken::Kind;
  switch (token.kind) {
    case Kind::kData:
      return "template data / text";
    case Kind::kVariableBegin:
      return "begin of print statement";
    case Kind::kVariableEnd:
      return "end of print statement";
    case Kind::kBlockBegin:
      return "begin of statement block";
    case Kind::kBlockEnd:
      return "end of statement block";
    case Kind::kString:
      return "string";
    case Kind::kInteger:
      return "integer";
    case Kind::kFloat:
      return "float";
    case Kind::kEnd:
      return "end of template";
    case Kind::kName:
    case Kind::kOperator:
      break;
  }
  return token.text;
}

}  // namespace pare
