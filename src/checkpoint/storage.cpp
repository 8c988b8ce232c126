#include "checkpoint/storage.h"

#include <algorithm>
#include <iterator>
#include <optional>

#include "io/checks.h"

namespace pare {
namespace {

constexpr std::string_view kWhat = "config.json: quantization_config";
constexpr const char* kOwnMethod = "pare";
constexpr const char* kCompressedTensors = "compressed-tensors";
// Version 1 states patterns alone, which programs that know nothing else read too; version 2 also formats.
constexpr int64_t kPatterns = 1;
constexpr int64_t kFormats = 2;

// Returns an object below `key`, null when it is not there, null or empty.
const Json* find_object(const Json& json, const char* key, std::string_view what) {
  const auto it = json.find(key);
  if (it == json.end() || it->is_null()) return nullptr;
  if (!it->is_object())
    fail(ErrorCode::kFormat, "{}: \"{}\" is {}, expected an object", what, key, it->type_name());
  return it->empty() ? nullptr : &*it;
}

// Reads a pattern alone, or a format of codes or blocks.
WeightFormat read_format(const std::string& tensor, const Json& text) {
  if (text == "dense") return {};
  try {
    if (text.is_string()) {
      const auto& name = text.get_ref<const std::string&>();
      if (name.find('-') == std::string::npos && name.find(':') != std::string::npos)
        return {parse_pattern(name), Encoding::kF32};
      if (const WeightFormat format = parse_format(name); !is_float(format.encoding)) return format;
    }
  } catch (const Error&) {  // an option's error, thrown again below as the file's
  }
  fail(ErrorCode::kFormat,
       "{}: the pattern of tensor \"{}\" is {}, expected \"dense\", N:M with 1 <= N < M <= {} or a format "
       "like \"int4-g32\" or \"q4n\"",
       kWhat, printable(tensor), printable(text.dump()), kMaxGroup);
}

Storage read_packed(const Json& object) {
  const auto format = json_get<std::string>(object, "format", kWhat);
  const auto version = json_get<int64_t>(object, "version", kWhat);
  if (format != storage_format_name(StorageFormat::kPacked) || (version != kPatterns && version != kFormats))
    fail(ErrorCode::kUnsupported,
         "{}: format \"{}\" of version {}; this pare reads \"packed\" of version {} and {}", kWhat,
         printable(format), version, kPatterns, kFormats);
  Storage storage{StorageFormat::kPacked, {}, {}};
  const Json* tensors = find_object(object, "tensors", kWhat);
  if (tensors == nullptr) fail(ErrorCode::kFormat, "{}: \"tensors\" is missing or empty", kWhat);
  for (const auto& [name, text] : tensors->items()) storage.packed[name] = read_format(name, text);
  return storage;
}

// Throws kUnsupported unless a key has a value: null stands for a missing one.
void require_value(const Json& object, const char* key, const Json& wanted, std::string_view what) {
  const Json value = object.value(key, Json());
  if (value != wanted)
    fail(ErrorCode::kUnsupported, "{}: \"{}\" is {}; pare reads pack-quantized weights where it is {}", what,
         key, printable(value.dump()), wanted.dump());
}

// Reads how the weights of one of "config_groups" are quantised.
WeightFormat read_group(const Json& group, const std::string& what) {
  for (const char* key : {"input_activations", "output_activations"})
    require_value(group, key, nullptr, what);
  const Json* weights = find_object(group, "weights", what);
  if (weights == nullptr) fail(ErrorCode::kFormat, "{}: \"weights\" is missing or empty", what);
  const std::string own = what + ": weights";
  require_value(*weights, "num_bits", 4, own);
  require_value(*weights, "type", "int", own);
  require_value(*weights, "symmetric", true, own);
  const auto strategy = json_get<std::string>(*weights, "strategy", own);
  if (strategy == "channel") return Encoding::kInt4;
  if (strategy != "group")
    fail(ErrorCode::kUnsupported, "{}: the strategy \"{}\" is not supported, only group and channel", own,
         printable(strategy));
  const auto size = json_get<int64_t>(*weights, "group_size", own);
  if (std::find(std::begin(kScaleGroups), std::end(kScaleGroups), size) == std::end(kScaleGroups))
    fail(ErrorCode::kUnsupported, "{}: groups of {} columns are not supported, only of {}", own, size,
         fmt::join(kScaleGroups, ", "));
  return {kDense, Encoding::kInt4, static_cast<int32_t>(size)};
}

// Reads quantised weights of compressed-tensors.
Storage read_quantized(const Json& object, const Json& groups) {
  require_value(object, "format", storage_format_name(StorageFormat::kPackQuantized), kWhat);
  require_value(object, "kv_cache_scheme", nullptr, kWhat);
  if (const Json* sparsity = find_object(object, "sparsity_config", kWhat))
    require_value(*sparsity, "format", storage_format_name(StorageFormat::kPlain), kWhat);
  std::optional<WeightFormat> format;
  for (const auto& [name, group] : groups.items()) {
    const std::string what = fmt::format("{}: {}", kWhat, printable(name));
    if (!group.is_object()) fail(ErrorCode::kFormat, "{}: expected an object", what);
    const WeightFormat own = read_group(group, what);
    if (format.value_or(own) != own)
      fail(ErrorCode::kUnsupported, "{}: groups of different formats, {} and {}, are not supported", kWhat,
           format_name(*format), format_name(own));
    format = own;
  }
  return {StorageFormat::kPackQuantized, {}, *format};
}

Storage read_compressed_tensors(const Json& object) {
  if (find_object(object, "transform_config", kWhat) != nullptr)
    fail(ErrorCode::kUnsupported, "{}: compressed-tensors with \"transform_config\" is not supported", kWhat);
  if (const Json* groups = find_object(object, "config_groups", kWhat))
    return read_quantized(object, *groups);
  const Json* sparsity = find_object(object, "sparsity_config", kWhat);
  if (sparsity == nullptr) return {};
  const auto format = json_get<std::string>(*sparsity, "format", kWhat);
  if (format == storage_format_name(StorageFormat::kPlain)) return {};
  if (format != storage_format_name(StorageFormat::kSparse24Bitmask))
    fail(ErrorCode::kUnsupported,
         "{}: the sparsity format \"{}\" is not supported, only dense and sparse-24-bitmask", kWhat,
         printable(format));
  return {StorageFormat::kSparse24Bitmask, {}, {}};
}

// Returns whether MLX wrote the object: it names no method, and stands under "quantization", alone or too.
bool is_mlx(const Json& object) {
  return !object.contains("quant_method") && object.contains("group_size") && object.contains("bits");
}

}  // namespace

Storage read_storage(const Json& config) {
  const Json* object =
      config.is_object() ? find_object(config, "quantization_config", "config.json") : nullptr;
  if (object == nullptr && config.is_object()) object = find_object(config, "quantization", "config.json");
  if (object == nullptr) return {};
  if (is_mlx(*object))
    fail(ErrorCode::kUnsupported,
         "config.json: the weights are quantised by MLX, which pare does not read: take the original model");
  const auto method = json_get<std::string>(*object, "quant_method", kWhat);
  if (method == kOwnMethod) return read_packed(*object);
  if (method == kCompressedTensors) return read_compressed_tensors(*object);
  fail(ErrorCode::kUnsupported, "{}: quant_method \"{}\" is not supported", kWhat, printable(method));
}

Json packed_config(const std::map<std::string, WeightFormat>& packed, const std::vector<std::string>& int8) {
  Json tensors = Json::object();
  int64_t version = kPatterns;
  for (const auto& [name, format] : packed) {
    // A pattern alone is enough for floats and int8 with a scale a row: their tensors tell the rest.
    const bool pattern_alone =
        is_float(format.encoding) || format.in(kDense) == WeightFormat(Encoding::kInt8);
    tensors[name] = pattern_alone ? pattern_name(format.pattern) : format_name(format);
    if (!pattern_alone) version = kFormats;
  }
  return {{"quant_method", kOwnMethod},
          {"format", storage_format_name(StorageFormat::kPacked)},
          {"version", version},
          {"tensors", tensors},
          {"int8", int8}};
}

Json bitmask_config(const std::vector<std::string>& dense) {
  return {{"quant_method", kCompressedTensors},
          {"format", "dense"},
          {"quantization_status", "frozen"},
          {"config_groups", Json::object()},
          {"ignore", Json::array()},
          {"sparsity_config",
           {{"format", storage_format_name(StorageFormat::kSparse24Bitmask)},
            {"targets", Json::array({"Linear"})},
            {"ignore", dense},
            {"global_sparsity", 0.5},
            {"sparsity_structure", pattern_name(k2of4)}}}};
}

Json pack_quantized_config(const WeightFormat& format, const std::vector<std::string>& dense) {
  const Json weights = {{"num_bits", 4},
                        {"type", "int"},
                        {"symmetric", true},
                        {"strategy", "group"},
                        {"group_size", format.group},
                        {"dynamic", false},
                        {"actorder", nullptr}};
  const Json group = {{"targets", Json::array({"Linear"})},
                      {"weights", weights},
                      {"input_activations", nullptr},
                      {"output_activations", nullptr}};
  return {{"quant_method", kCompressedTensors},
          {"format", storage_format_name(StorageFormat::kPackQuantized)},
          {"quantization_status", "compressed"},
          {"config_groups", {{"group_0", group}}},
          {"ignore", dense},
          {"kv_cache_scheme", nullptr}};
}

}  // namespace pare
