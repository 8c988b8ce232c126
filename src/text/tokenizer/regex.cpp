#include "text/tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <map>
#include <vector>

#include "base/error.h"
#include "text/tokenizer/byte_alphabet.h"
#include "text/unicode/unicode.h"
#include "text/unicode/utf8.h"

namespace pare {
namespace {

constexpr size_t kMaxSymbols = 256;
// A search that takes fewer steps at every place of the text counts as cheap.
constexpr uint32_t kCheapSteps = 1000;
constexpr uint64_t kMaxSteps = 200'000'000;  // for all places that are not cheap: about a second
constexpr uint32_t kMaxHeapKib = 256 << 10;

struct Deleter {
  void operator()(pcre2_code* code) const { pcre2_code_free(code); }
  void operator()(pcre2_compile_context* context) const { pcre2_compile_context_free(context); }
  void operator()(pcre2_match_context* context) const { pcre2_match_context_free(context); }
  void operator()(pcre2_match_data* data) const { pcre2_match_data_free(data); }
};
template <typename T>
using Owned = std::unique_ptr<T, Deleter>;

template <typename T>
Owned<T> owned(T* pointer) {
  if (pointer == nullptr) throw std::bad_alloc();
  return Owned<T>(pointer);
}

// Symbols of a pattern: that of every code point, CharSet::kInvalid too, and those that make up every set.
struct Symbols {
  std::vector<uint8_t> of_code;
  std::vector<std::vector<uint8_t>> of_set;  // symbols of each set, sorted
};

Symbols assign_symbols(const RegexSyntax& syntax, std::string_view pattern) {
  std::vector<uint32_t> starts = {0};  // starts of the runs of code points that are in the same sets
  for (const CharSet& set : syntax.sets)
    for (const CharSet::Range& range : set.ranges()) {
      starts.push_back(range.first);
      starts.push_back(range.last + 1);
    }
  std::sort(starts.begin(), starts.end());
  starts.erase(std::unique(starts.begin(), starts.end()), starts.end());
  if (starts.back() > CharSet::kInvalid) starts.pop_back();

  Symbols symbols;
  symbols.of_code.resize(CharSet::kInvalid + 1);
  symbols.of_set.resize(syntax.sets.size());
  std::vector<size_t> places(syntax.sets.size(), 0);  // the first range of each set that may still follow
  std::map<std::vector<bool>, uint8_t> known;
  std::vector<bool> sets(syntax.sets.size());
  for (size_t i = 0; i < starts.size(); ++i) {
    for (size_t s = 0; s < syntax.sets.size(); ++s) {
      const auto& ranges = syntax.sets[s].ranges();
      while (places[s] < ranges.size() && ranges[places[s]].last < starts[i]) ++places[s];
      sets[s] = places[s] < ranges.size() && ranges[places[s]].first <= starts[i];
    }
    const auto [it, is_new] = known.try_emplace(sets, static_cast<uint8_t>(known.size()));
    if (is_new && known.size() > kMaxSymbols)
      fail(ErrorCode::kUnsupported, "the regex {} tells more than {} kinds of characters apart",
           pattern.substr(0, 300), kMaxSymbols);
    for (size_t s = 0; is_new && s < sets.size(); ++s)
      if (sets[s]) symbols.of_set[s].push_back(it->second);
    const uint32_t end = i + 1 < starts.size() ? starts[i + 1] : CharSet::kInvalid + 1;
    std::fill(symbols.of_code.begin() + starts[i], symbols.of_code.begin() + end, it->second);
  }
  return symbols;
}

// A class of bytes in PCRE2's syntax.
std::string byte_class(const std::vector<uint8_t>& symbols) {
  if (symbols.empty()) return "[^\\x00-\\xff]";
  std::string text = "[";
  for (size_t i = 0; i < symbols.size();) {
    size_t end = i + 1;
    while (end < symbols.size() && symbols[end] == symbols[end - 1] + 1) ++end;
    text += fmt::format("\\x{:02x}", symbols[i]);
    if (end - i > 1) text += fmt::format("-\\x{:02x}", symbols[end - 1]);
    i = end;
  }
  return text + "]";
}

RegexSyntax one_set(const CharSet& set) { return {{set}, {{"", 0}}}; }

RegexSyntax text_syntax(std::string_view text) {
  RegexSyntax syntax;
  while (!text.empty()) {
    const Utf8Char c = decode_utf8(text);
    const CharSet set(c.valid ? c.code : CharSet::kInvalid);
    const auto it = std::find(syntax.sets.begin(), syntax.sets.end(), set);
    syntax.pieces.push_back({"", static_cast<size_t>(it - syntax.sets.begin())});
    if (it == syntax.sets.end()) syntax.sets.push_back(set);
    text.remove_prefix(c.length);
  }
  return syntax;
}

bool is_limit(int code) {
  return code == PCRE2_ERROR_MATCHLIMIT || code == PCRE2_ERROR_HEAPLIMIT || code == PCRE2_ERROR_DEPTHLIMIT;
}

}  // namespace

struct Regex::Code {
  explicit Code(const Symbols& symbols)
      : table(std::vector<uint8_t>(symbols.of_code.begin(), symbols.of_code.end() - 1)),
        invalid(symbols.of_code.back()) {
    for (size_t c = 0; c < ascii.size(); ++c) ascii[c] = static_cast<char>(symbols.of_code[c]);
    for (size_t byte = 0; byte < bytes.size(); ++byte)
      bytes[byte] = static_cast<char>(symbols.of_code[alphabet_char(static_cast<uint8_t>(byte))]);
  }

