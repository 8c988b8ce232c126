#include "compress/slice/spectrum.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

namespace pare::test {
namespace {

using testing::Each;
using testing::SizeIs;

TEST(Spectrum, HasTheEnergiesAtEqualDistancesOfRank) {
  std::vector<double> energies(33);
  std::iota(energies.begin(), energies.end(), 0.0);  // 0 to 32, in no order that matters
  std::swap(energies[3], energies[30]);
  const std::vector<double> spectrum = spectrum_of(energies);
  ASSERT_THAT(spectrum, SizeIs(17));
  for (int i = 0; i <= 16; ++i) EXPECT_NEAR(spectrum[static_cast<size_t>(i)], 1.0 - i / 16.0, 1e-4) << i;
}

TEST(Spectrum, IsShortAndNotNegative) {
  EXPECT_EQ(spectrum_of({3.0, 1.0, -1e-9})[8], 0.3333);
  EXPECT_EQ(spectrum_of({3.0, 1.0, -1e-9})[16], 0.0);
  EXPECT_THAT(spectrum_of({5.0}), Each(1.0));
  EXPECT_THAT(spectrum_of({0.0, 0.0}), Each(0.0));
  EXPECT_THAT(spectrum_of({}), SizeIs(17));
}

TEST(Spectrum, IsAnEntryOfTheReport) {
  Report report;
  add_spectrum(report, "layers.2.down", 64, 48, {1.0, 0.5});
  EXPECT_EQ(
      report.of("spectra").front(),
      Json({{"name", "layers.2.down"}, {"width_before", 64}, {"width_after", 48}, {"energies", {1.0, 0.5}}}));
}

}  // namespace
}  // namespace pare::test
