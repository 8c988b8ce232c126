#include "model/storage_facts.h"

#include <map>

#include "model/visit.h"
#include "tensor/sparse_weight.h"

namespace pare {
namespace {

void ignore_vector(const TensorPlace& /*place*/, const std::vector<float>& /*values*/) {}

}  // namespace

std::vector<MatrixFacts> matrix_facts(const Model& model) {
  std::vector<MatrixFacts> facts;
  for_each_tensor(
      model,
      [&](const TensorPlace& place, const Weight& weight) {
        const Sparsity sparsity = measure_sparsity(weight, weight.format.encoding);
        release_pages(weight);
        facts.push_back({place.role, place.block, weight.rows, weight.cols, weight.format, sparsity.pattern,
                         sparsity.zeros, weight.stored_values(), weight.bytes()});
      },
      ignore_vector);
  return facts;
}

std::vector<RoleSize> role_sizes(const Model& model) {
  std::map<Role, RoleSize> sizes;
  for_each_tensor(
      model,
      [&](const TensorPlace& place, const Weight& weight) {
        RoleSize& size = sizes[place.role];
        size.role = place.role;
        ++size.matrices;
        size.weights += weight.values();
        size.bytes += weight.bytes();
      },
      ignore_vector);
  std::vector<RoleSize> list;
  for (const auto& [role, size] : sizes) list.push_back(size);
  return list;
}

}  // namespace pare
