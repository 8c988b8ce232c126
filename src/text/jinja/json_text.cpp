// json.dumps of Python.
#include <algorithm>
#include <cmath>
#include <iterator>

#include "text/jinja/fault.h"
#include "text/jinja/python_text.h"
#include "text/jinja/value_ops.h"

namespace pare {
namespace {

class Writer {
 public:
  explicit Writer(const JinjaJsonStyle& style) : style_(style) {}

  JinjaString take() { return std::move(out_); }

  void write(const JinjaValue& value, int depth) {
    using Kind = JinjaValue::Kind;
    jinja_require_room(out_.size());
    switch (value.kind()) {
      case Kind::kNone:
        return out_.append("null");
      case Kind::kBool:
        return out_.append(value.as_bool() ? "true" : "false");
      case Kind::kInt:
        return out_.append(jinja_int_text(value.as_int()));
      case Kind::kFloat:
        return out_.append(float_text(value.as_float()));
      case Kind::kString:
        return quote(value.text());
      case Kind::kDict:
        return write_dict(value.entries(), depth);
      case Kind::kList:
        if (value.items().form == JinjaList::Form::kList || value.items().is_tuple())
          return write_list(value.items(), depth);
        break;
      case Kind::kUndefined:
      case Kind::kObject:
        break;
    }
    jinja_fault("Object of type {} is not JSON serializable", jinja_type_name(value));
  }

 private:
  static std::string float_text(double value) {
    if (std::isnan(value)) return "NaN";
    if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
    return jinja_float_repr(value);
  }

  void new_line(int depth) {
    if (!style_.has_indent) return;
    out_.append("\n");
    for (int i = 0; i < depth; ++i) out_.append(style_.indent);
    jinja_require_room(out_.size());
  }

  void write_list(const JinjaList& list, int depth) {
    if (list.items.empty()) return out_.append("[]");
    out_.append("[");
    for (size_t i = 0; i < list.items.size(); ++i) {
      if (i > 0) out_.append(style_.item_separator);
      new_line(depth + 1);
      write(list.items[i], depth + 1);
    }
    new_line(depth);
    out_.append("]");
  }

  void write_dict(const JinjaDict& dict, int depth) {
    if (dict.entries.empty()) return out_.append("{}");
    std::vector<const std::pair<JinjaValue, JinjaValue>*> entries;
    for (const auto& entry : dict.entries) entries.push_back(&entry);
    if (style_.sort_keys)
      std::stable_sort(entries.begin(), entries.end(),
                       [](const auto* a, const auto* b) { return jinja_less(a->first, b->first); });
    out_.append("{");
    for (const auto* entry : entries) {
      if (entry != entries.front()) out_.append(style_.item_separator);
      new_line(depth + 1);
      quote(key_text(entry->first));
      out_.append(style_.key_separator);
      write(entry->second, depth + 1);
    }
    new_line(depth);
    out_.append("}");
  }

  static JinjaString key_text(const JinjaValue& key) {
    if (key.is_string()) return key.text();
    if (key.is_none()) return JinjaString("null");
    if (key.is_bool()) return JinjaString(key.as_bool() ? "true" : "false");
    if (key.is_integer()) return JinjaString(jinja_int_text(key.as_int()));
    if (key.is_float()) return JinjaString(float_text(key.as_float()));
    jinja_fault("keys must be str, int, float, bool or None, not {}", jinja_type_name(key));
  }

  void append_escape(char32_t code) {
    const auto put = [&](uint32_t unit) { fmt::format_to(std::back_inserter(escaped_), "\\u{:04x}", unit); };
    if (code < 0x10000) return put(code);
    put(0xd800 + ((code - 0x10000) >> 10));
    put(0xdc00 + ((code - 0x10000) & 0x3ff));
  }

  void quote(const JinjaString& text) {
    out_.append("\"");
    text.for_each_run([&](size_t begin, size_t end, int32_t origin) {
      escaped_.clear();
      for (size_t pos = begin; pos < end;) {
        const PythonChar c = python_char_at(text.text(), pos);
        constexpr std::string_view kFrom = "\"\\\n\r\t\f\b";
        constexpr std::string_view kTo = "\"\\nrtfb";
        const size_t at =
            c.valid && c.code < 128 ? kFrom.find(static_cast<char>(c.code)) : std::string_view::npos;
        if (at != std::string_view::npos) {
          escaped_.push_back('\\');
          escaped_.push_back(kTo[at]);
        } else if (c.valid && (c.code < 0x20 || (style_.ensure_ascii && c.code > 127))) {
          append_escape(c.code);
        } else {
          escaped_.append(text.text(), c.begin, c.end - c.begin);
        }
        pos = c.end;
      }
      out_.append(escaped_, origin);
      jinja_require_room(out_.size());
    });
    out_.append("\"");
  }

  const JinjaJsonStyle& style_;
  JinjaString out_;
  std::string escaped_;
};

}  // namespace

JinjaString jinja_json(const JinjaValue& value, const JinjaJsonStyle& style) {
  Writer writer(style);
  writer.write(value, 0);
  return writer.take();
}

}  // namespace pare
