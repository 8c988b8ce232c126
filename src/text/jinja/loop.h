// The variable `loop`, and what gives a loop its items.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "text/jinja/evaluator.h"

namespace pare {

class JinjaLoop : public JinjaObject, public std::enable_shared_from_this<JinjaLoop> {
 public:
  JinjaLoop(JinjaEvaluator& evaluator, const JinjaStatement& statement, std::shared_ptr<JinjaScope> outer,
            std::vector<JinjaValue> items, int depth);

  // The next item that the loop's `if` takes; nothing at the end.
  std::optional<JinjaValue> advance();
  // Lets go of all items: a loop variable that outlives its loop only counts.
  void finish();

  std::string type_name() const override { return "LoopContext"; }
  JinjaString repr(int depth) const override;
  std::optional<JinjaValue> attribute(std::string_view name) override;
  bool callable() const override { return true; }
  // Runs the body for another iterable.
  JinjaValue call(JinjaArgs args) override;

  JinjaValue cycle(const JinjaArgs& args) const;
  JinjaValue changed(const JinjaArgs& args);

 private:
  std::optional<JinjaValue> fetch();
  const std::optional<JinjaValue>& peek();
  int64_t length();

  JinjaEvaluator& evaluator_;
  const JinjaStatement& statement_;
  std::shared_ptr<JinjaScope> outer_;
  std::vector<JinjaValue> items_;
  size_t position_ = 0;  // position of the next item to look at
  bool filtered_;        // items from position_ on must pass the loop's `if`
  int64_t length_ = -1;  // -1: not known yet
  int depth_;
  int64_t index_ = -1;
  bool finished_ = false;
  std::optional<JinjaValue> before_, current_, after_, last_changed_;
  JinjaCharge charge_;
};

}  // namespace pare
