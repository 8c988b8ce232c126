// Python's arithmetic on values.
#include <algorithm>
#include <cmath>

#include "text/jinja/fault.h"
#include "text/jinja/value_ops.h"

namespace pare {
namespace {

constexpr std::string_view kSigns[] = {"+", "-", "*", "/", "//", "%", "** or pow()"};

[[noreturn]] void no_operation(JinjaOperator op, const JinjaValue& a, const JinjaValue& b) {
  jinja_require_defined(a);
  jinja_require_defined(b);
  jinja_fault("unsupported operand type(s) for {}: '{}' and '{}'", kSigns[static_cast<size_t>(op)],
              jinja_type_name(a), jinja_type_name(b));
}

[[noreturn]] void too_large() { jinja_unsupported("an integer beyond 127 bits is not supported"); }

JinjaInt floor_divide(JinjaInt a, JinjaInt b) {
  const JinjaInt quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

JinjaInt modulo(JinjaInt a, JinjaInt b) {
  const JinjaInt rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

JinjaValue int_power(JinjaInt base, JinjaInt exponent) {
  if (exponent < 0) {
    if (base == 0) jinja_fault("0.0 cannot be raised to a negative power");
    return JinjaValue::real(std::pow(static_cast<double>(base), static_cast<double>(exponent)));
  }
  JinjaInt result = 1;
  if (base == 0 || base == 1) return JinjaValue::integer(exponent == 0 ? 1 : base);
  if (base == -1) return JinjaValue::integer(exponent % 2 == 0 ? 1 : -1);
  for (; exponent > 0; --exponent)
    if (__builtin_mul_overflow(result, base, &result)) too_large();
  return JinjaValue::integer(result);
}

JinjaValue int_operation(JinjaOperator op, JinjaInt a, JinjaInt b) {
  constexpr JinjaInt kSmallest = static_cast<JinjaInt>(static_cast<unsigned __int128>(1) << 127);
  JinjaInt result = 0;
  bool overflow = false;
  switch (op) {
    case JinjaOperator::kAdd:
      overflow = __builtin_add_overflow(a, b, &result);
      break;
    case JinjaOperator::kSub:
      overflow = __builtin_sub_overflow(a, b, &result);
      break;
    case JinjaOperator::kMul:
      overflow = __builtin_mul_overflow(a, b, &result);
      break;
    case JinjaOperator::kDiv:
      if (b == 0) jinja_fault("division by zero");
      return JinjaValue::real(static_cast<double>(a) / static_cast<double>(b));
    case JinjaOperator::kFloorDiv:
    case JinjaOperator::kMod:
      if (b == 0) jinja_fault("integer division or modulo by zero");
      overflow = a == kSmallest && b == -1;
      if (!overflow) result = op == JinjaOperator::kMod ? modulo(a, b) : floor_divide(a, b);
      break;
    case JinjaOperator::kPow:
      return int_power(a, b);
  }
  if (overflow) too_large();
  return JinjaValue::integer(result);
}

double float_modulo(double a, double b) {
  const double rest = std::fmod(a, b);
  if (rest == 0) return std::copysign(0.0, b);
  return (rest < 0) != (b < 0) ? rest + b : rest;
}

JinjaValue float_operation(JinjaOperator op, double a, double b) {
  switch (op) {
    case JinjaOperator::kAdd:
      return JinjaValue::real(a + b);
    case JinjaOperator::kSub:
      return JinjaValue::real(a - b);
    case JinjaOperator::kMul:
      return JinjaValue::real(a * b);
    case JinjaOperator::kDiv:
      if (b == 0) jinja_fault("float division by zero");
      return JinjaValue::real(a / b);
    case JinjaOperator::kFloorDiv: {
      if (b == 0) jinja_fault("float floor division by zero");
      // Divides as CPython does: exact where a / b would round up to the next integer.
      const double quotient = (a - float_modulo(a, b)) / b;
      if (quotient == 0) return JinjaValue::real(std::copysign(0.0, a / b));
      const double floor = std::floor(quotient);
      return JinjaValue::real(quotient - floor > 0.5 ? floor + 1 : floor);
    }
    case JinjaOperator::kMod:
      if (b == 0) jinja_fault("float modulo");
      return JinjaValue::real(float_modulo(a, b));
    case JinjaOperator::kPow:
      break;
  }
  if (a == 0 && b < 0) jinja_fault("0.0 cannot be raised to a negative power");
  if (a < 0 && std::isfinite(a) && std::isfinite(b) && b != std::floor(b))
    jinja_unsupported("complex numbers are not supported");
  const double power = std::pow(a, b);
  if (std::isinf(power) && std::isfinite(a) && std::isfinite(b))
    jinja_fault("(34, 'Numerical result out of range')");
  return JinjaValue::real(power);
}

JinjaValue repeat(const JinjaValue& sequence, JinjaInt times) {
  const auto count = static_cast<size_t>(std::clamp<JinjaInt>(times, 0, INT64_MAX));
  if (sequence.is_string()) {
    const JinjaString& text = sequence.text();
    jinja_require_memory(text.size(), count);
    JinjaString out;
    for (size_t i = 0; i < count && !text.empty(); ++i) out.append(text);
    return JinjaValue::string(std::move(out));
  }
  const auto& items = sequence.items().items;
  jinja_require_memory(items.size() * sizeof(JinjaValue), count);
  std::vector<JinjaValue> repeated;
  for (size_t i = 0; i < count && !items.empty(); ++i)
    repeated.insert(repeated.end(), items.begin(), items.end());
  return sequence.items().is_tuple() ? JinjaValue::tuple(std::move(repeated))
                                     : JinjaValue::list(std::move(repeated));
}

bool can_repeat(const JinjaValue& value) {
  return value.is_string() ||
         (value.is_list() && (value.items().form == JinjaList::Form::kList || value.items().is_tuple()));
}

JinjaValue concatenate(const JinjaValue& a, const JinjaValue& b) {
  if (a.is_string()) {
    jinja_require_memory(a.str().size() + b.str().size());
    JinjaString out = a.text();
    out.append(b.text());
    return JinjaValue::string(std::move(out));
  }
  const auto& left = a.items().items;
  const auto& right = b.items().items;
  jinja_require_memory(left.size() + right.size(), sizeof(JinjaValue));
  std::vector<JinjaValue> items;
  items.reserve(left.size() + right.size());
  items.insert(items.end(), left.begin(), left.end());
  items.insert(items.end(), right.begin(), right.end());
  return a.items().is_tuple() ? JinjaValue::tuple(std::move(items)) : JinjaValue::list(std::move(items));
}

[[noreturn]] void no_concatenation(const JinjaValue& a, const JinjaValue& b) {
  jinja_require_defined(b);
  const std::string type = jinja_type_name(a);
  if (a.is_string()) jinja_fault("can only concatenate str (not \"{}\") to str", jinja_type_name(b));
  jinja_fault("can only concatenate {} (not \"{}\") to {}", type, jinja_type_name(b), type);
}

}  // namespace

JinjaValue jinja_binary(JinjaOperator op, const JinjaValue& a, const JinjaValue& b) {
  if (a.is_number() && b.is_number()) {
    if (a.is_integer() && b.is_integer()) return int_operation(op, a.as_int(), b.as_int());
    return float_operation(op, a.as_float(), b.as_float());
  }
  if (op == JinjaOperator::kMod && a.is_string()) return JinjaValue::string(jinja_percent(a.text(), b));
  if (op == JinjaOperator::kAdd && can_repeat(a)) {
    const bool same = a.kind() == b.kind() &&
                      (a.is_string() || (can_repeat(b) && a.items().is_tuple() == b.items().is_tuple()));
    if (!same) no_concatenation(a, b);
    return concatenate(a, b);
  }
  if (op == JinjaOperator::kMul) {
    if (can_repeat(a) && b.is_integer()) return repeat(a, b.as_int());
    if (a.is_integer() && can_repeat(b)) return repeat(b, a.as_int());
    if (can_repeat(a) && !b.is_undefined())
      jinja_fault("can't multiply sequence by non-int of type '{}'", jinja_type_name(b));
  }
  no_operation(op, a, b);
}

JinjaValue jinja_negate(const JinjaValue& value) {
  jinja_require_defined(value);
  if (value.is_integer()) return int_operation(JinjaOperator::kSub, 0, value.as_int());
  if (value.is_float()) return JinjaValue::real(-value.as_float());
  jinja_fault("bad operand type for unary -: '{}'", jinja_type_name(value));
}

JinjaValue jinja_plus(const JinjaValue& value) {
  jinja_require_defined(value);
  if (value.is_integer()) return JinjaValue::integer(value.as_int());
  if (value.is_float()) return value;
  jinja_fault("bad operand type for unary +: '{}'", jinja_type_name(value));
}

}  // namespace pare
