// One question of a zero-shot task, as what a model is asked: the log-likelihood of continuations.
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
  size_t gold = 0;                    // the right one; with kTrueMass the first true one
  std::vector<int64_t> lengths;       // characters of each choice; only for kNormalized
  std::vector<bool> truths;           // whether each choice is true; only for kTrueMass
  std::string subject;                // the part of the task it belongs to; empty where there are none
};

// What is measured, as lm-evaluation-harness does; the first named is what a task is judged by.
enum class TaskMetrics {
  kNormalized,  // accuracy by log-likelihood per character, accuracy by log-likelihood
  kAccuracy,    // accuracy by log-likelihood
  kLastWord,    // share of continuations that greedy decoding gives, their perplexity
  kTrueMass,    // share of the choices' probability that the true ones have
};

}  // namespace pare
