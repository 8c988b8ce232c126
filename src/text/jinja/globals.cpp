// The functions that every template may call.
#include <algorithm>
#include <ctime>

#include "text/jinja/builtins.h"
#include "text/jinja/fault.h"
#include "text/jinja/namespace.h"
#include "text/jinja/value_ops.h"

namespace pare {
namespace {

using Value = JinjaValue;

constexpr JinjaInt kMaxRange = 100000;  // MAX_RANGE of jinja2's sandbox.py

class Function : public JinjaObject {
 public:
  using Body = Value (*)(const JinjaArgs& args);
  explicit Function(Body body) : body_(body) {}
  std::string type_name() const override { return "function"; }
  bool callable() const override { return true; }
  Value call(JinjaArgs args) override { return body_(args); }

 private:
  Body body_;
};

class StrftimeNow : public JinjaObject {
 public:
  explicit StrftimeNow(const std::tm& now) : now_(now) {}
  std::string type_name() const override { return "function"; }
  bool callable() const override { return true; }
  Value call(JinjaArgs args) override {
    const JinjaBound bound("strftime_now", args, {"format"}, 1);
    jinja_require_defined(bound[0]);
    if (!bound[0].is_string())
      jinja_fault("strftime() argument 1 must be str, not {}", jinja_type_name(bound[0]));
    return Value::string(jinja_strftime(bound[0].str(), now_), bound[0].text().origin_at(0));
  }

 private:
  std::tm now_;
};

class Cycler : public JinjaObject, public std::enable_shared_from_this<Cycler> {
 public:
  explicit Cycler(Value items) : items_(std::move(items)) {}
  std::string type_name() const override { return "Cycler"; }
  int nesting() const override { return items_.nesting() + 1; }
  std::optional<Value> attribute(std::string_view name) override;
  Value current() const { return items_.items().items[position_]; }
  Value next() {
    Value now = current();
    position_ = (position_ + 1) % items_.items().items.size();
    return now;
  }
  void reset() { position_ = 0; }

 private:
  Value items_;
  size_t position_ = 0;
};

class CyclerMethod : public JinjaObject {
 public:
  CyclerMethod(std::shared_ptr<Cycler> cycler, bool resets) : cycler_(std::move(cycler)), resets_(resets) {}
  std::string type_name() const override { return "method"; }
  int nesting() const override { return cycler_->nesting() + 1; }
  bool callable() const override { return true; }
  Value call(JinjaArgs args) override {
    const JinjaBound bound("next", args, {});
    if (!resets_) return cycler_->next();
    cycler_->reset();
    return Value::none();
  }

 private:
  std::shared_ptr<Cycler> cycler_;
  bool resets_;
};

class Joiner : public JinjaObject {
 public:
  explicit Joiner(Value separator) : separator_(std::move(separator)) {}
  std::string type_name() const override { return "Joiner"; }
  int nesting() const override { return separator_.nesting() + 1; }
  bool callable() const override { return true; }
  Value call(JinjaArgs args) override {
    const JinjaBound bound("__call__", args, {});
    return std::exchange(used_, true) ? separator_ : Value::string(std::string());
  }

