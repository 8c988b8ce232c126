# Everything comes from Debian packages; scripts/setup installs them.
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(CLI11 REQUIRED)
find_package(ZLIB REQUIRED)
find_package(Boost 1.81 REQUIRED)  # headers: Asio and Beast

find_path(PARE_LAPACKE_INCLUDE lapacke.h REQUIRED)
find_path(PARE_CBLAS_INCLUDE cblas.h PATH_SUFFIXES x86_64-linux-gnu openblas REQUIRED)
find_library(PARE_LAPACKE_LIB lapacke REQUIRED)
find_library(PARE_OPENBLAS_LIB openblas REQUIRED)
add_library(pare_blas INTERFACE)
target_include_directories(pare_blas SYSTEM INTERFACE ${PARE_LAPACKE_INCLUDE} ${PARE_CBLAS_INCLUDE})
target_link_libraries(pare_blas INTERFACE ${PARE_LAPACKE_LIB} ${PARE_OPENBLAS_LIB})

# The regexes of tokenizers, matched byte by byte: the library with units of 8 bits.
find_path(PARE_PCRE2_INCLUDE pcre2.h REQUIRED)
find_library(PARE_PCRE2_LIB pcre2-8 REQUIRED)
add_library(pare_pcre2 INTERFACE)
target_include_directories(pare_pcre2 SYSTEM INTERFACE ${PARE_PCRE2_INCLUDE})
target_link_libraries(pare_pcre2 INTERFACE ${PARE_PCRE2_LIB})

# MPI is needed by src/mpi alone.
set(PARE_MPI_FOUND FALSE)
if(PARE_MPI STREQUAL "ON")
  find_package(MPI REQUIRED COMPONENTS C)
elseif(PARE_MPI STREQUAL "AUTO")
  find_package(MPI QUIET COMPONENTS C)
elseif(NOT PARE_MPI STREQUAL "OFF")
  message(FATAL_ERROR "PARE_MPI is ${PARE_MPI}, expected AUTO, ON or OFF")
endif()
if(NOT PARE_MPI STREQUAL "OFF" AND MPI_C_FOUND)
  set(PARE_MPI_FOUND TRUE)
  message(STATUS "MPI: ${MPI_C_VERSION} (${MPI_C_LIBRARIES})")
else()
  message(STATUS "MPI: none, pare runs on one machine")
endif()
