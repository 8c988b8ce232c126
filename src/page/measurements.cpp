#include "page/measurements.h"

#include <cmath>
#include <filesystem>

#include "base/json.h"
#include "base/log.h"
#include "base/mapped_file.h"

namespace pare {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxFileBytes = 64 << 20;
constexpr const char* kEval = "pare eval";
constexpr const char* kBench = "pare bench";

// Returns a path without "." and ".." and without a slash at its end.
fs::path plain_path(const std::string& path) {
  const fs::path normal = fs::path(path).lexically_normal();
  return normal.has_filename() ? normal : normal.parent_path();
}

// The settings under which all files of a kind have to agree, and the file that was first.
struct Settings {
  std::string file;
  Json values;
};

class Reader {
 public:
  explicit Reader(const std::vector<MeasuredModel>& models) : models_(models) {
    for (const MeasuredModel& model : models)
      result_.rows.push_back({.name = model.name, .is_given = true, .bytes = model.bytes});
    paths_.resize(models.size());
  }

  void read_eval(const std::string& file) {
    const Json report = read(file, kEval);
    const Json& text = member(report, "text");
    require_equal(eval_, file,
                  {{"text", member(text, "sha256")},
                   {"windows", member(text, "windows")},
                   {"seqlen", member(text, "seqlen")},
                   {"dtype", member(report, "dtype")}});
    if (result_.quality.empty() && text.is_object())
      result_.quality =
          fmt::format("{}: {} windows of {} tokens",
                      fs::path(json_get<std::string>(text, "path", file)).filename().string(),
                      json_get<int64_t>(text, "windows", file), json_get<int64_t>(text, "seqlen", file));
    bool is_first = true;
    for (const Json& json : report.at("models")) {
      const std::string what = row_name(file, json, kEval);
      const auto bytes = json_get<int64_t>(json, "bytes", what);
      if (bytes <= 0) fail(ErrorCode::kInvalid, "{}: \"bytes\" is {}, expected more than 0", what, bytes);
      MeasuredRow& row = row_of(json, what);
      if (row.is_given && *row.bytes != bytes)
        fail(ErrorCode::kInvalid, "{} was measured with {} bytes, but {} has {}: measure it again", what,
             bytes, row.name, *row.bytes);
      if (!row.is_given) set(row.bytes, std::optional(bytes), what, "bytes");
      set(row.perplexity, figure(json, "perplexity", what), what, "perplexity");
      set(row.kl, figure(json, "kl", what), what, "kl");
      set(row.top1, figure(json, "top1", what), what, "top1");
      set(row.tasks_mean, figure(json, "tasks_mean", what), what, "tasks_mean");
      if (is_first && row.kl == 0.0) take_baseline(row.name, file);
      is_first = false;
    }
  }

  void read_bench(const std::string& file) {
    const Json report = read(file, kBench);
    Json settings = Json::object();
    for (const char* key : {"dtype", "threads", "prefill", "decode", "depth"})
      settings[key] = member(report, key);
    require_equal(bench_, file, settings);
    if (result_.speed.empty() && settings["threads"].is_number_integer())
      result_.speed = fmt::format("{} threads, prompts of {} tokens, {} tokens decoded after {}",
                                  value(settings["threads"]), value(settings["prefill"]),
                                  value(settings["decode"]), value(settings["depth"]));
    for (const Json& json : report.at("models")) {
      const std::string what = row_name(file, json, kBench);
      MeasuredRow& row = row_of(json, what);
      for (auto [field, key] : {std::pair(&row.prefill, "prefill_tokens_per_second"),
                                std::pair(&row.decode, "decode_tokens_per_second")}) {
        const auto speed = json_get<double>(json, key, what);
        if (!(speed > 0.0) || !std::isfinite(speed))
          fail(ErrorCode::kInvalid, "{}: \"{}\" is {}, expected more than 0", what, key, speed);
        set(*field, std::optional(speed), what, key);
      }
    }
  }

  Measurements finish() && {
    for (const MeasuredRow& row : result_.rows) {
      if (row.kl && !row.decode && !bench_.file.empty())
        log_warning("{} has no row in the files of `pare bench`", row.name);
      if (!row.has_quality() && !eval_.file.empty())
        log_warning("{} has no row in the files of `pare eval`: it is in no plot", row.name);
    }
    return std::move(result_);
  }

