// Texts as data sets hold them: one plain text, or records with a text each.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace pare {

struct Documents {
  std::vector<std::string> texts;  // none is empty
  bool records = false;            // true: records of a data set; false: one text as it stands
  std::string source;              // name of the text in messages
  std::string sha256;              // hash of the text that held the documents, unpacked and without BOM
};

// A text that begins with a JSON object is lines of JSON, one that begins with a list of objects is one JSON
// list, anything else is one plain text. The text of a record is its field "text", or, where there is none,
// its field "content"; other fields do not matter, and records whose text is empty or null are passed over.
// What looks like a web page, a CSV table, or is hardly parted by white space is warned of. Throws kFormat
// naming `what` and the line or record when JSON is broken or a record has no text, when there is no text but
// white space, and for a CSV table with a column "text" or "content"; kInvalid when most of the text is
// without white space (base64, hexadecimal digits).
Documents parse_documents(std::string text, std::string_view what);

// The documents of a file that read_text_file reads.
Documents read_documents(const std::filesystem::path& path);

}  // namespace pare
