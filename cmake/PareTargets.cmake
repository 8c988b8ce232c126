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

# pare_library(NAME deps...): one static library from all .cpp of the current folder and its subfolders.
function(pare_library name)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  add_library(pare_${name} STATIC ${sources})
  target_link_libraries(pare_${name} PUBLIC pare_options ${ARGN})
endfunction()

# pare_test(NAME deps...): one GoogleTest program from the *_test.cpp of the current folder.
function(pare_test name)
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*_test.cpp)
  add_executable(pare_${name}_test ${sources})
  target_link_libraries(pare_${name}_test PRIVATE pare_test_support ${ARGN} GTest::gmock GTest::gtest_main)
  gtest_discover_tests(pare_${name}_test TEST_PREFIX ${name}. DISCOVERY_TIMEOUT 60 PROPERTIES TIMEOUT 600)
endfunction()
