// The YAML block at the beginning of a model card (README.md), in which the hub keeps what it knows of a
// model.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace pare {

// Keys with plain values: a scalar is a list of one. Values that are nested deeper are left out.
using FrontMatter = std::map<std::string, std::vector<std::string>>;

// Reads the block between the first two lines "---"; empty when there is none. Throws kFormat naming `what`
// when it is not YAML, not a map, or longer than 256 KB.
FrontMatter read_front_matter(std::string_view card, std::string_view what);

// Writes a value so that YAML reads it back: as it is where it is plain, else quoted.
std::string yaml_scalar(const std::string& value);

}  // namespace pare
