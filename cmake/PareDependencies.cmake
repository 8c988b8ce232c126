# Everything comes from Debian packages; scripts/setup installs them.
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(CLI11 REQUIRED)

find_path(PARE_LAPACKE_INCLUDE lapacke.h REQUIRED)
find_path(PARE_CBLAS_INCLUDE cblas.h PATH_SUFFIXES x86_64-linux-gnu openblas REQUIRED)
find_library(PARE_LAPACKE_LIB lapacke REQUIRED)
find_library(PARE_OPENBLAS_LIB openblas REQUIRED)
add_library(pare_blas INTERFACE)
target_include_directories(pare_blas SYSTEM INTERFACE ${PARE_LAPACKE_INCLUDE} ${PARE_CBLAS_INCLUDE})
target_link_libraries(pare_blas INTERFACE ${PARE_LAPACKE_LIB} ${PARE_OPENBLAS_LIB})
