// Guards of the evaluator: each enters a state and leaves it whatever happens.
#pragma once

#include "text/jinja/evaluator.h"
#include "text/jinja/fault.h"

namespace pare {

class JinjaEvaluator::Deeper {
 public:
  explicit Deeper(JinjaEvaluator& evaluator) : evaluator_(evaluator) {
    if (evaluator_.depth_ >= evaluator_.options_.limits.depth)
      jinja_fault("the template nests or recurses deeper than {}, the limit",
                  evaluator_.options_.limits.depth);
    ++evaluator_.depth_;
    jinja_step();
  }
  ~Deeper() { --evaluator_.depth_; }
  Deeper(const Deeper&) = delete;
  Deeper& operator=(const Deeper&) = delete;

 private:
  JinjaEvaluator& evaluator_;
};

// Enters another scope than the current one for a while.
class JinjaEvaluator::InScope {
 public:
  // Enters a new scope inside `parent`.
  InScope(JinjaEvaluator& evaluator, const std::shared_ptr<JinjaScope>& parent)
      : evaluator_(evaluator),
        before_(std::exchange(evaluator.scope_, std::make_shared<JinjaScope>(parent))) {}
  ~InScope() { evaluator_.scope_ = std::move(before_); }
  InScope(const InScope&) = delete;
  InScope& operator=(const InScope&) = delete;

  const std::shared_ptr<JinjaScope>& outer() const { return before_; }
  // Replaces the scope by a new, empty one.
  void renew(const std::shared_ptr<JinjaScope>& parent) {
    if (evaluator_.scope_.use_count() == 1) {
      evaluator_.scope_->names.clear();
    } else {
      evaluator_.scope_ = std::make_shared<JinjaScope>(parent);
    }
  }

 private:
  JinjaEvaluator& evaluator_;
  std::shared_ptr<JinjaScope> before_;
};

// Sends output to `text` for a while.
class JinjaEvaluator::Captured {
 public:
  explicit Captured(JinjaEvaluator& evaluator)
      : evaluator_(evaluator), before_(std::exchange(evaluator.out_, &text)) {}
  ~Captured() { evaluator_.out_ = before_; }
  Captured(const Captured&) = delete;
  Captured& operator=(const Captured&) = delete;

  JinjaString text;

 private:
  JinjaEvaluator& evaluator_;
  JinjaString* before_;
};

}  // namespace pare
