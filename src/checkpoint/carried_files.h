// The documents of a model's folder that go on with whatever is made of it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace pare {

// The model card, which a folder that pare writes has anew, and the name under which the original's goes on.
inline constexpr const char* kCardFile = "README.md";
inline constexpr const char* kOriginalCardFile = "README.original.md";

// Copies README*, LICENSE*, NOTICE*, USE_POLICY* and the like of a folder, in letters of any case, byte by
// byte into another; README.md becomes README.original.md, unless there is one already: then README.md is
// pare's own. Nothing where the input is a GGUF file. Returns the names in the new folder, sorted. Throws
// kIo.
std::vector<std::string> carry_documents(const std::filesystem::path& input,
                                         const std::filesystem::path& folder);

}  // namespace pare
