// Documents of a model's folder that are copied into the folder of a model made of it.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace pare {

// The model card, which pare writes anew for every folder, and the name under which the original's is kept.
inline constexpr const char* kCardFile = "README.md";
inline constexpr const char* kOriginalCardFile = "README.original.md";

// Copies README*, LICENSE*, NOTICE*, USE_POLICY* and the like of a folder, in letters of any case, byte by
// byte into another; README.md becomes README.original.md, unless there is one already: then README.md is
// pare's own. A file above 64 MiB stays behind with a warning. Copies nothing where the input is a GGUF file.
// Returns the names in the new folder, sorted. Throws kIo.
std::vector<std::string> carry_documents(const std::filesystem::path& input,
                                         const std::filesystem::path& folder);

}  // namespace pare
