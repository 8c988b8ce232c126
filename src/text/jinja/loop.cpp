#include "text/jinja/loop.h"

#include "text/jinja/fault.h"

namespace pare {
namespace {

class LoopMethod : public JinjaObject {
 public:
  LoopMethod(std::shared_ptr<JinjaLoop> loop, bool is_cycle) : loop_(std::move(loop)), is_cycle_(is_cycle) {}
  std::string type_name() const override { return "method"; }
  bool callable() const override { return true; }
  JinjaValue call(JinjaArgs args) override { return is_cycle_ ? loop_->cycle(args) : loop_->changed(args); }

 private:
  std::shared_ptr<JinjaLoop> loop_;
  bool is_cycle_;
};

}  // namespace

JinjaLoop::JinjaLoop(JinjaEvaluator& evaluator, const JinjaStatement& statement,
                     std::shared_ptr<JinjaScope> outer, std::vector<JinjaValue> items, int depth)
    : evaluator_(evaluator),
      statement_(statement),
      outer_(std::move(outer)),
      items_(std::move(items)),
      filtered_(statement.exprs[1] != nullptr),
      depth_(depth),
      charge_(sizeof(JinjaLoop) + items_.size() * sizeof(JinjaValue)) {
  if (!filtered_) length_ = static_cast<int64_t>(items_.size());
}

std::optional<JinjaValue> JinjaLoop::fetch() {
  while (position_ < items_.size()) {
    const JinjaValue& item = items_[position_++];
    if (!filtered_ || evaluator_.loop_takes(statement_, outer_, item)) return item;
  }
  return std::nullopt;
}

const std::optional<JinjaValue>& JinjaLoop::peek() {
  if (!after_) after_ = fetch();
  return after_;
}

std::optional<JinjaValue> JinjaLoop::advance() {
  std::optional<JinjaValue> item = after_ ? std::exchange(after_, std::nullopt) : fetch();
  if (!item) return item;
  ++index_;
  before_ = std::move(current_);
  current_ = item;
  return item;
}

void JinjaLoop::finish() {
  if (length_ < 0) length_ = index_ + 1;
  items_ = {};
  position_ = 0;
  filtered_ = false;
  outer_.reset();
  before_ = current_ = after_ = last_changed_ = std::nullopt;
  finished_ = true;
}

int64_t JinjaLoop::length() {
  if (length_ >= 0) return length_;
  std::vector<JinjaValue> rest;
  while (auto item = fetch()) rest.push_back(*std::move(item));
  items_ = std::move(rest);
  position_ = 0;
  filtered_ = false;
  length_ = static_cast<int64_t>(items_.size()) + index_ + 1 + (after_ ? 1 : 0);
  return length_;
}

std::optional<JinjaValue> JinjaLoop::attribute(std::string_view name) {
  const auto integer = [](int64_t value) { return JinjaValue::integer(value); };
  if (name == "index") return integer(index_ + 1);
  if (name == "index0") return integer(index_);
  if (name == "first") return JinjaValue::boolean(index_ == 0);
  if (name == "last") return JinjaValue::boolean(!peek());
  if (name == "length") return integer(length());
  if (name == "revindex") return integer(length() - index_);
  if (name == "revindex0") return integer(length() - index_ - 1);
  if (name == "depth") return integer(depth_ + 1);
  if (name == "depth0") return integer(depth_);
  if (name == "previtem")
    return index_ > 0 && before_ ? *before_ : JinjaValue::undefined({.message = "there is no previous item"});
  if (name == "nextitem")
    return peek() ? *peek() : JinjaValue::undefined({.message = "there is no next item"});
  if (name == "cycle" || name == "changed")
    return JinjaValue::object(std::make_shared<LoopMethod>(shared_from_this(), name == "cycle"));
  return std::nullopt;
}

JinjaString JinjaLoop::repr(int) const {
  return JinjaString(fmt::format("<LoopContext {}/{}>", index_ + 1, length_ < 0 ? index_ + 1 : length_));
}

JinjaValue JinjaLoop::call(JinjaArgs args) {
  if (!statement_.recursive)
    jinja_fault("The loop must have the 'recursive' marker to be called recursively.");
  if (finished_) jinja_unsupported("a loop cannot be called once it is over");
  const JinjaBound bound("__call__", args, {"iterable"}, 1);
  return evaluator_.call_loop(statement_, outer_, bound[0], depth_ + 1);
}

JinjaValue JinjaLoop::cycle(const JinjaArgs& args) const {
  if (args.positional.empty()) jinja_fault("no items for cycling given");
  return args.positional[static_cast<size_t>(index_) % args.positional.size()];
}

JinjaValue JinjaLoop::changed(const JinjaArgs& args) {
  JinjaValue value = JinjaValue::tuple(args.positional);
  if (last_changed_ && jinja_equal(*last_changed_, value)) return JinjaValue::boolean(false);
  last_changed_ = std::move(value);
  return JinjaValue::boolean(true);
}

}  // namespace pare
