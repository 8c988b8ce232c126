// JSON records as data sets are written: a record a line, or a list of them.
#pragma once

#include <functional>
#include <string_view>

#include "base/json.h"

namespace pare {

// Returns whether a text begins as a list of objects does, or is an empty list: it is JSON as a whole then.
bool is_json_list(std::string_view text);

// Calls `take` with every record and where it stands ("WHAT:LINE" or "WHAT: record N") until it returns
// false; lines of white space are passed over. Throws kFormat naming the place where JSON is broken.
using RecordSink = std::function<bool(const Json& record, std::string_view where)>;
void for_each_record(std::string_view text, std::string_view what, const RecordSink& take);

}  // namespace pare
