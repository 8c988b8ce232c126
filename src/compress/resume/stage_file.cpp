#include "compress/resume/stage_file.h"

#include <utility>

#include "io/safetensors.h"
#include "model/visit.h"

namespace pare {
namespace {

constexpr const char* kNorm = "norm";
constexpr const char* kNormBias = "norm.bias";
constexpr const char* kSkip = "skip";
constexpr const char* kMatrix = "matrix";

std::string bias_name(Role role) { return fmt::format("{}.bias", role_name(role)); }

Weight vector_weight(const std::vector<float>& values) {
  const auto n = static_cast<int64_t>(values.size());
  return Weight::from_matrix(MatrixView<const float>{values.data(), 1, n, n});
}

using NamedWeights = std::vector<std::pair<TensorPlan, Weight>>;

void write(const std::filesystem::path& path, const NamedWeights& tensors) {
  std::vector<TensorPlan> plan;
  for (const auto& tensor : tensors) plan.push_back(tensor.first);
  SafetensorsWriter writer(path, plan);
  for (const auto& [tensor, weight] : tensors) writer.write(tensor.name, weight);
  writer.commit();
}

void add(NamedWeights& tensors, const std::string& name, const Weight& weight, Encoding dtype) {
  if (!weight.empty()) tensors.push_back({{name, dtype, {weight.rows, weight.cols}}, weight});
}

void add(NamedWeights& tensors, const std::string& name, const std::vector<float>& values) {
  if (values.empty()) return;
  tensors.push_back({{name, Encoding::kF32, {static_cast<int64_t>(values.size())}}, vector_weight(values)});
}

// The tensors of one file.
struct Source {
  std::filesystem::path path;
  SafetensorsFile file = read_safetensors(path);

  const TensorInfo* find(const std::string& name) const {
    const auto it = file.tensors.find(name);
    return it == file.tensors.end() ? nullptr : &it->second;
  }
  Weight matrix(const std::string& name) const {
    const TensorInfo& tensor = find_tensor(file.tensors, file.skipped, name, path.string());
    if (tensor.shape.size() != 2) fail(ErrorCode::kFormat, "{}: \"{}\" is no matrix", path.string(), name);
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
  NamedWeights tensors;
  add(tensors, kNorm, stage.norm.weight);
  add(tensors, kNormBias, stage.norm.bias);
  for_each_linear(stage, [&](Role role, const Linear& linear) {
    add(tensors, std::string(role_name(role)), linear.weight, dtype);
    add(tensors, bias_name(role), linear.bias);
  });
  add(tensors, kSkip, stage.skip, dtype);
  write(path, tensors);
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
  for (Branch& branch : stage.branches)
    if (auto* a = std::get_if<Attention>(&branch)) a->value_head_dim = a->v.weight.rows / a->kv_heads;
  stage.skip = source.find(kSkip) == nullptr ? Weight{} : source.matrix(kSkip);
  return stage;
}

void write_weight(const std::filesystem::path& path, const Weight& weight, Encoding dtype) {
  NamedWeights tensors;
  add(tensors, kMatrix, weight, dtype);
  write(path, tensors);
}

Weight read_weight(const std::filesystem::path& path) { return Source{path}.matrix(kMatrix); }

}  // namespace pare
