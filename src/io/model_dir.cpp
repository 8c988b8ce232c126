#include "io/model_dir.h"

#include <algorithm>
#include <regex>
#include <set>

#include "base/checked_math.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mapped_file.h"
#include "io/checks.h"
#include "io/foreign_files.h"

namespace pare {
namespace {

namespace fs = std::filesystem;

constexpr const char* kSingle = "model.safetensors";
constexpr const char* kIndex = "model.safetensors.index.json";
constexpr uint64_t kMaxIndexBytes = 100'000'000;
constexpr size_t kMaxShardName = 256;

bool is_there(const fs::path& path) {
  std::error_code error;
  const bool found = fs::exists(path, error);
  if (error) fail(ErrorCode::kIo, "cannot look at {}: {}", path.string(), error.message());
  return found;
}

[[noreturn]] void no_weights(const fs::path& folder) {
  if (const std::string other = describe_foreign_folder(folder); !other.empty())
    fail(ErrorCode::kUnsupported, "{} {}", folder.string(), other);
  fail(ErrorCode::kNotFound, "{} holds no weights: expected {} or {}", folder.string(), kSingle, kIndex);
}

// Throws unless the index names a file of the folder itself: it must not reach anything else.
void check_shard_name(const std::string& name, const std::string& index) {
  check_name("shard name", name, 255, index);
  if (name.find('/') != std::string::npos || name.starts_with('.'))
    fail(ErrorCode::kFormat, "{}: shard \"{}\" is not a plain file name", index, printable(name));
}

// Reads the names of tensors by shard.
std::map<std::string, std::set<std::string>> read_index(const fs::path& path) {
  const std::string what = path.string();
  const Json index = parse_json(read_file(path, kMaxIndexBytes), what);
  const auto weight_map = index.is_object() ? index.find("weight_map") : index.end();
  if (weight_map == index.end() || !weight_map->is_object() || weight_map->empty())
    fail(ErrorCode::kFormat, "{}: expected an object \"weight_map\" with tensors", what);
  std::map<std::string, std::set<std::string>> shards;
  for (const auto& [tensor, shard] : weight_map->items()) {
    check_tensor_name(tensor, what);
    if (!shard.is_string())
      fail(ErrorCode::kFormat, "{}: the shard of tensor \"{}\" is not a string", what, tensor);
    const auto& name = shard.get_ref<const std::string&>();
    check_shard_name(name, what);
    shards[name].insert(tensor);
  }
  return shards;
}

// Moves the tensors that the index places in this shard to the model.
void add_shard(const fs::path& path, std::set<std::string> expected, ModelTensors& model) {
  if (!is_there(path))
    fail(ErrorCode::kNotFound, "{} is missing: {} places tensor \"{}\" there", path.string(), kIndex,
         *expected.begin());
  SafetensorsFile shard = read_safetensors(path);
  for (auto& [name, tensor] : shard.tensors) {
    if (expected.erase(name) == 1)
      model.tensors.emplace(name, std::move(tensor));
    else
      log_warning("{}: tensor \"{}\" is not in the index for this shard and is left out", path.string(),
                  name);
  }
  for (SkippedTensor& tensor : shard.skipped)
    if (expected.erase(tensor.name) == 1) model.skipped.push_back(std::move(tensor));
  if (!expected.empty())
    fail(ErrorCode::kNotFound, "{}: tensor \"{}\" is not there, although {} says so", path.string(),
         *expected.begin(), kIndex);
}

// Splits a plan into shards of consecutive tensors: as many as fit, at least one.
std::vector<std::vector<TensorPlan>> split(const std::vector<TensorPlan>& plan, uint64_t max_shard_bytes) {
  std::vector<std::vector<TensorPlan>> shards(1);
  uint64_t used = 0;
  for (const TensorPlan& tensor : plan) {
    const uint64_t bytes = tensor_bytes(tensor);
    if (!shards.back().empty() && (used > max_shard_bytes || bytes > max_shard_bytes - used)) {
      shards.emplace_back();
      used = 0;
    }
    shards.back().push_back(tensor);
    used = checked_add(used, bytes, "shard size");
  }
  return shards;
}

SafetensorsMetadata metadata() { return {{"format", "pt"}}; }

std::string shard_name(size_t i, size_t shards) {
  return fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards);
}

std::string index_text(const std::vector<std::vector<TensorPlan>>& shards, uint64_t total) {
  std::map<std::string, std::string> weight_map;
  for (size_t i = 0; i < shards.size(); ++i)
    for (const TensorPlan& tensor : shards[i]) weight_map[tensor.name] = shard_name(i, shards.size());
  const nlohmann::json index = {{"metadata", {{"total_size", total}}}, {"weight_map", weight_map}};
  return index.dump(2) + "\n";
}

void write_shard(const fs::path& path, const std::vector<TensorPlan>& plan, const TensorProducer& producer) {
  SafetensorsWriter writer(path, plan, metadata());
  for (const TensorPlan& tensor : plan) {
    const Weight weight = producer(tensor);
    writer.write(tensor.name, weight);
    release_pages(weight);
  }
  writer.commit();
}

// The numbers of a folder's shards, by the name and the count that the files' names say.
std::map<std::pair<std::string, int>, std::set<int>> shard_sets(const fs::path& folder) {
  static const std::regex kShard(R"((.+)-(\d{5})-of-(\d{5})\.safetensors)");
  std::map<std::pair<std::string, int>, std::set<int>> sets;
  std::error_code error;
  fs::directory_iterator it(folder, error);
  if (error) fail(ErrorCode::kIo, "cannot list {}: {}", folder.string(), error.message());
  for (; it != fs::directory_iterator(); it.increment(error)) {
    const std::string name = it->path().filename().string();
    std::smatch parts;
    if (name.size() < kMaxShardName && std::regex_match(name, parts, kShard))
      sets[{parts[1], std::stoi(parts[3])}].insert(std::stoi(parts[2]));
  }
  return sets;
}

// The shards of a folder without an index, by number. Empty: there are none. Throws kNotFound when one is
// missing, kFormat when there are two sets.
std::vector<fs::path> shards_without_index(const fs::path& folder) {
  const auto sets = shard_sets(folder);
  if (sets.empty()) return {};
  const auto& [key, numbers] = *sets.begin();
  if (sets.size() > 1)
    fail(ErrorCode::kFormat, "{} holds shards of more than one set and no {} that says which belong together",
         folder.string(), kIndex);
  std::vector<fs::path> shards;
  for (int i = 1; i <= key.second; ++i) {
    shards.push_back(folder / fmt::format("{}-{:05}-of-{:05}.safetensors", key.first, i, key.second));
    if (!numbers.contains(i))
      fail(ErrorCode::kNotFound, "{} is missing: the folder holds {} of {} shards", shards.back().string(),
           numbers.size(), key.second);
  }
  return shards;
}

ModelTensors read_shards(const std::vector<fs::path>& shards) {
  ModelTensors model;
  for (const fs::path& path : shards) {
    SafetensorsFile shard = read_safetensors(path);
    for (auto& [name, tensor] : shard.tensors)
      if (!model.tensors.emplace(name, std::move(tensor)).second)
        fail(ErrorCode::kFormat, "{}: tensor \"{}\" is in another shard too", path.string(), name);
    for (SkippedTensor& tensor : shard.skipped) model.skipped.push_back(std::move(tensor));
  }
  return model;
}

}  // namespace

