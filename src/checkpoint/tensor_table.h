// Helpers for writing a model, whatever the file format.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint/arch/architecture.h"
#include "io/tensor_file.h"
#include "model/model.h"

namespace pare {

// All tensors of a model under the names of one file format. Each weight is made when it is written,
// so that no second model is in memory.
class TensorTable {
 public:
  using Producer = std::function<Weight()>;

  void add(const std::string& name, std::vector<int64_t> shape, Encoding encoding, Producer producer) {
    plan_.push_back({name, encoding, std::move(shape)});
    producers_.emplace(name, std::move(producer));
  }
  std::vector<TensorPlan>& plan() { return plan_; }
  Weight weight(const std::string& name) const { return producers_.at(name)(); }

 private:
  std::vector<TensorPlan> plan_;
  std::map<std::string, Producer> producers_;
};

// Architecture whose names and config.json the model is written with.
const Architecture& architecture_of(const Model& model);
Weight vector_weight(const std::vector<float>& values);
// Adds a norm's weights where the model has none, as files store them: ones (biases of layer norms: zeros).
void add_missing_norms(Model& model);

}  // namespace pare