  CodePointTable table;
  uint8_t invalid;
  std::array<char, 128> ascii{};
  std::array<char, 256> bytes{};  // symbols of the byte-level alphabet
  Owned<pcre2_code> compiled;
};

struct RegexMatcher::State {
  Owned<pcre2_match_data> data;
  Owned<pcre2_match_context> context;
  uint64_t steps = 0;
};

Regex::Regex(std::string_view pattern) : Regex(parse_regex(pattern), std::string(pattern)) {}
Regex Regex::of_text(std::string_view text) {
  return Regex(text_syntax(text), fmt::format("of the text \"{}\"", text));
}
Regex Regex::of_set(const CharSet& set) { return Regex(one_set(set), "of a class of characters"); }
Regex Regex::of_words() {
  const CharSet word = CharSet::of_classes(kWordChar);
  const CharSet other = (word | CharSet::of_classes(kSpace)).complement();
  return Regex({{word, other}, {{"", 0}, {"+|", RegexPiece::kNone}, {"", 1}, {"+", RegexPiece::kNone}}},
               "of words");
}
Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;
Regex& Regex::operator=(Regex&&) noexcept = default;

Regex::Regex(const RegexSyntax& syntax, std::string pattern) : pattern_(std::move(pattern)) {
  const Symbols symbols = assign_symbols(syntax, pattern_);
  code_ = std::make_unique<Code>(symbols);
  std::string text;
  for (const RegexPiece& piece : syntax.pieces)
    text += piece.set == RegexPiece::kNone ? piece.operators : byte_class(symbols.of_set[piece.set]);
  const auto context = owned(pcre2_compile_context_create(nullptr));
  pcre2_set_parens_nest_limit(context.get(), 4 * RegexSyntax::kMaxDepth);
  int error = 0;
  size_t offset = 0;
  code_->compiled.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(),
                                      PCRE2_NEVER_UTF | PCRE2_NEVER_UCP, &error, &offset, context.get()));
  if (code_->compiled == nullptr) {
    char message[256] = {};
    pcre2_get_error_message(error, reinterpret_cast<PCRE2_UCHAR*>(message), sizeof(message));
    fail(ErrorCode::kUnsupported, "the regex {} does not compile: {}", pattern_.substr(0, 300), message);
  }
  // PCRE2 interprets where it has no compiler to machine code.
  pcre2_jit_compile(code_->compiled.get(), PCRE2_JIT_COMPLETE);
}

void Regex::append_symbols(std::string_view text, std::string& symbols) const {
  const Code& code = *code_;
  symbols.reserve(symbols.size() + text.size());
  for (size_t pos = 0; pos < text.size();) {
    const auto byte = static_cast<unsigned char>(text[pos]);
    if (byte < 128) {
      symbols += code.ascii[byte];
      ++pos;
      continue;
    }
    const Utf8Char c = decode_utf8(text.substr(pos));
    symbols += static_cast<char>(c.valid ? code.table[c.code] : code.invalid);
    pos += c.length;
  }
}

void Regex::append_byte_symbols(std::string_view text, std::string& symbols) const {
  symbols.reserve(symbols.size() + text.size());
  for (const char c : text) symbols += code_->bytes[static_cast<unsigned char>(c)];
}

RegexMatcher::RegexMatcher(const Regex& regex) : regex_(&regex), state_(std::make_unique<State>()) {
  state_->data = owned(pcre2_match_data_create(1, nullptr));
  state_->context = owned(pcre2_match_context_create(nullptr));
  pcre2_set_heap_limit(state_->context.get(), kMaxHeapKib);
}
RegexMatcher::~RegexMatcher() = default;
RegexMatcher::RegexMatcher(RegexMatcher&&) noexcept = default;
RegexMatcher& RegexMatcher::operator=(RegexMatcher&&) noexcept = default;

int RegexMatcher::match(std::string_view symbols, size_t from, uint32_t options, uint32_t steps) {
  pcre2_set_match_limit(state_->context.get(), steps);
  const auto run = [&](uint32_t more) {
    return pcre2_match(regex_->code_->compiled.get(), reinterpret_cast<PCRE2_SPTR>(symbols.data()),
                       symbols.size(), from, options | more, state_->data.get(), state_->context.get());
  };
  const int code = run(0);
  // PCRE2's interpreter keeps on the heap what machine code keeps on a small stack.
  return code == PCRE2_ERROR_JIT_STACKLIMIT ? run(PCRE2_NO_JIT) : code;
}

std::optional<RegexMatch> RegexMatcher::find(std::string_view symbols, size_t from) {
  const auto found = [&]() -> RegexMatch {
    const size_t* places = pcre2_get_ovector_pointer(state_->data.get());
    return {places[0], places[1]};
  };
  int code = match(symbols, from, 0, kCheapSteps);
  if (code >= 0) return found();
  // A search at this place was costly: each place from here on is tried on its own, with more and more steps.
  for (size_t pos = from; is_limit(code) || (pos > from && pos <= symbols.size()); ++pos) {
    code = PCRE2_ERROR_MATCHLIMIT;
    for (uint32_t steps = kCheapSteps; is_limit(code); steps *= 8) {
      if (steps > kCheapSteps) state_->steps += steps;
      if (state_->steps > kMaxSteps || code == PCRE2_ERROR_HEAPLIMIT)
        fail(ErrorCode::kInvalid, "the regex {} tries too many ways to match a text of {} characters",
             regex_->pattern_.substr(0, 300), symbols.size());
      code = match(symbols, pos, PCRE2_ANCHORED, steps);
    }
    if (code >= 0) return found();
  }
  PARE_CHECK(code == PCRE2_ERROR_NOMATCH);
  return std::nullopt;
}

}  // namespace pare
