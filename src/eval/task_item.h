// One question of a zero-shot task, as requests to a model: log-likelihoods of continuations.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace pare {

struct TaskRequest {
  std::string context;
  std::string continuation;  // scored; begins with the space that parts it from the context
};

struct TaskItem {
  std::vector<TaskRequest> requests;  // one a choice
  size_t gold = 0;                    // index of the right choice; with kTrueMass of the first true one
  std::vector<int64_t> lengths;       // characters of each choice; only for kNormalized
  std::vector<bool> truths;           // true for each true choice; only for kTrueMass
  std::string subject;                // part of the task the item belongs to; empty where there are none
};

// Figures of a task, as lm-evaluation-harness has them; the first named is its main figure.
enum class TaskMetrics {
  kNormalized,  // accuracy by log-likelihood per character, accuracy by log-likelihood
  kAccuracy,    // accuracy by log-likelihood
  kLastWord,    // share of continuations that greedy decoding gives, their perplexity
  kTrueMass,    // share of the choices' probability that the true ones have
};

}  // namespace pare
