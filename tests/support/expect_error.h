// EXPECT_PARE_ERROR: a statement throws pare::Error of a code, with a message that names the thing.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/error.h"

#define EXPECT_PARE_ERROR(statement, expected_code, substring)  \
  try {                                                         \
    statement;                                                  \
    ADD_FAILURE() << #statement " did not throw";               \
  } catch (const ::pare::Error& error) {                        \
    EXPECT_EQ(error.code(), expected_code) << error.what();     \
    EXPECT_THAT(error.what(), ::testing::HasSubstr(substring)); \
  }