ModelTensors read_model_tensors(const fs::path& folder) {
  if (!is_there(folder)) fail(ErrorCode::kNotFound, "{} does not exist", folder.string());
  if (!fs::is_directory(folder)) fail(ErrorCode::kInvalid, "{} is not a folder", folder.string());
  if (is_there(folder / kSingle)) {
    if (!shard_sets(folder).empty())
      log_warning("{} holds shards beside {}, which is read: they are not", folder.string(), kSingle);
    SafetensorsFile file = read_safetensors(folder / kSingle);
    return {std::move(file.tensors), std::move(file.skipped)};
  }
  if (!is_there(folder / kIndex)) {
    const std::vector<fs::path> shards = shards_without_index(folder);
    if (shards.empty()) no_weights(folder);
    return read_shards(shards);
  }
  ModelTensors model;
  for (const auto& [shard, tensors] : read_index(folder / kIndex)) add_shard(folder / shard, tensors, model);
  return model;
}

void write_model_tensors(const fs::path& folder, const std::vector<TensorPlan>& plan,
                         const TensorProducer& producer, uint64_t max_shard_bytes) {
  for (const char* name : {kSingle, kIndex})
    if (is_there(folder / name)) fail(ErrorCode::kInvalid, "{} already holds {}", folder.string(), name);
  constexpr uint64_t kHeaderBytes = 512;  // more than the header takes for a tensor
  uint64_t total = 0;
  for (const TensorPlan& tensor : plan) total = checked_add(total, tensor_bytes(tensor), "model size");
  require_free_space(folder, checked_add(total, plan.size() * kHeaderBytes, "model size"), "the model");

  const auto shards = split(plan, max_shard_bytes);
  if (shards.size() == 1) return write_shard(folder / kSingle, plan, producer);
  for (size_t i = 0; i < shards.size(); ++i)
    write_shard(folder / shard_name(i, shards.size()), shards[i], producer);
  write_file(folder / kIndex, index_text(shards, total));
}

uint64_t model_tensors_bytes(const std::vector<TensorPlan>& plan, uint64_t max_shard_bytes) {
  const auto shards = split(plan, max_shard_bytes);
  uint64_t bytes = 0;
  uint64_t total = 0;
  for (const auto& shard : shards) {
    bytes = checked_add(bytes, safetensors_bytes(shard, metadata()), "model size");
    for (const TensorPlan& tensor : shard) total += tensor_bytes(tensor);
  }
  return shards.size() == 1 ? bytes : bytes + index_text(shards, total).size();
}

bool is_weight_file(const fs::path& file) {
  return file.extension() == ".safetensors" || file.filename() == kIndex;
}

}  // namespace pare
