// Cutting text into the words that byte-pair merges never cross: hand-written scanners for the fixed regexes.
#pragma once

#include <cstddef>
#include <string_view>

namespace pare {

// Ways to cut text into words before merging.
enum class PreTokenizer {
  kGpt2,           // ByteLevel with its regex
  kSmolLM,         // each digit on its own, then as GPT-2
  kLlama3,         // the regex of LLaMA-3
  kQwen2,          // the regex of LLaMA-3 with each number on its own
  kTekken,         // the regex of Mistral's Tekken: words also end where their case changes
  kSplits,         // by steps of any kind (splitter.h)
  kSplitsOfChars,  // by steps of any kind, in a vocabulary of characters
  kWhole,          // not at all (SentencePiece)
  kMetaspace,      // not at all, after spaces became U+2581
  kMetaspaceSplit  // at every U+2581, after spaces became it
};

// Returns whether the words of a kind are made of bytes; otherwise, of characters.
constexpr bool is_byte_level(PreTokenizer kind) { return kind <= PreTokenizer::kSplits; }
constexpr bool is_metaspace(PreTokenizer kind) { return kind > PreTokenizer::kWhole; }

// One match at byte `pos` < text.size(): the offset just behind it, always > pos.
// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
size_t gpt2_word_end(std::string_view text, size_t pos);
// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|
// ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+
size_t llama3_word_end(std::string_view text, size_t pos);
// The regex of LLaMA-3 with \p{N} for \p{N}{1,3}.
size_t qwen2_word_end(std::string_view text, size_t pos);
// With U = [\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}] and W = [\p{Ll}\p{Lm}\p{Lo}\p{M}]:
// [^\r\n\p{L}\p{N}]?U*W+|[^\r\n\p{L}\p{N}]?U+W*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
size_t tekken_word_end(std::string_view text, size_t pos);
// First numeric character at or after `pos`; text.size() if there is none.
size_t find_numeric(std::string_view text, size_t pos);
// Bytes of the character at `pos`.
size_t char_length(std::string_view text, size_t pos);

namespace internal {
template <typename WordEnd, typename Emit>
void cut(std::string_view text, WordEnd word_end, Emit& emit) {
  for (size_t pos = 0; pos < text.size();) {
    const size_t end = word_end(text, pos);
    emit(text.substr(pos, end - pos));
    pos = end;
  }
}
}  // namespace internal

// Calls emit(word) for the words of text, in order; together they are the text. Byte-level kinds but kSplits.
// Linear time.
template <typename Emit>
void for_each_word(PreTokenizer kind, std::string_view text, Emit&& emit) {
  if (kind == PreTokenizer::kGpt2) return internal::cut(text, gpt2_word_end, emit);
  if (kind == PreTokenizer::kLlama3) return internal::cut(text, llama3_word_end, emit);
  if (kind == PreTokenizer::kQwen2) return internal::cut(text, qwen2_word_end, emit);
  if (kind == PreTokenizer::kTekken) return internal::cut(text, tekken_word_end, emit);
  for (size_t pos = 0; pos < text.size();) {
    const size_t digit = find_numeric(text, pos);
    // The pieces between digits are cut on their own: a look-ahead does not see the digit.
    internal::cut(text.substr(pos, digit - pos), gpt2_word_end, emit);
    if (digit == text.size()) return;
    const size_t length = char_length(text, digit);
    emit(text.substr(digit, length));
    pos = digit + length;
  }
}

}  // namespace pare