 private:
  Value separator_;
  bool used_ = false;
};

Value range(const JinjaArgs& args) {
  const JinjaBound bound("range", args, {"start", "stop", "step"}, 1);
  if (!args.keyword.empty()) jinja_fault("range() takes no keyword arguments");
  const bool only_stop = !bound.has(1);
  const JinjaInt start = only_stop ? 0 : jinja_index(bound[0]);
  const JinjaInt stop = jinja_index(bound[only_stop ? 0 : 1]);
  const JinjaInt step = bound.integer(2, 1);
  if (step == 0) jinja_fault("range() arg 3 must not be zero");
  constexpr JinjaInt kFar = JinjaInt{1} << 100;
  for (const JinjaInt end : {start, stop, step})
    if (end > kFar || end < -kFar) jinja_unsupported("a range that far is not supported");
  const JinjaInt span = step > 0 ? stop - start : start - stop;
  const JinjaInt size = step > 0 ? step : -step;
  const JinjaInt count = span > 0 ? (span + size - 1) / size : 0;
  if (count > kMaxRange)
    jinja_fault("Range too big. The sandbox blocks ranges larger than MAX_RANGE ({}).", kMaxRange);
  jinja_require_memory(static_cast<size_t>(count), sizeof(Value));
  std::vector<Value> items;
  items.reserve(static_cast<size_t>(count));
  for (JinjaInt i = 0; i < count; ++i) items.push_back(Value::integer(start + i * step));
  return Value::sequence({.form = JinjaList::Form::kRange, .items = std::move(items), .charge = {}});
}

// dict(mapping or pairs, name=value, …)
Value dict(const JinjaArgs& args) {
  if (args.positional.size() > 1)
    jinja_fault("dict expected at most 1 argument, got {}", args.positional.size());
  Value made = Value::dict();
  if (!args.positional.empty()) {
    const Value& from = args.positional[0];
    if (from.is_dict()) {
      for (const auto& [key, value] : from.entries().entries) made.set(key, value);
    } else {
      for (const Value& item : jinja_items(from)) {
        const std::vector<Value> pair = jinja_items(item);
        if (pair.size() != 2)
          jinja_fault("dictionary update sequence element has length {}; 2 is required", pair.size());
        made.set(pair[0], pair[1]);
      }
    }
  }
  for (const auto& [name, value] : args.keyword) made.set(name, value);
  return made;
}

Value make_namespace(const JinjaArgs& args) { return JinjaNamespace::make(dict(args)); }

Value cycler(const JinjaArgs& args) {
  if (args.positional.empty()) jinja_fault("at least one item has to be provided");
  return Value::object(std::make_shared<Cycler>(Value::tuple(args.positional)));
}

Value joiner(const JinjaArgs& args) {
  const JinjaBound bound("joiner", args, {"sep"});
  return Value::object(std::make_shared<Joiner>(bound.has(0) ? bound[0] : Value::string(", ")));
}

Value raise_exception(const JinjaArgs& args) {
  const JinjaBound bound("raise_exception", args, {"message"}, 1);
  throw JinjaRaised{jinja_str(bound[0]).text()};
}

struct Entry {
  std::string_view name;
  Function::Body body;
};
constexpr Entry kFunctions[] = {{"range", range},   {"dict", dict},     {"namespace", make_namespace},
                                {"cycler", cycler}, {"joiner", joiner}, {"raise_exception", raise_exception}};

std::tm local_time() {
  const std::time_t seconds = std::time(nullptr);
  std::tm now{};
  localtime_r(&seconds, &now);
  return now;
}

}  // namespace

std::optional<Value> Cycler::attribute(std::string_view name) {
  if (name == "current") return current();
  if (name != "next" && name != "reset") return std::nullopt;
  return Value::object(std::make_shared<CyclerMethod>(shared_from_this(), name == "reset"));
}

JinjaValue jinja_global(std::string_view name, const std::optional<std::tm>& now) {
  if (name == "strftime_now") return Value::object(std::make_shared<StrftimeNow>(now ? *now : local_time()));
  for (const Entry& entry : kFunctions)
    if (entry.name == name) return Value::object(std::make_shared<Function>(entry.body));
  return {};
}

std::string jinja_strftime(const std::string& format, const std::tm& time) {
  constexpr size_t kDirectiveWork = 4 * JinjaMeter::kStep;
  jinja_spend(8 * format.size());
  std::string out;
  for (size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%' || i + 1 == format.size()) {
      out.push_back(format[i]);
      continue;
    }
    std::string one = "%";
    // Flags of the C library: "%-d" has no leading zero.
    while (i + 2 < format.size() && std::string_view("-_0^#").find(format[i + 1]) != std::string_view::npos)
      one.push_back(format[++i]);
    const char letter = format[++i];
    one.push_back(letter);
    if (letter == 'f') {
      out += "000000";
    } else if (letter == 'z' || letter == 'Z') {
      continue;  // the time is a naive one
    } else if (std::string_view("aAbBcCdDeFgGhHIjklmMnpPrRsStTuUVwWxXyY%").find(letter) ==
               std::string_view::npos) {
      out += one;
    } else {
      char buffer[256];
      out.append(buffer, std::strftime(buffer, sizeof(buffer), one.c_str(), &time));
    }
    jinja_spend(kDirectiveWork);
    jinja_require_room(out.size());
  }
  return out;
}

}  // namespace pare
