#include "compress/resume/stage_file.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/json.h"
#include "checkpoint/tensor_table.h"
#include "io/safetensors.h"
#include "io/stored_weight.h"
#include "model/visit.h"

namespace pare {
namespace {

constexpr const char* kNorm = "norm";
constexpr const char* kNormBias = "norm.bias";
constexpr const char* kSkip = "skip";
constexpr const char* kMatrix = "matrix";

std::string bias_name(Role role) { return fmt::format("{}.bias", role_name(role)); }

// Calls visit(role, norm) for the norms of queries and keys, which are trained with their stage.
template <typename StageT, typename Visit>
void for_each_head_norm(StageT& stage, Visit&& visit) {
  for (auto& branch : stage.branches)
    if (auto* a = std::get_if<Attention>(&branch)) {
      visit(Role::kQueryNorm, a->q_norm);
      visit(Role::kKeyNorm, a->k_norm);
    }
}

// The contents of a file: tensors, and the formats of matrices that take several.
struct Contents {
  std::vector<std::pair<TensorPlan, Weight>> tensors;
  SafetensorsMetadata formats;
};

void write(const std::filesystem::path& path, const Contents& contents) {
  std::vector<TensorPlan> plan;
  for (const auto& tensor : contents.tensors) plan.push_back(tensor.first);
  SafetensorsWriter writer(path, plan, contents.formats);
  for (const auto& [tensor, weight] : contents.tensors) writer.write(tensor.name, weight);
  writer.commit();
}

// Adds a matrix: floats in `dtype`, codes and blocks as they are.
void add(Contents& contents, const std::string& name, const Weight& weight, Encoding dtype) {
  if (weight.empty()) return;
  if (is_float(weight.format.encoding)) {
    contents.tensors.push_back({{name, dtype, {weight.rows, weight.cols}}, weight});
    return;
  }
  for (const PartPlan& part :
       plan_parts(StorageFormat::kPacked, name, weight.rows, weight.cols, weight.format))
    contents.tensors.emplace_back(part.tensor, part_of(weight, part.kind));
  const Json format = {{"format", format_name(weight.format)}, {"rows", weight.rows}, {"cols", weight.cols}};
  contents.formats.emplace_back(name, format.dump());
}

void add(Contents& contents, const std::string& name, const std::vector<float>& values) {
  if (values.empty()) return;
  contents.tensors.push_back(
      {{name, Encoding::kF32, {static_cast<int64_t>(values.size())}}, vector_weight(values)});
}

// The tensors of one file.
struct Source {
  std::filesystem::path path;
  SafetensorsFile file = read_safetensors(path);

  const TensorInfo* find(const std::string& name) const {
    const auto it = file.tensors.find(name);
    return it == file.tensors.end() ? nullptr : &it->second;
  }
  // Returns the format of a matrix of several tensors; null for one of a single tensor.
  const std::string* find_format(const std::string& name) const {
    const auto it = std::find_if(file.metadata.begin(), file.metadata.end(),
                                 [&](const auto& entry) { return entry.first == name; });
    return it == file.metadata.end() ? nullptr : &it->second;
  }
  bool has_matrix(const std::string& name) const {
    return find(name) != nullptr || find_format(name) != nullptr;
  }
  Weight matrix(const std::string& name) const {
    const std::string what = path.string();
    if (const std::string* text = find_format(name)) {
      const Json format = parse_json(*text, what);
      std::set<std::string> used;
      return packed_matrix({what, file.tensors, file.skipped}, name, json_get<int64_t>(format, "rows", what),
                           json_get<int64_t>(format, "cols", what),
                           parse_format(json_get<std::string>(format, "format", what)), used);
    }
    const TensorInfo& tensor = find_tensor(file.tensors, file.skipped, name, what);
    if (tensor.shape.size() != 2) fail(ErrorCode::kFormat, "{}: \"{}\" is no matrix", what, name);
    return as_weight(tensor, tensor.shape[0], tensor.shape[1]);
  }
  std::vector<float> vector(const std::string& name) const {
    const TensorInfo* tensor = find(name);
    if (tensor == nullptr) return {};
    if (tensor->shape.size() != 1) fail(ErrorCode::kFormat, "{}: \"{}\" is no vector", path.string(), name);
    return as_vector(*tensor, tensor->shape[0]);
  }
};

}  // namespace

void write_stage(const std::filesystem::path& path, const Stage& stage, Encoding dtype) {
  Contents contents;
  add(contents, kNorm, stage.norm.weight);
  add(contents, kNormBias, stage.norm.bias);
  for_each_linear(stage, [&](Role role, const Linear& linear) {
    add(contents, std::string(role_name(role)), linear.weight, dtype);
    add(contents, bias_name(role), linear.bias);
  });
  for_each_head_norm(stage, [&](Role role, const Norm& norm) {
    add(contents, std::string(role_name(role)), norm.weight);
    add(contents, bias_name(role), norm.bias);
  });
  add(contents, kSkip, stage.skip, dtype);
  write(path, contents);
}

Stage read_stage(const std::filesystem::path& path, const Stage& like) {
  const Source source{path};
  Stage stage = like;
  stage.norm.weight = source.vector(kNorm);
  stage.norm.bias = source.vector(kNormBias);
  for_each_linear(stage, [&](Role role, Linear& linear) {
    linear.weight = source.matrix(std::string(role_name(role)));
    linear.bias = source.vector(bias_name(role));
  });
  for_each_head_norm(stage, [&](Role role, Norm& norm) {
    norm.weight = source.vector(std::string(role_name(role)));
    norm.bias = source.vector(bias_name(role));
  });
  for (Branch& branch : stage.branches)
    if (auto* a = std::get_if<Attention>(&branch)) a->value_head_dim = a->v.weight.rows / a->kv_heads;
  stage.skip = source.has_matrix(kSkip) ? source.matrix(kSkip) : Weight{};
  return stage;
}

void write_weight(const std::filesystem::path& path, const Weight& weight, Encoding dtype) {
  Contents contents;
  add(contents, kMatrix, weight, dtype);
  write(path, contents);
}

Weight read_weight(const std::filesystem::path& path) { return Source{path}.matrix(kMatrix); }

}  // namespace pare