 private:
  static const Json& member(const Json& object, const char* key) {
    static const Json kNone;
    return object.is_object() && object.contains(key) ? object.at(key) : kNone;
  }
  static std::string value(const Json& json) { return json.dump(); }

  static Json read(const std::string& file, const char* command) {
    Json report = parse_json(read_file(file, kMaxFileBytes), file);
    if (!member(report, "models").is_array())
      fail(ErrorCode::kFormat, "{} is not what `{}` prints as JSON: it has no list \"models\"", file,
           command);
    return report;
  }

  static std::string row_name(const std::string& file, const Json& json, const char* command) {
    if (!json.is_object())
      fail(ErrorCode::kFormat, "{} is not what `{}` prints as JSON: \"models\" holds something else", file,
           command);
    return fmt::format("{}: {}", file, json_get<std::string>(json, "path", file));
  }

  static std::optional<double> figure(const Json& json, const char* key, const std::string& what) {
    const auto found = json_find<double>(json, key, what);
    if (found && !std::isfinite(*found)) fail(ErrorCode::kInvalid, "{}: \"{}\" is {}", what, key, *found);
    return found;
  }

  // Files of a kind have the same settings, as far as they say.
  static void require_equal(Settings& first, const std::string& file, const Json& values) {
    if (first.file.empty()) {
      first = {file, values};
      return;
    }
    for (const auto& [key, own] : values.items()) {
      Json& other = first.values[key];
      if (!own.is_null() && !other.is_null() && own != other)
        fail(ErrorCode::kInvalid, "{} and {} do not compare: \"{}\" is {} and {}", first.file, file, key,
             value(other), value(own));
      if (other.is_null()) other = own;
    }
  }

  template <typename T>
  static void set(std::optional<T>& field, std::optional<T> found, const std::string& what, const char* key) {
    if (field && found && *field != *found)
      fail(ErrorCode::kInvalid,
           "{}: \"{}\" is {}, another row of this model has {}; leave one out, or measure all models in one "
           "run",
           what, key, *found, *field);
    if (found) field = found;
  }

  void take_baseline(const std::string& name, const std::string& file) {
    if (!result_.baseline.empty() && result_.baseline != name)
      fail(ErrorCode::kInvalid, "{}: KL is the distance from {}, in an earlier file from {}", file, name,
           result_.baseline);
    result_.baseline = name;
  }

  // Returns the one model of the path or else of the file name; none for other rows.
  std::optional<size_t> model_of(const fs::path& path, const std::string& what) const {
    std::optional<size_t> found;
    for (size_t m = 0; m < models_.size(); ++m)
      if (plain_path(models_[m].path) == path) return m;
    for (size_t m = 0; m < models_.size(); ++m) {
      if (plain_path(models_[m].path).filename() != path.filename()) continue;
      if (found) fail(ErrorCode::kInvalid, "{} may be {} or {}", what, models_[*found].path, models_[m].path);
      found = m;
    }
    return found;
  }

  MeasuredRow& row_of(const Json& json, const std::string& what) {
    const auto path = json_get<std::string>(json, "path", what);
    const auto program = json_find<std::string>(json, "program", what);
    if (!program)
      if (const auto model = model_of(plain_path(path), what)) return result_.rows[*model];
    for (size_t i = models_.size(); i < result_.rows.size(); ++i)
      if (paths_[i] == path) return result_.rows[i];
    if (!program) log_warning("{} is none of the models given: it is shown as a row of its own", what);
    result_.rows.push_back(
        {.name = program ? path : plain_path(path).filename().string(), .program = program.value_or("")});
    paths_.push_back(path);
    return result_.rows.back();
  }

  const std::vector<MeasuredModel>& models_;
  Measurements result_;
  std::vector<std::string> paths_;  // paths in the files of the rows behind the models
  Settings eval_;
  Settings bench_;
};

}  // namespace

Measurements read_measurements(const std::vector<MeasuredModel>& models,
                               const std::vector<std::string>& eval_files,
                               const std::vector<std::string>& bench_files) {
  Reader reader(models);
  for (const std::string& file : eval_files) reader.read_eval(file);
  for (const std::string& file : bench_files) reader.read_bench(file);
  return std::move(reader).finish();
}

}  // namespace pare
