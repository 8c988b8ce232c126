#include "page/role_grid.h"

#include <set>

#include "page/colours.h"

namespace pare {

std::vector<Role> layer_roles(const ModelFacts& facts) {
  std::set<Role> roles;
  for (const MatrixFacts& m : facts.matrices)
    if (m.block >= 0) roles.insert(m.role);
  return {roles.begin(), roles.end()};
}

std::vector<HeatRow> empty_rows(const std::vector<Role>& roles, const ModelFacts& facts) {
  std::vector<HeatRow> rows;
  for (const Role role : roles) {
    HeatRow row{std::string(role_name(role)), {}};
    row.cells.resize(facts.config.blocks.size());
    rows.push_back(std::move(row));
  }
  return rows;
}

std::string role_colour(Role role) {
  switch (role) {
    case Role::kEmbedding:
      return "#999999";
    case Role::kQuery:
      return category_colour(0);
    case Role::kKey:
      return category_colour(1);
    case Role::kValue:
      return category_colour(2);
    case Role::kAttentionOutput:
      return category_colour(3);
    case Role::kGate:
      return category_colour(4);
    case Role::kUp:
      return category_colour(5);
    case Role::kDown:
      return category_colour(6);
    case Role::kHead:
      return "#555555";
    default:
      return "#BBBBBB";
  }
}

}  // namespace pare
