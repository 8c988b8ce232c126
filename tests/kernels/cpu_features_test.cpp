#include "kernels/cpu/cpu_features.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "kernels/cpu/linear_impls.h"
#include "support/expect_error.h"

namespace pare {
namespace {

TEST(CpuFeatures, EnvironmentLowersAndNeverRaises) {
  EXPECT_EQ(lowered_isa(Isa::kAmx, ""), Isa::kAmx);
  EXPECT_EQ(lowered_isa(Isa::kAmx, "amx"), Isa::kAmx);
  EXPECT_EQ(lowered_isa(Isa::kAmx, "avx512"), Isa::kAvx512);
  EXPECT_EQ(lowered_isa(Isa::kAmx, "avx2"), Isa::kAvx2);
  EXPECT_EQ(lowered_isa(Isa::kAmx, "reference"), Isa::kReference);
  EXPECT_EQ(lowered_isa(Isa::kAvx2, "amx"), Isa::kAvx2);
  EXPECT_EQ(lowered_isa(Isa::kReference, "avx2"), Isa::kReference);
}

TEST(CpuFeatures, UnknownLevelIsAUsageError) {
  EXPECT_PARE_ERROR(lowered_isa(Isa::kAmx, "sse9"), ErrorCode::kUsage, "sse9");
  EXPECT_PARE_ERROR(lowered_isa(Isa::kAmx, "AVX2"), ErrorCode::kUsage, "AVX2");
}

// Each test runs in a process of its own, so the environment is read here for the first time.
TEST(CpuFeatures, ActiveIsaFollowsTheEnvironment) {
  EXPECT_EXIT(
      {
        setenv("PARE_ISA", "avx2", 1);
        const bool lowered = active_isa() == std::min(Isa::kAvx2, detected_isa()) &&
                             select_linear({kDense, ComputeType::kF32}, active_isa()).needs <= Isa::kAvx2;
        std::exit(lowered ? 0 : 1);
      },
      testing::ExitedWithCode(0), "");
}

TEST(CpuFeatures, ReferenceAcceptsWhatNothingElseMay) {
  for (const ComputeType compute : {ComputeType::kF32, ComputeType::kBF16}) {
    const LinearSpec spec{kDense, compute};
    const auto impls = linear_impls();
    EXPECT_TRUE(std::any_of(impls.begin(), impls.end(), [&](const LinearImpl& impl) {
      return impl.needs == Isa::kReference && impl.accepts(spec);
    }));
    EXPECT_LE(select_linear(spec, active_isa()).needs, active_isa());
    EXPECT_TRUE(select_linear(spec, active_isa()).accepts(spec));
  }
}

}  // namespace
}  // namespace pare
