# libpare: one archive of everything below serve/ and mpi/, with the headers of include/ and a CMake package. Programs
# use it by find_package(pare) and the target pare::pare.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(PARE_PARTS base tensor io text linalg kernels model runtime checkpoint train compress eval engine api)
set(objects)
foreach(part ${PARE_PARTS})
  list(APPEND objects $<TARGET_OBJECTS:pare_${part}>)
  # What a part takes from object libraries (the kernels of an instruction set) is not among its own objects.
  get_target_property(sources pare_${part} SOURCES)
  list(FILTER sources INCLUDE REGEX "TARGET_OBJECTS")
  list(APPEND objects ${sources})
endforeach()
add_library(pare_archive STATIC ${objects})
set_target_properties(pare_archive PROPERTIES OUTPUT_NAME pare EXPORT_NAME pare LINKER_LANGUAGE CXX)
target_compile_features(pare_archive INTERFACE cxx_std_20)
target_include_directories(pare_archive INTERFACE $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
# Only linked: no header of include/ names them.
target_link_libraries(pare_archive INTERFACE
  $<LINK_ONLY:fmt::fmt> $<LINK_ONLY:OpenSSL::Crypto> $<LINK_ONLY:ZLIB::ZLIB> $<LINK_ONLY:Threads::Threads>
  $<LINK_ONLY:yaml-cpp> $<LINK_ONLY:lapacke> $<LINK_ONLY:openblas> $<LINK_ONLY:pcre2-8>)

set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/pare)
configure_package_config_file(${CMAKE_SOURCE_DIR}/cmake/pareConfig.cmake.in
  ${CMAKE_CURRENT_BINARY_DIR}/pareConfig.cmake INSTALL_DESTINATION ${package_folder})
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/pareConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(TARGETS pare_archive EXPORT pareTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/pare DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT pareTargets NAMESPACE pare:: DESTINATION ${package_folder})
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/pareConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/pareConfigVersion.cmake
  DESTINATION ${package_folder})
