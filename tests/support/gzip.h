// gzip files for tests.
#pragma once

#include <string>
#include <string_view>

namespace pare::test {

// One gzip member that holds `bytes`.
std::string gzip(std::string_view bytes);

}  // namespace pare::test
