#include "base/parallel.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

#include "support/expect_error.h"

namespace pare {
namespace {

class Threads : public ::testing::TestWithParam<int> {
 protected:
  Threads() : before_(thread_count()) { set_thread_count(GetParam()); }
  ~Threads() override { set_thread_count(before_); }

 private:
  int before_;
};

TEST_P(Threads, EachItemExactlyOnce) {
  for (int round = 0; round < 2000; ++round) {
    const int64_t count = round % 17;
    std::vector<std::atomic<int>> hits(17);
    parallel_for(count, [&](int64_t i) { ++hits[static_cast<size_t>(i)]; });
    for (int64_t i = 0; i < 17; ++i) ASSERT_EQ(hits[static_cast<size_t>(i)], i < count ? 1 : 0);
  }
}

TEST_P(Threads, FirstExceptionReachesTheCaller) {
  EXPECT_THROW(parallel_for(8,
                            [](int64_t i) {
                              if (i == 5) throw std::runtime_error("five");
                            }),
               std::runtime_error);
}

TEST_P(Threads, NestedAndConcurrentCallsWork) {
  std::atomic<int> total = 0;
  const auto nested = [&] { parallel_for(4, [&](int64_t) { parallel_for(4, [&](int64_t) { ++total; }); }); };
  std::thread other([&] {
    for (int i = 0; i < 100; ++i) nested();
  });
  for (int i = 0; i < 100; ++i) nested();
  other.join();
  EXPECT_EQ(total, 3200);
}

TEST_P(Threads, WorksInAForkedChild) {
  parallel_for(4, [](int64_t) {});
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    std::atomic<int> total = 0;
    parallel_for(100, [&](int64_t) { ++total; });
    _exit(total == 100 ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

INSTANTIATE_TEST_SUITE_P(Counts, Threads, ::testing::Values(1, 2, 5));

TEST(ThreadCount, RejectsAbsurdNumbers) {
  EXPECT_PARE_ERROR(set_thread_count(0), ErrorCode::kInvalid, "1..1024");
  EXPECT_PARE_ERROR(set_thread_count(5000), ErrorCode::kInvalid, "1..1024");
}

}  // namespace
}  // namespace pare
