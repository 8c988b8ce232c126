// Detects placeholders of files that were not really fetched.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace pare {

// A checkout without Git LFS leaves small text files in place of large ones: throws kFormat saying so. `what`
// names the file.
void reject_lfs_pointer(std::span<const std::byte> bytes, std::string_view what);
void reject_lfs_pointer(std::string_view text, std::string_view what);

// A download that needed a login, or that went wrong, leaves a page of HTML: throws kFormat saying so.
void reject_html(std::span<const std::byte> bytes, std::string_view what);
void reject_html(std::string_view text, std::string_view what);

}  // namespace pare
