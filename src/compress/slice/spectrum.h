// Spectra of the streams that are sliced, as the report keeps them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "compress/report.h"

namespace pare {

inline constexpr int64_t kSpectrumParts = 16;

// Returns the energies of a stream's units at ranks 0, 1/16, 2/16, … 1 of all, relative to the largest, in
// four digits. `energies`: of every unit, in any order. A stream without energy has zeros.
std::vector<double> spectrum_of(std::vector<double> energies);

// Adds the entry of a stream to the "spectra" of a report. `name`: that of the linear or norm that reads it.
void add_spectrum(Report& report, const std::string& name, int64_t width_before, int64_t width_after,
                  const std::vector<double>& spectrum);

}  // namespace pare
