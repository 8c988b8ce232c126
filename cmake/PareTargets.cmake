# Compile options shared by every target of the project.
add_library(pare_options INTERFACE)
target_include_directories(pare_options INTERFACE ${CMAKE_SOURCE_DIR}/src)
target_compile_options(pare_options INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor -Wold-style-cast
  $<$<BOOL:${PARE_WERROR}>:-Werror>)
target_link_libraries(pare_options INTERFACE fmt::fmt Threads::Threads)
if(PARE_SANITIZE)
  target_compile_options(pare_options INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(pare_options INTERFACE -fsanitize=address,undefined)
endif()
if(PARE_FUZZ)
  target_compile_options(pare_options INTERFACE -fsanitize=fuzzer-no-link)
endif()

if(PARE_PCH)
  # Or clang would refuse what a compiler cache has kept once a header of the system gets another date.
  target_compile_options(pare_options INTERFACE "$<$<CXX_COMPILER_ID:Clang>:SHELL:-Xclang -fno-pch-timestamp>")
endif()
set(PARE_PRECOMPILED <algorithm> <cmath> <filesystem> <functional> <map> <memory> <optional> <span> <string>
  <string_view> <vector> <fmt/format.h> <nlohmann/json.hpp>)

# Headers of other libraries are half of what a compiler reads here. pare_headers(TARGET FROM) lets a target read them
# precompiled, once for all targets that have the options of target FROM: files include what they use all the same, and
# PARE_PCH=OFF builds without. pare_headers(TARGET TARGET headers...) compiles them, and these.
function(pare_headers target from)
  if(NOT PARE_PCH)
    return()
  endif()
  if(target STREQUAL from)
    target_precompile_headers(${target} PRIVATE ${PARE_PRECOMPILED} ${ARGN})
  else()
    target_precompile_headers(${target} REUSE_FROM ${from})
  endif()
endfunction()

# pare_library(NAME deps... [OPTIONS flags...]): one static library from all .cpp of the current folder and its
# subfolders, compiled with these flags beside the usual ones.
function(pare_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" OPTIONS)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  add_library(pare_${name} STATIC ${sources})
  target_link_libraries(pare_${name} PUBLIC pare_options ${arg_UNPARSED_ARGUMENTS})
  if(arg_OPTIONS)
    target_compile_options(pare_${name} PRIVATE ${arg_OPTIONS})
    pare_headers(pare_${name} pare_${name})
  else()
    pare_headers(pare_${name} pare_base)
  endif()
endfunction()

# pare_cold(TARGET): nothing in the target is hot, so clang does not spend its time on optimising the checks of
# the sanitizers in it.
function(pare_cold target)
  target_compile_options(${target} PRIVATE $<$<BOOL:${PARE_SANITIZE}>:-O0>)
endfunction()

# pare_test(NAME deps... [HOT]): one GoogleTest program from the *_test.cpp of the current folder. HOT says that the
# tests themselves compute much, so clang optimises them in spite of the sanitizers.
function(pare_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "HOT" "" "")
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*_test.cpp)
  add_executable(pare_${name}_test ${sources})
  target_link_libraries(pare_${name}_test PRIVATE pare_test_support ${arg_UNPARSED_ARGUMENTS} GTest::gmock GTest::gtest_main)
  set(options_of pare_linalg_test)
  if(NOT arg_HOT)
    pare_cold(pare_${name}_test)
    set(options_of pare_base_test)
  endif()
  pare_headers(pare_${name}_test ${options_of} <gmock/gmock.h> <gtest/gtest.h>)
  gtest_discover_tests(pare_${name}_test TEST_PREFIX ${name}. DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 600)
endfunction()
