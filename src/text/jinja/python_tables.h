// Tables of src/text/jinja/python_tables.cpp: sorted, disjoint, only characters beyond ASCII.
#pragma once

#include <cstddef>
#include <cstdint>

#include "text/unicode/case_runs.h"

namespace pare {

struct PythonClassRange {
  uint32_t first;
  uint32_t last;
  uint16_t classes;
};

// A character that becomes several characters; 0 ends them.
struct PythonCaseSpecial {
  uint32_t code;
  uint32_t to[3];
};

extern const PythonClassRange kPythonClasses[];
extern const size_t kPythonClassesCount;
extern const CaseRun kPythonLower[];
extern const size_t kPythonLowerCount;
extern const PythonCaseSpecial kPythonLowerSpecial[];
extern const size_t kPythonLowerSpecialCount;
extern const CaseRun kPythonUpper[];
extern const size_t kPythonUpperCount;
extern const PythonCaseSpecial kPythonUpperSpecial[];
extern const size_t kPythonUpperSpecialCount;
extern const CaseRun kPythonTitle[];
extern const size_t kPythonTitleCount;
extern const PythonCaseSpecial kPythonTitleSpecial[];
extern const size_t kPythonTitleSpecialCount;
extern const char32_t kPythonZeros[];
extern const size_t kPythonZerosCount;

}  // namespace pare
