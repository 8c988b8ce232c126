// The loss of distillation: KL from a teacher's next-token probabilities, of which the largest are kept.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace pare {

// Tokens of a position whose probabilities are kept one by one; all others count as one class.
inline constexpr size_t kTeacherTokens = 64;

// What is kept of a teacher's logits at one position, in descending order of probability. With fewer tokens
// in the vocabulary the places behind them have an id of −1.
struct TeacherRow {
  std::array<int32_t, kTeacherTokens> ids;
  std::array<float, kTeacherTokens> log_probabilities;  // ln p
  float rest;                                           // probability of all other tokens
};

// Returns what is kept of logits (vocab). Equal logits go by their ids.
TeacherRow teacher_row(std::span<const float> logits);

// Returns KL(teacher ‖ softmax(logits)) in nats, with the tokens that are not kept as one class, and replaces
// the logits (vocab) by its gradient times `scale`.
double distil(const TeacherRow& teacher, double scale, std::span<float> logits);

}  // namespace pare
