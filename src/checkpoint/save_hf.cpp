#include <algorithm>

#include "base/atomic_file.h"
#include "base/log.h"
#include "base/words.h"
#include "checkpoint/hf_modeling.h"
#include "checkpoint/other_keys.h"
#include "checkpoint/save.h"
#include "checkpoint/storage.h"
#include "checkpoint/tensor_table.h"
#include "model/visit.h"
#include "tensor/sparse_weight.h"

namespace pare {
namespace {

constexpr int64_t kShown = 4;  // names in a message

// Returns the type in which all but codes and blocks is written.
Encoding float_encoding(Encoding current, const std::optional<WeightFormat>& dtype) {
  if (dtype && is_float(dtype->encoding)) return dtype->encoding;
  return is_float(current) ? current : Encoding::kBF16;
}

bool is_block_linear(Role role) { return reads_residual(role) || writes_residual(role); }

// Returns whether a matrix takes a type of codes or blocks. Those of blocks are for tables of tokens too.
bool takes(const WeightFormat& dtype, const Weight& weight, Role role) {
  if (is_code(dtype.encoding)) return is_block_linear(role);
  return (is_block_linear(role) || role == Role::kEmbedding || role == Role::kHead) &&
         misfit(dtype, weight.cols).empty();
}

// Chooses the format of a matrix's values, dense.
WeightFormat choose_values(const Weight& weight, Role role, const SaveOptions& options) {
  const std::optional<WeightFormat>& dtype = options.dtype;
  const bool packed = options.format == StorageFormat::kPacked;
  if (dtype && !is_float(dtype->encoding) && takes(*dtype, weight, role)) return *dtype;
  if (packed && !is_float(weight.format.encoding) && (!dtype || !is_float(dtype->encoding)))
    return weight.format.in(kDense);
  return float_encoding(weight.format.encoding, dtype);
}

// What lay_out() may look at to find formats.
enum class Reading { kValues, kFormats };

// Chooses the format in which a matrix is written.
WeightFormat choose(const Weight& weight, Role role, const SaveOptions& options,
                    Reading reading = Reading::kValues) {
  const WeightFormat dense = choose_values(weight, role, options);
  if (options.format == StorageFormat::kPlain || options.format == StorageFormat::kPackQuantized)
    return dense;
  const bool linear = is_block_linear(role);
  const auto if_storable = [&](Pattern wanted) { return can_store(weight, wanted) ? wanted : kDense; };
  Pattern pattern = weight.format.pattern;
  if (options.format == StorageFormat::kSparse24Bitmask)
    pattern = linear ? if_storable(k2of4) : kDense;
  else if (linear && options.pattern)
    pattern = if_storable(*options.pattern);
  else if (linear && pattern.dense() && reading == Reading::kValues)
    pattern = measure_sparsity(weight, dense.encoding).pattern;
  return misfit(dense.in(pattern), weight.cols).empty() ? dense.in(pattern) : dense;
}

// Returns the type in which other programs compute with the model: that of the embedding where it is floats.
Encoding main_type(const Model& model, const SaveOptions& options) {
  const Encoding embedding = choose(model.embedding, Role::kEmbedding, options).encoding;
  return is_float(embedding) ? embedding : Encoding::kBF16;
}

Weight converted(const Weight& weight, const WeightFormat& target, const std::string& name) {
  const bool plain = weight.format.pattern.dense() && target.pattern.dense() && is_float(target.encoding);
  if (plain) return weight;  // the writer converts it a piece at a time
  Weight result = to_format(weight, target, name);
  if (!result.mapped) release_pages(weight);
  return result;
}

// Returns the model's main type if it holds these values exactly, else f32.
Encoding vector_encoding(const std::vector<float>& values, Encoding wanted) {
  std::vector<std::byte> bytes(values.size() * sizeof(float));
  std::vector<float> back(values.size());
  encode_values(wanted, values.data(), static_cast<int64_t>(values.size()), bytes.data());
  decode_values(wanted, bytes.data(), static_cast<int64_t>(values.size()), back.data());
  return std::equal(values.begin(), values.end(), back.begin()) ? wanted : Encoding::kF32;
}

std::string module_name(const std::string& tensor) {
  return tensor.substr(0, tensor.size() - std::string_view(".weight").size());
}

// Chooses the architecture that the folder names. Other programs would take a plain family member without its
// matrices for one with random weights, so that packed ones are `pare`, which only pare's own code
// loads. compressed-tensors needs to find the family; of sparse-24-bitmask as far as pare's code can load it
// under its names too.
const Architecture& folder_architecture(const Model& model, StorageFormat format) {
  const Architecture& own = architecture_of(model);
  if (format == StorageFormat::kPlain || format == StorageFormat::kPackQuantized) return own;
  const bool common_names = own.names.data() == pare_architecture().names.data();
  return format == StorageFormat::kSparse24Bitmask && common_names ? own : pare_architecture();
}

// The tensors of a folder, and what its config says about them. Refers to the model.
struct Layout {
  const Architecture& architecture;
  TensorTable table = {};
  std::map<std::string, WeightFormat> packed = {};  // matrices that are stored in parts
  std::vector<std::string> int8 = {};               // packed matrices that are int8 with a scale a row
  std::vector<std::string> dense = {};              // linear layers that are one tensor, as modules
};

Layout lay_out(const Model& model, const SaveOptions& options, Reading reading = Reading::kValues) {
  const Architecture& architecture = folder_architecture(model, options.format);
  const Encoding vector_type = main_type(model, options);
  Layout layout{architecture};
  const auto add_matrix = [&](const TensorPlace& place, const Weight& weight) {
    const std::string name = hf_name(architecture, place);
    const WeightFormat target = choose(weight, place.role, options, reading);
    if (reading == Reading::kValues) release_pages(weight);
    if (const std::string reason = misfit(target, weight.cols); !reason.empty())
      fail(ErrorCode::kInvalid, "\"{}\" {}", name, reason);
    const auto parts = plan_parts(options.format, name, weight.rows, weight.cols, target);
    for (const PartPlan& part : parts)
      layout.table.add(part.tensor.name, part.tensor.shape, part.tensor.encoding,
                       [&weight, target, name, kind = part.kind] {
                         return part_of(converted(weight, target, name), kind);
                       });
    if (parts.front().kind != PartKind::kWhole) {
      layout.packed[name] = target;
      if (target.in(kDense) == WeightFormat(Encoding::kInt8)) layout.int8.push_back(name);
    }
    const bool table = place.role == Role::kEmbedding || place.role == Role::kPositions;
    if (parts.front().kind == PartKind::kWhole && !table) layout.dense.push_back(module_name(name));
  };
  for_each_tensor(model, add_matrix, [&](const TensorPlace& place, const std::vector<float>& values) {
    layout.table.add(hf_name(architecture, place), {static_cast<int64_t>(values.size())},
                     vector_encoding(values, vector_type), [&values] { return vector_weight(values); });
  });
  if (model.head.empty())
    layout.dense.push_back(module_name(hf_name(architecture, {Role::kHead, -1, false})));
  sort_like_safetensors(layout.table.plan());
  return layout;
}

// Says which matrices did not become blocks because their rows do not divide into them.
void warn_of_misfits(const Model& model, const Layout& layout, const SaveOptions& options) {
  if (!options.dtype || !is_block_encoding(options.dtype->encoding)) return;
  FirstNames names(kShown);
  for_each_tensor(
      model,
      [&](const TensorPlace& place, const Weight& weight) {
        if (!misfit(*options.dtype, weight.cols).empty()) names.add(hf_name(layout.architecture, place));
      },
      [](const TensorPlace&, const std::vector<float>&) {});
  if (names.count() > 0)
    log_warning("{} matrices with rows that do not divide into blocks of {} stay floats: {}", names.count(),
                format_name(*options.dtype), names.text());
}

// Returns the format that all linears of the layers have; nothing when they differ.
std::optional<WeightFormat> format_of_linears(const Model& model) {
  std::optional<WeightFormat> format;
  bool alike = true;
  for_each_tensor(
      model,
      [&](const TensorPlace& place, const Weight& weight) {
        if (!is_block_linear(place.role)) return;
        alike = alike && format.value_or(weight.format) == weight.format;
        format = weight.format;
      },
      [](const TensorPlace&, const std::vector<float>&) {});
  return alike ? format : std::nullopt;
}

// The options with the one format of int4 that the linears of a pack-quantized folder have.
SaveOptions with_one_format(const Model& model, SaveOptions options) {
  if (options.format != StorageFormat::kPackQuantized) return options;
  if (!options.dtype) options.dtype = format_of_linears(model);
  const WeightFormat format = options.dtype.value_or(Encoding::kF32);
  if (format.encoding != Encoding::kInt4 || !format.pattern.dense() || format.zero_points ||
      format.group == 0)
    fail(ErrorCode::kUsage, "the format {} needs a type: int4-g32, int4-g64 or int4-g128",
         storage_format_name(options.format));
  options.dtype->scale_type = main_type(model, options);
  return options;
}

void check_options(const SaveOptions& options) {
  const bool packed = options.format == StorageFormat::kPacked;
  const bool quantized = options.format == StorageFormat::kPackQuantized;
  if (options.dtype && !is_float(options.dtype->encoding) && !packed && !quantized)
    fail(ErrorCode::kUsage, "{} needs the format packed: {} folders are f32, f16 or bf16",
         format_name(*options.dtype), storage_format_name(options.format));
  if (options.pattern && !packed)
    fail(ErrorCode::kUsage, "a pattern needs the format packed, not {}", storage_format_name(options.format));
}

// Reports linears that were to be packed and stay dense: none may do so unnoticed.
void report_packed(const Model& model, const Layout& layout, const SaveOptions& options) {
  if (options.format == StorageFormat::kPlain || options.format == StorageFormat::kPackQuantized) return;
  FirstNames dense(kShown);
  int64_t linears = 0;
  for_each_tensor(
      model,
      [&](const TensorPlace& place, const Weight&) {
        if (!is_block_linear(place.role)) return;
        ++linears;
        const std::string name = hf_name(layout.architecture, place);
        const auto it = layout.packed.find(name);
        if (it == layout.packed.end() || it->second.pattern.dense()) dense.add(module_name(name));
      },
      [](const TensorPlace&, const std::vector<float>&) {});
  std::string what = "in an N:M pattern that saves space";
  if (options.format == StorageFormat::kSparse24Bitmask) what = "2:4";
  if (options.pattern) what = pattern_name(*options.pattern);
  const bool needs_pattern = options.pattern || options.format == StorageFormat::kSparse24Bitmask;
  if (layout.packed.empty() || (needs_pattern && dense.count() == linears))
    fail(ErrorCode::kInvalid, "nothing to pack: none of the {} linears is {}", linears, what);
  if (dense.count() > 0 && dense.count() < linears)
    log_warning("{} of {} linears are not {} and stay dense: {}", dense.count(), linears, what, dense.text());
}

}  // namespace

bool needs_own_code(const Model& model, StorageFormat format) {
  return &folder_architecture(model, format) == &pare_architecture() ||
         format == StorageFormat::kSparse24Bitmask;
}

bool is_plain(const Model& model) {
  return architecture_named(model.config.architecture).is_plain(model.config);
}

int64_t planned_hf_bytes(const Model& original, const SaveOptions& wanted) {
  const SaveOptions options = with_one_format(original, wanted);
  Model model = original;
  add_missing_norms(model);
  return static_cast<int64_t>(
      model_tensors_bytes(lay_out(model, options, Reading::kFormats).table.plan(), options.max_shard_bytes));
}

void save_hf(const Model& original, const std::filesystem::path& folder, const SaveOptions& wanted) {
  check_options(wanted);
  const SaveOptions options = with_one_format(original, wanted);
  Model model = original;
  add_missing_norms(model);
  Layout layout = lay_out(model, options);
  warn_of_misfits(model, layout, options);
  report_packed(model, layout, options);
  write_model_tensors(
      folder, layout.table.plan(), [&](const TensorPlan& plan) { return layout.table.weight(plan.name); },
      options.max_shard_bytes);
  Json config = layout.architecture.write_config(model.config);
  if (needs_own_code(model, options.format)) {
    for (const ModelingFile& file : hf_modeling_files()) write_file(folder / file.name, file.text);
    const Json own = pare_architecture().write_config(model.config);
    for (const char* key : {"auto_map", "pare"}) config[key] = own.at(key);
  }
  add_other_keys(model.config.other_keys, config);
  const Encoding type = main_type(model, options);
  config["torch_dtype"] = type == Encoding::kF32   ? "float32"
                          : type == Encoding::kF16 ? "float16"
                                                   : "bfloat16";
  if (options.format == StorageFormat::kPacked)
    config["quantization_config"] = packed_config(layout.packed, layout.int8);
  if (options.format == StorageFormat::kPackQuantized)
    config["quantization_config"] = pack_quantized_config(*options.dtype, layout.dense);
  if (options.format == StorageFormat::kSparse24Bitmask) {
    config["quantization_config"] = bitmask_config(layout.dense);
    log_info(
        "sparse-24-bitmask: compressed-tensors 0.9 to 0.14 read it; later ones leave the sparse linears "
        "random, "
        "so that transformers has to load the folder with trust_remote_code=True");
  }
  write_file(folder / "config.json", config.dump(2) + "\n");
}

}  // namespace pare
