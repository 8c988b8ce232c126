#include "compress/slice/spectrum.h"

#include <algorithm>
#include <functional>
#include <string>

namespace pare {

std::vector<double> spectrum_of(std::vector<double> energies) {
  std::sort(energies.begin(), energies.end(), std::greater<>());
  const double largest = energies.empty() ? 0.0 : energies.front();
  std::vector<double> spectrum;
  for (int64_t part = 0; part <= kSpectrumParts; ++part) {
    double share = 0.0;
    if (largest > 0.0) {
      const auto last = static_cast<int64_t>(energies.size()) - 1;
      // Eigenvalues of a stream that lacks some directions are zero but for rounding, to either side.
      share = std::max(0.0, energies[static_cast<size_t>(part * last / kSpectrumParts)] / largest);
    }
    spectrum.push_back(std::stod(fmt::format("{:.4g}", share)));
  }
  return spectrum;
}

void add_spectrum(Report& report, const std::string& name, int64_t width_before, int64_t width_after,
                  const std::vector<double>& spectrum) {
  report.add(
      "spectra",
      {{"name", name}, {"width_before", width_before}, {"width_after", width_after}, {"energies", spectrum}});
}

}  // namespace pare
