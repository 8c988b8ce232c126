// Values of a template's variables and expressions: Python's values, as far as templates see them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "base/json.h"
#include "text/jinja/meter.h"
#include "text/jinja/origin_string.h"

namespace pare {

using JinjaInt = __int128;  // Python's integers have no end; beyond this range an operation is refused

struct JinjaText;
struct JinjaList;
struct JinjaDict;
class JinjaObject;
struct JinjaUndefined;

// Lists and dicts of lists nest at most this deep: what walks a value recurses.
inline constexpr int kMaxJinjaNesting = 120;

// Cheap to copy: copies share text, items and objects. append and set copy what is shared first.
class JinjaValue {
 public:
  enum class Kind : uint8_t {
    kUndefined,
    kNone,
    kBool,
    kInt,
    kFloat,
    kString,
    kList,  // every sequence that is no text: lists, tuples, ranges, views of dicts, iterators
    kDict,
    kObject  // namespaces, loops, whatever can be called
  };

  JinjaValue() = default;  // undefined
  static JinjaValue undefined(JinjaUndefined why);
  static JinjaValue none();
  static JinjaValue boolean(bool truth);
  static JinjaValue integer(JinjaInt number);
  static JinjaValue real(double number);
  static JinjaValue string(JinjaString text);
  static JinjaValue string(std::string text, int32_t origin = kTemplateOrigin);
  static JinjaValue list(std::vector<JinjaValue> items = {});
  static JinjaValue tuple(std::vector<JinjaValue> items);
  static JinjaValue sequence(JinjaList items);
  static JinjaValue dict();
  static JinjaValue object(std::shared_ptr<JinjaObject> object);
  // Gives all strings of `json`, keys of objects too, this origin. Throws kInvalid when it nests too deeply.
  static JinjaValue from_json(const Json& json, int32_t origin = kTemplateOrigin);

  // Adds to a list.
  void append(JinjaValue value);
  // Sets an entry of a dict. A new key goes last and is a string of the template's origin.
  void set(std::string_view key, JinjaValue value);
  void set(const JinjaValue& key, JinjaValue value);

  Kind kind() const { return static_cast<Kind>(data_.index()); }
  bool is_undefined() const { return kind() == Kind::kUndefined; }
  bool is_none() const { return kind() == Kind::kNone; }
  bool is_bool() const { return kind() == Kind::kBool; }
  bool is_string() const { return kind() == Kind::kString; }
  bool is_list() const { return kind() == Kind::kList; }
  bool is_dict() const { return kind() == Kind::kDict; }
  bool is_object() const { return kind() == Kind::kObject; }
  // As in Python, a boolean is an integer.
  bool is_integer() const { return kind() == Kind::kInt || is_bool(); }
  bool is_float() const { return kind() == Kind::kFloat; }
  bool is_number() const { return is_integer() || is_float(); }

  // Accessors. PARE_CHECK guards that the value has the type each needs.
  bool as_bool() const;
  JinjaInt as_int() const;  // a boolean or an integer
  double as_float() const;  // a number
  const JinjaString& text() const;
  const std::string& str() const { return text().text(); }
  const JinjaList& items() const;
  const JinjaDict& entries() const;
  const std::shared_ptr<JinjaObject>& object() const;
  const JinjaUndefined* why_undefined() const;  // null where nothing is known

  // The entry of a dict whose key is this text, or null.
  const JinjaValue* find(std::string_view key) const;
  // Returns how deep lists and dicts nest in the value: 0 for anything else.
  int nesting() const;
  // Advances an iterator.
  void consume(size_t count) const;
  // Python's `is` for shared objects.
  bool same_as(const JinjaValue& other) const;

 private:
  struct None {};
  using Data = std::variant<std::shared_ptr<const JinjaUndefined>, None, bool, JinjaInt, double,
                            std::shared_ptr<const JinjaText>, std::shared_ptr<JinjaList>,
                            std::shared_ptr<JinjaDict>, std::shared_ptr<JinjaObject>>;
  Data data_;
};

struct JinjaUndefined {
  std::string message;  // Jinja's: "'x' is undefined"
  bool unsafe = false;  // an attribute that exists but may not be used
};

struct JinjaText {
  JinjaString text;
  JinjaCharge charge;
};

struct JinjaList {
  // kGroup is a tuple of `grouper` and `list`, which groupby makes.
  enum class Form : uint8_t { kList, kTuple, kGroup, kRange, kKeys, kValues, kItems, kIterator };
  bool is_tuple() const { return form == Form::kTuple || form == Form::kGroup; }
  Form form = Form::kList;
  std::vector<JinjaValue> items;
  int nesting = 1;
  size_t taken = 0;  // kIterator: how many items were consumed
  JinjaCharge charge;
};

// Entries in the order of insertion.
struct JinjaDict {
  std::vector<std::pair<JinjaValue, JinjaValue>> entries;
  std::unordered_multimap<size_t, size_t> index;  // hash to entry, once there are many
  int nesting = 1;
  JinjaCharge charge;

  // Returns null where the key has no entry. The key must be hashable.
  const JinjaValue* find(const JinjaValue& key) const;
  const JinjaValue* find(std::string_view key) const;
  void set(const JinjaValue& key, JinjaValue value);

 private:
  size_t position(size_t hash, const JinjaValue& key) const;
};

}  // namespace pare
