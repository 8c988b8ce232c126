#include "text/tokenizer/regex_syntax.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "text/unicode/unicode.h"

namespace pare {
namespace {

constexpr size_t kNone = RegexPiece::kNone;
constexpr uint32_t kLongS = 0x17f;        // an s to a regex that ignores case
constexpr uint32_t kKelvinSign = 0x212a;  // a k

bool is_ascii_letter(uint32_t code) { return (code | 32) >= 'a' && (code | 32) <= 'z'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

class Parser {
 public:
  explicit Parser(std::string_view pattern) : pattern_(pattern), rest_(pattern) {}

  RegexSyntax parse() {
    if (pattern_.size() > RegexSyntax::kMaxBytes)
      fail(ErrorCode::kUnsupported, "a regex of {} bytes; at most {} are read", pattern_.size(),
           RegexSyntax::kMaxBytes);
    parse_alternatives(0, false);
    if (!rest_.empty()) broken("has a ')' too many");
    return std::move(syntax_);
  }

 private:
  [[noreturn]] void broken(std::string_view what) const {
    fail(ErrorCode::kFormat, "the regex {} {}", pattern_.substr(0, 300), what);
  }
  [[noreturn]] void unsupported(std::string_view what) const {
    fail(ErrorCode::kUnsupported, "the regex {} has {}, which pare does not read", pattern_.substr(0, 300),
         what);
  }

  bool take(std::string_view text) {
    if (!rest_.starts_with(text)) return false;
    rest_.remove_prefix(text.size());
    return true;
  }

  uint32_t take_char() {
    if (rest_.empty()) broken("ends too early");
    const Utf8Char c = decode_utf8(rest_);
    if (!c.valid) broken("is not UTF-8");
    rest_.remove_prefix(c.length);
    return c.code;
  }

  void add_operators(std::string text) { syntax_.pieces.push_back({std::move(text), kNone}); }

  void add_set(const CharSet& set) {
    const auto it = std::find(syntax_.sets.begin(), syntax_.sets.end(), set);
    const auto index = static_cast<size_t>(it - syntax_.sets.begin());
    if (it == syntax_.sets.end()) {
      if (index == RegexSyntax::kMaxSets) unsupported("too many different classes of characters");
      syntax_.sets.push_back(set);
    }
    syntax_.pieces.push_back({"", index});
  }

  // The last item of an alternative, for a quantifier behind it.
  struct Item {
    size_t begin = kNone;       // first piece of the item; kNone: nothing that can be repeated
    uint32_t ascii_letter = 0;  // the letter, if it is ASCII and its case is ignored
  };

  // Reads up to the ')' that ends the group, or the end of the pattern. Leaves the ')'.
  void parse_alternatives(int depth, bool ignore_case) {
    if (depth > RegexSyntax::kMaxDepth) unsupported("groups nested too deep");
    int open = 0;  // groups that flags such as (?i) began
    Item item;
    while (!rest_.empty() && rest_.front() != ')') {
      if (take("|")) {
        add_operators("|");
        item = {};
      } else if (take("(")) {
        item = parse_group(depth, ignore_case, open);
      } else if (std::string quantifier; take_quantifier(quantifier)) {
        apply_quantifier(item, quantifier);
      } else {
        item = parse_item(ignore_case, item);
      }
    }
    for (; open > 0; --open) add_operators(")");
  }

  Item parse_group(int depth, bool& ignore_case, int& open) {
    const size_t begin = syntax_.pieces.size();
    bool inner_case = ignore_case;
    bool is_assertion = false;
    std::string opening = "(?:";
    if (take("?")) {
      if (take("#")) {
        while (!rest_.empty() && !take(")")) take_char();
        return {};
      }
      for (const char* text : {"=", "!", "<=", "<!", ">"}) {
        if (!take(text)) continue;
        is_assertion = text[0] != '>';
        opening = fmt::format("(?{}", text);
        return finish_group(begin, depth, opening, is_assertion, inner_case);
      }
      bool on = true;
      while (!take(":")) {
        if (take(")")) {  // the flags hold for the rest of the group around them
          ignore_case = inner_case;
          add_operators("(?:");
          ++open;
          return {};
        }
        if (take("-"))
          on = false;
        else if (take("i"))
          inner_case = on;
        else
          unsupported(fmt::format("(?{}", rest_.substr(0, 1)));
      }
    }
    return finish_group(begin, depth, opening, is_assertion, inner_case);
  }

  Item finish_group(size_t begin, int depth, const std::string& opening, bool is_assertion,
                    bool ignore_case) {
    add_operators(opening);
    parse_alternatives(depth + 1, ignore_case);
    if (!take(")")) broken("lacks a ')'");
    add_operators(")");
    return {is_assertion ? kNone : begin, 0};
  }

  // *, +, ?, {n}, {n,}, {n,m}, {,m}; a '{' that begins none of these is a character.
  bool take_quantifier(std::string& quantifier) {
    const char front = rest_.front();
    if (front == '*' || front == '+' || front == '?') {
      quantifier.assign(1, front);
      rest_.remove_prefix(1);
      return true;
    }
    if (!rest_.starts_with('{')) return false;
    size_t pos = 1;
    const auto number = [&] {
      const size_t begin = pos;
      while (pos < rest_.size() && is_digit(rest_[pos])) ++pos;
      return std::string(rest_.substr(begin, pos - begin));
    };
    const std::string low = number();
    const bool comma = pos < rest_.size() && rest_[pos] == ',';
    if (comma) ++pos;
    const std::string high = comma ? number() : low;
    if (pos >= rest_.size() || rest_[pos] != '}' || (low.empty() && high.empty())) return false;
    if (low.size() > 4 || high.size() > 4) unsupported("a repetition of more than 9999");
    if (!high.empty() && std::stoi(high) < (low.empty() ? 0 : std::stoi(low)))
      unsupported("an interval {n,m} with n > m");
    rest_.remove_prefix(pos + 1);
    quantifier = fmt::format("{{{}{}{}}}", low.empty() ? "0" : low, comma ? "," : "", comma ? high : "");
    return true;
  }

  void apply_quantifier(Item& item, std::string quantifier) {
    if (item.begin == kNone) unsupported(fmt::format("{} behind nothing that can be repeated", quantifier));
    const bool interval = quantifier.front() == '{';
    if (take("?")) {
      if (interval && quantifier.find(',') == std::string::npos) unsupported("{n}?");
      quantifier += "?";
    } else if (!interval && take("+")) {
      quantifier += "+";  // possessive; behind an interval it repeats what the interval made
    }
    add_operators(std::move(quantifier));
    if (interval && take("+")) {
      syntax_.pieces.insert(syntax_.pieces.begin() + static_cast<ptrdiff_t>(item.begin), {"(?:", kNone});
      add_operators(")+");
    }
    item = {};
  }

  Item parse_item(bool ignore_case, const Item& before) {
    const size_t begin = syntax_.pieces.size();
    if (take("^")) {  // begins every line but an empty one at the end
      add_operators("(?:\\A|(?<=");
      add_set(CharSet('\n'));
      add_operators(")(?!\\z))");
      return {};
    }
    if (take("$")) {
      add_operators("(?:\\z|(?=");
      add_set(CharSet('\n'));
      add_operators("))");
      return {};
    }
    if (take(".")) {
      add_set(CharSet('\n').complement());
      return {begin, 0};
    }
    if (take("[")) {
      add_set(parse_class(0, ignore_case));
      return {begin, 0};
    }
    if (rest_.starts_with('\\')) {
      if (take_assertion()) return {};
      if (const auto set = take_escaped_set(false)) {
        add_set(ignore_case ? folded(*set) : *set);
        return {begin, 0};
      }
    }
    const uint32_t code = take_literal();
    if (!ignore_case) {
      add_set(CharSet(code));
      return {begin, 0};
    }
    add_set(folded(CharSet(code)));
    const uint32_t letter = is_ascii_letter(code) ? code | 32 : 0;
    // One character stands for two letters where case is ignored: U+00DF for ss, ligatures, …
    for (const std::string_view pair : {"ss", "ff", "fi", "fl", "st"})
      if (before.ascii_letter == static_cast<uint32_t>(pair[0]) && letter == static_cast<uint32_t>(pair[1]))
        unsupported(fmt::format("\"{}\" without regard to case", pair));
    return {begin, letter};
  }

  bool take_assertion() {
    if (take("\\A")) {
      add_operators("\\A");
    } else if (take("\\z")) {
      add_operators("\\z");
    } else if (take("\\Z")) {
      add_operators("(?=");
      add_set(CharSet('\n'));
      add_operators("?\\z)");
    } else if (rest_.starts_with("\\b") || rest_.starts_with("\\B")) {
      const bool boundary = take_word_boundary();
      const CharSet word = CharSet::of_property_bits(kWordBit);
      add_operators("(?:(?<=");
      add_set(word);
      add_operators(boundary ? ")(?!" : ")(?=");
      add_set(word);
      add_operators(")|(?<!");
      add_set(word);
      add_operators(boundary ? ")(?=" : ")(?!");
      add_set(word);
      add_operators("))");
    } else {
      return false;
    }
    return true;
  }

  bool take_word_boundary() {
    const bool boundary = rest_[1] == 'b';
    rest_.remove_prefix(2);
    return boundary;
  }

  // \s, \p{name} and the like; nothing when an escaped character follows.
  std::optional<CharSet> take_escaped_set(bool in_class) {
    if (rest_.size() < 2) broken("ends in a \\");
    const char c = rest_[1];
    const auto finish = [&](const CharSet& set, bool negated) {
      rest_.remove_prefix(2);
      return negated ? set.complement() : set;
    };
    switch (c) {
      case 's':
      case 'S':
        return finish(CharSet::of_classes(kSpace), c == 'S');
      case 'd':
      case 'D':
        return finish(*CharSet::named("Nd"), c == 'D');
      case 'w':
      case 'W':
        return finish(word_set(in_class), c == 'W');
      case 'h':
      case 'H':
        return finish(*CharSet::named("xdigit"), c == 'H');
      case 'p':
      case 'P':
        return take_property(c == 'P', in_class);
      default:
        return std::nullopt;
    }
  }

  // Oniguruma does not count the numbers among the first 256 code points in a class.
  static CharSet word_set(bool in_class) {
    const CharSet word = CharSet::of_property_bits(kWordBit);
    return in_class ? word & (*CharSet::named("No") & CharSet(0, 0xff)).complement() : word;
  }

  CharSet take_property(bool negated, bool in_class) {
    const size_t end = rest_.find('}');
    if (rest_.size() < 3 || rest_[2] != '{' || end == std::string_view::npos)
      unsupported("\\p without {name}");
    std::string_view name = rest_.substr(3, end - 3);
    rest_.remove_prefix(end + 1);
    if (name.starts_with('^')) {
      negated = !negated;
      name.remove_prefix(1);
    }
    auto set = CharSet::named(name);
    if (!set) unsupported(fmt::format("\\p{{{}}}", name));
    if (*set == word_set(false)) set = word_set(in_class);
    return negated ? set->complement() : *set;
  }

  // A character, escaped or not.
  uint32_t take_literal() {
    if (!take("\\")) return take_char();
    const uint32_t code = take_char();
    switch (code) {
      case 't':
        return '\t';
      case 'n':
        return '\n';
      case 'r':
        return '\r';
      case 'f':
        return '\f';
      case 'v':
        return '\v';
      case 'a':
        return '\a';
      case 'e':
        return 0x1b;
      case 'x':
        return take("{") ? take_hex(1, 6, true) : take_hex(1, 2, false);
      case 'u':
        return take_hex(4, 4, false);
      default:
        if (is_ascii_letter(code) || (code >= '0' && code <= '9') || code > 0x7f)
          unsupported(fmt::format("\\{}", static_cast<char>(code > 0x7f ? '?' : code)));
        return code;
    }
  }

  uint32_t take_hex(size_t least, size_t most, bool braced) {
    uint32_t code = 0;
    size_t count = 0;
    for (; count < most && !rest_.empty(); ++count) {
      const char c = rest_.front();
      const char letter = static_cast<char>(c | 32);
      if (!is_digit(c) && (letter < 'a' || letter > 'f')) break;
      code = code * 16 + static_cast<uint32_t>(is_digit(c) ? c - '0' : letter - 'a' + 10);
      rest_.remove_prefix(1);
    }
    // \x7f and below are characters; two digits above are a byte.
    if (count < least || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) || (braced && !take("}")) ||
        (!braced && most == 2 && code > 0x7f))
      unsupported("a number of a character that is none");
    return code;
  }

  // Reads a class of characters from behind its '['.
  CharSet parse_class(int depth, bool ignore_case) {
    if (depth > RegexSyntax::kMaxDepth) unsupported("classes nested too deep");
    const bool negated = take("^");
    if (rest_.starts_with(']')) unsupported("a class that begins with ']'");
    CharSet all(0, CharSet::kInvalid);
    CharSet part;
    while (!take("]")) {
      if (rest_.empty()) broken("lacks a ']'");
      if (take("&&")) {
        all = all & part;
        part = {};
      } else {
        part = part | parse_class_item(depth, ignore_case);
      }
    }
    all = all & part;
    return negated ? all.complement() : all;
  }

  CharSet parse_class_item(int depth, bool ignore_case) {
    if (take("[:")) {
      const bool negated = take("^");
      const size_t end = rest_.find(":]");
      const std::string_view name = rest_.substr(0, end);
      auto set = end == std::string_view::npos ? std::nullopt : CharSet::named(name);
      if (set && name == "punct") set = *set | *CharSet::named("S");
      if (!set || name.size() < 3) unsupported(fmt::format("[:{}", name.substr(0, 20)));
      if (*set == word_set(false)) set = word_set(true);
      rest_.remove_prefix(end + 2);
      const CharSet whole = negated ? set->complement() : *set;
      return ignore_case ? folded(whole) : whole;
    }
    if (take("[")) return parse_class(depth + 1, ignore_case);
    if (rest_.starts_with('\\')) {
      if (const auto set = take_escaped_set(true)) return ignore_case ? folded(*set) : *set;
      if (take("\\b")) return CharSet('\b');
    }
    const uint32_t first = take_literal();
    uint32_t last = first;
    // A '-' before the end, a nested class or one such as \s is a character.
    if (rest_.size() >= 2 && rest_[0] == '-' && rest_[1] != ']') {
      const std::string_view before = rest_;
      rest_.remove_prefix(1);
      if (rest_.front() == '[' || (rest_.front() == '\\' && take_escaped_set(true))) {
        rest_ = before;
      } else {
        last = take_literal();
        if (last < first) broken("has a range in a class that ends before it begins");
      }
    }
    const CharSet set(first, last);
    return ignore_case ? folded(set) : set;
  }

  // The set with the characters that are the same as one in it but for their case.
  CharSet folded(const CharSet& set) const {
    static const CharSet kCased =
        (CharSet::of_property_bits(kAlphabeticBit) | CharSet::of_classes(kMark)) & CharSet(0x80, 0x10ffff);
    const CharSet beyond = set & kCased;
    if (beyond == kCased) return set;
    if (!beyond.empty()) unsupported("letters beyond ASCII without regard to case");
    CharSet result = set;
    for (uint32_t c = 'a'; c <= 'z'; ++c)
      if (set.contains(c) || set.contains(c - 32)) result = result | CharSet(c) | CharSet(c - 32);
    if (result.contains('s')) result = result | CharSet(kLongS);
    if (result.contains('k')) result = result | CharSet(kKelvinSign);
    return result;
  }

  std::string_view pattern_;
  std::string_view rest_;
  RegexSyntax syntax_;
};

}  // namespace

RegexSyntax parse_regex(std::string_view pattern) { return Parser(pattern).parse(); }

}  // namespace pare
