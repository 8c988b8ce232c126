// Messages between ranks, and what all ranks do together.
#include "base/comm.h"

#include "support/expect_error.h"
#include "support/thread_ranks.h"

namespace pare::test {
namespace {

TEST(LocalComm, IsAloneAndDoesAllByItself) {
  Comm& comm = local_comm();
  EXPECT_EQ(comm.rank(), 0);
  EXPECT_EQ(comm.size(), 1);
  EXPECT_TRUE(comm.is_first());
  comm.barrier();
  EXPECT_EQ(comm.broadcast(0, std::string("text")), "text");
  EXPECT_THAT(comm.gather("own"), testing::ElementsAre("own"));
  EXPECT_TRUE(comm.all(true));
  EXPECT_FALSE(comm.all(false));
  int64_t value = 7;
  comm.broadcast(0, bytes_of(&value, 1));
  EXPECT_EQ(value, 7);
  EXPECT_PARE_ERROR(comm.send(1, bytes_of(&value, 1)), ErrorCode::kInternal, "rank 1");
  EXPECT_PARE_ERROR(comm.receive(1, bytes_of(&value, 1)), ErrorCode::kInternal, "rank 1");
}

class Ranks : public ::testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Counts, Ranks, ::testing::Values(1, 2, 3, 5));

TEST_P(Ranks, TextsOfAllReachAllInOrder) {
  run_ranks(GetParam(), [](Comm& comm) {
    const std::string own(static_cast<size_t>(comm.rank()) * 3, static_cast<char>('a' + comm.rank()));
    const std::vector<std::string> all = comm.gather(own);
    ASSERT_EQ(all.size(), static_cast<size_t>(comm.size()));
    for (size_t rank = 0; rank < all.size(); ++rank)
      EXPECT_EQ(all[rank], std::string(rank * 3, static_cast<char>('a' + rank)));
    for (int root = 0; root < comm.size(); ++root) {
      EXPECT_EQ(comm.broadcast(root, fmt::format("from {}", comm.rank())), fmt::format("from {}", root));
      std::vector<double> values(5, comm.rank());
      comm.broadcast(root, bytes_of(values.data(), 5));
      EXPECT_EQ(values, std::vector<double>(5, root));
    }
  });
}

TEST_P(Ranks, AgreeOnlyWhenAllDo) {
  run_ranks(GetParam(), [](Comm& comm) {
    EXPECT_TRUE(comm.all(true));
    for (int other = 0; other < comm.size(); ++other) EXPECT_FALSE(comm.all(comm.rank() != other));
    comm.barrier();
  });
}

TEST_P(Ranks, AnErrorOfOneIsTheErrorOfAll) {
  const auto body = [](Comm& comm) {
    if (comm.rank() + 1 == comm.size()) fail(ErrorCode::kIo, "the disk of rank {} is full", comm.rank());
    comm.barrier();
  };
  EXPECT_PARE_ERROR(run_ranks(GetParam(), body), ErrorCode::kIo,
                    fmt::format("the disk of rank {} is full", GetParam() - 1));
}

}  // namespace
}  // namespace pare::test
