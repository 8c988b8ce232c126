// Python's operators and conversions on values. All throw JinjaFault.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/value.h"

namespace pare {

struct JinjaArgs;

bool jinja_truth(const JinjaValue& value);
// Python's name of the value's type: "str", "NoneType", …
std::string jinja_type_name(const JinjaValue& value);

bool jinja_equal(const JinjaValue& a, const JinjaValue& b);
// a < b; `op` stands in the error for values that have no order.
bool jinja_less(const JinjaValue& a, const JinjaValue& b, std::string_view op = "<");
bool jinja_greater(const JinjaValue& a, const JinjaValue& b);
bool jinja_less_equal(const JinjaValue& a, const JinjaValue& b);
bool jinja_greater_equal(const JinjaValue& a, const JinjaValue& b);
bool jinja_contains(const JinjaValue& container, const JinjaValue& item);

// Returns whether a value can be a key. Equal values have equal hashes, unknown outside this process.
bool jinja_hashable(const JinjaValue& value);
size_t jinja_hash(const JinjaValue& value);
size_t jinja_hash(std::string_view text);

// str() and repr().
JinjaString jinja_str(const JinjaValue& value);
JinjaString jinja_repr(const JinjaValue& value, int depth = 0);
std::string jinja_int_text(JinjaInt value);
std::string jinja_float_repr(double value);

// Returns the items that iterating over a value yields; consumes an iterator.
std::vector<JinjaValue> jinja_items(const JinjaValue& value);
// len().
size_t jinja_length(const JinjaValue& value);
// An iterator, as Python's generators are: always true, of no length, empty once it was used.
JinjaValue jinja_iterator(std::vector<JinjaValue> items);

// float(): of numbers and of texts that hold one.
double jinja_to_float(const JinjaValue& value);
// Throws where the value is undefined, with its message.
void jinja_require_defined(const JinjaValue& value);
// A value as an index, as Python's __index__: integers and booleans.
JinjaInt jinja_index(const JinjaValue& value);

enum class JinjaOperator : uint8_t { kAdd, kSub, kMul, kDiv, kFloorDiv, kMod, kPow };
JinjaValue jinja_binary(JinjaOperator op, const JinjaValue& a, const JinjaValue& b);
JinjaValue jinja_negate(const JinjaValue& value);
JinjaValue jinja_plus(const JinjaValue& value);

// value[argument], which falls back to an attribute, and value.name, which falls back to an item. Undefined
// where there is neither.
JinjaValue jinja_get_item(const JinjaValue& value, const JinjaValue& argument);
JinjaValue jinja_get_attribute(const JinjaValue& value, std::string_view name);
// Returns an attribute, without falling back to an item.
std::optional<JinjaValue> jinja_own_attribute(const JinjaValue& value, std::string_view name);
// value[start:stop:step]; None for a part that is left out.
JinjaValue jinja_slice(const JinjaValue& value, const JinjaValue& start, const JinjaValue& stop,
                       const JinjaValue& step);

// "text" % values and "text".format(…).
JinjaString jinja_percent(const JinjaString& format, const JinjaValue& values);
JinjaString jinja_format(const JinjaString& format, const JinjaArgs& args);
// json.dumps(value, ensure_ascii=…, indent=…, separators=…, sort_keys=…).
struct JinjaJsonStyle {
  bool ensure_ascii = false;
  bool has_indent = false;
  JinjaString indent;
  JinjaString item_separator{", "};
  JinjaString key_separator{": "};
  bool sort_keys = false;
};
JinjaString jinja_json(const JinjaValue& value, const JinjaJsonStyle& style);

}  // namespace pare
