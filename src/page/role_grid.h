// Layers and roles as the rows and columns of figures.
#pragma once

#include <vector>

#include "page/charts.h"
#include "page/model_facts.h"

namespace pare {

// Returns the roles that the layers of a model have matrices of, in order.
std::vector<Role> layer_roles(const ModelFacts& facts);

// Returns a row of empty cells, one a layer, for every role.
std::vector<HeatRow> empty_rows(const std::vector<Role>& roles, const ModelFacts& facts);

// Returns the colour of a role, the same in all figures.
std::string role_colour(Role role);

}  // namespace pare
