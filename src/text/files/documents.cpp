#include "text/files/documents.h"

#include <algorithm>
#include <cctype>

#include "base/hash.h"
#include "base/log.h"
#include "text/files/delimited.h"
#include "text/files/json_records.h"
#include "text/files/text_file.h"

namespace pare {
namespace {

constexpr std::string_view kTextFields[] = {"text", "content"};

// Runs of ASCII without white space that are longer than a line of encoded data, or than any word of a text.
constexpr size_t kLongRun = 60;
constexpr size_t kEndlessRun = 1000;

bool begins_with(std::string_view text, std::string_view lower) {
  return text.size() >= lower.size() &&
         std::equal(lower.begin(), lower.end(), text.begin(),
                    [](char a, char b) { return a == std::tolower(static_cast<unsigned char>(b)); });
}

bool is_json(std::string_view text) {
  try {
    parse_json(text, "text");
    return true;
  } catch (const Error&) {
    return false;
  }
}

// Records, or a list of them: what begins otherwise, and brackets that are no JSON (code, LaTeX), are plain
// text. Throws kFormat where the text is JSON of another kind.
bool holds_records(std::string_view text, std::string_view what) {
  if (is_json_list(text)) return true;
  const size_t open = text.find_first_not_of(" \t\r\n");
  if (open == std::string_view::npos) return false;
  if (text[open] == '[' && is_json(text))
    fail(ErrorCode::kFormat, "{} is a JSON list of something else than records with a \"text\" each", what);
  if (text[open] != '{') return false;
  const size_t next = text.find_first_not_of(" \t\r\n", open + 1);
  return next != std::string_view::npos && text[next] == '"';
}

std::string field_names(const Json& record) {
  std::string names;
  for (const auto& member : record.items())
    names += fmt::format("{}{}", names.empty() ? "" : ", ", member.key());
  return names.substr(0, 200);
}

// The text of a record; empty where the field is null.
std::string text_of_record(const Json& record, std::string_view where) {
  if (!record.is_object())
    fail(ErrorCode::kFormat, "{}: expected a JSON object, got {}", where, record.type_name());
  for (const std::string_view field : kTextFields) {
    const auto it = record.find(std::string(field));
    if (it == record.end()) continue;
    if (it->is_null()) return {};
    if (!it->is_string())
      fail(ErrorCode::kFormat, "{}: \"{}\" is not a text but {}", where, field, it->type_name());
    auto text = it->get<std::string>();
    if (text.find('\0') != std::string::npos)
      fail(ErrorCode::kFormat, "{}: \"{}\" holds a NUL character", where, field);
    return text;
  }
  fail(ErrorCode::kFormat,
       "{}: no field \"text\" or \"content\" among {}: rename the one that holds the text to \"text\"", where,
       field_names(record));
}

struct RunBytes {
  size_t all = 0;
  size_t in_long = 0;
  size_t in_endless = 0;
};

void count_runs(std::string_view text, RunBytes& bytes) {
  bytes.all += text.size();
  size_t run = 0;
  const auto finish = [&] {
    if (run > kLongRun) bytes.in_long += run;
    if (run > kEndlessRun) bytes.in_endless += run;
    run = 0;
  };
  for (const char c : text) {
    if (c > ' ' && c <= '~')
      ++run;
    else
      finish();
  }
  finish();
}

void require_words(const Documents& documents) {
  RunBytes bytes;
  for (const std::string& text : documents.texts) count_runs(text, bytes);
  const auto percent = [&](size_t part) { return 100 * part / bytes.all; };
  if (bytes.in_endless > bytes.all / 2)
    fail(ErrorCode::kInvalid,
         "{} is no text to measure with: {} % of it are runs of more than {} characters without white space "
         "(encoded data, as base64?)",
         documents.source, percent(bytes.in_endless), kEndlessRun);
  if (bytes.in_long > bytes.all / 2)
    log_warning(
        "{}: {} % of it are runs of more than {} characters without white space; is it encoded data, not "
        "text?",
        documents.source, percent(bytes.in_long), kLongRun);
}

void warn_of_markup(const Documents& documents) {
  std::string_view start = documents.texts.front();
  start.remove_prefix(std::min(start.find_first_not_of(" \t\r\n"), start.size()));
  if (begins_with(start, "<!doctype html") || begins_with(start, "<html") || begins_with(start, "<?xml"))
    log_warning("{} looks like a web page or XML: its tags are taken as text", documents.source);
}

// A table with a column that records would have their text in is a data set; any other may be meant as it is.
void refuse_table(const Documents& documents) {
  const std::optional<DelimitedTable> table = find_table(documents.texts.front());
  if (!table) return;
  const char* kind = table->delimiter == '\t' ? "TSV" : "CSV";
  const std::string columns = fmt::format("{}", fmt::join(table->columns, ", ")).substr(0, 200);
  const char* separator = table->delimiter == '\t'  ? ", sep=\"\\t\""
                          : table->delimiter == ';' ? ", sep=\";\""
                                                    : "";
  const std::string advice = fmt::format(
      "as lines of JSON its texts are read, with pandas: read_csv(FILE{}).to_json(OUT, orient=\"records\", "
      "lines=True)",
      separator);
  const bool has_text =
      std::any_of(std::begin(kTextFields), std::end(kTextFields), [&](std::string_view field) {
        return std::find(table->columns.begin(), table->columns.end(), field) != table->columns.end();
      });
  if (has_text)
    fail(ErrorCode::kFormat, "{} is no text but a table ({}) of {}: {}", documents.source, kind, columns,
         advice);
  log_warning("{} looks like a table ({}) of {}, which is taken as text; {}", documents.source, kind, columns,
              advice);
}

}  // namespace

Documents parse_documents(std::string text, std::string_view what) {
  Documents documents;
  documents.source = what;
  documents.sha256 = sha256_hex(text);
  documents.records = holds_records(text, what);
  if (documents.records) {
    for_each_record(text, what, [&](const Json& record, std::string_view where) {
      std::string own = text_of_record(record, where);
      if (!own.empty()) documents.texts.push_back(std::move(own));
      return true;
    });
  } else {
    documents.texts.push_back(std::move(text));
  }
  if (std::all_of(documents.texts.begin(), documents.texts.end(), [](const std::string& own) {
        return own.find_first_not_of(" \t\r\n\f\v") == std::string::npos;
      }))
    fail(ErrorCode::kFormat, "{} holds no text", what);
  require_words(documents);
  warn_of_markup(documents);
  if (!documents.records) refuse_table(documents);
  return documents;
}

Documents read_documents(const std::filesystem::path& path) {
  return parse_documents(read_text_file(path), path.string());
}

}  // namespace pare
