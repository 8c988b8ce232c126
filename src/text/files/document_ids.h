// Documents as one sequence of token ids.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>
#include <vector>

#include "text/files/documents.h"
#include "text/tokenizer/tokenizer.h"

namespace pare {

// One plain text is encoded as it stands, with BOS and EOS as the tokenizer's template has them only where
// `plain_template` says so. Records follow each other in their order: each with the template, where the
// tokenizer has one; otherwise with the first of `ends` (the model's ends of sequence) between them; where
// there are none either, with a blank line between their texts. Reading ends behind the document with which
// there are `enough` ids.
std::vector<int32_t> document_ids(const Tokenizer& tokenizer, const Documents& documents,
                                  std::span<const int32_t> ends, bool plain_template,
                                  size_t enough = std::numeric_limits<size_t>::max());

// Share of ids that say little of what was written: the unknown token, and single bytes of characters that
// the vocabulary does not have (bytes from 0x80 on; ASCII characters are tokens of their own).
double unknown_share(const Tokenizer& tokenizer, std::span<const int32_t> ids);

// Shares from which on a text is warned of, or refused. Of a book in 11 languages, a tokenizer made mainly
// for English (SmolLM2) spells at most 30 % of the ids as bytes, 48 % of nothing but Chinese characters and
// 67 % of nothing but emoji; a SentencePiece vocabulary of 32,000 with byte fallback 6 %, 5 % and 55 %. Of
// random characters both spell 94 % and more.
inline constexpr double kWarnedUnknownShare = 0.4;
inline constexpr double kRefusedUnknownShare = 0.75;

// Throws kInvalid naming `what` and the share when the tokenizer does not know the text, and warns of shares
// in between.
void require_known_text(const Tokenizer& tokenizer, std::span<const int32_t> ids, std::string_view what);

}  // namespace pare
