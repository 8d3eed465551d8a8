# The index against its peers: tests/bench/ann/run builds and runs it. Nothing of it is built by default but its own test.
add_library(ann_bench_parts STATIC EXCLUDE_FROM_ALL
  bench/ann/curve.c bench/ann/measure.c bench/ann/ours.c bench/ann/pictures.c bench/ann/truth.c
  bench/ann/vecs.c)
target_link_libraries(ann_bench_parts PUBLIC cf_ann cf_vecfile cf_base Threads::Threads m PRIVATE cf_flags)

cf_test(ann_bench_parts_test LABEL unit SOURCES unit/ann_bench.c LINK ann_bench_parts)

add_executable(ann_set EXCLUDE_FROM_ALL bench/ann/set.c bench/ann/describe.c)
target_link_libraries(ann_set PRIVATE ann_bench_parts cf_descriptor cf_image PkgConfig::JPEG cf_flags)

add_executable(ann_compare EXCLUDE_FROM_ALL bench/ann/compare.c bench/ann/plot.c bench/ann/report.c)
target_link_libraries(ann_compare PRIVATE ann_bench_parts PkgConfig::JANSSON cf_flags)
set_target_properties(ann_set ann_compare PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bench)

# The peers are C++. Each takes part where its package is (deploy/deps --bench); without any the project needs no C++.
find_path(CF_BENCH_FAISS_H faiss/index_factory.h)
find_library(CF_BENCH_FAISS_LIB faiss)
find_library(CF_BENCH_OPENBLAS_LIB openblas)
find_path(CF_BENCH_HNSWLIB_H hnswlib/hnswlib.h)
find_path(CF_BENCH_FLANN_H flann/flann.hpp)
find_library(CF_BENCH_LZ4_LIB lz4)
include(CheckLanguage)
if((CF_BENCH_FAISS_H AND CF_BENCH_FAISS_LIB) OR CF_BENCH_HNSWLIB_H OR CF_BENCH_FLANN_H)
  check_language(CXX)
endif()
if(CMAKE_CXX_COMPILER AND NOT CF_SANITIZE AND NOT CF_COVERAGE)
  enable_language(CXX)
  set(CMAKE_CXX_STANDARD 17)
  find_package(OpenMP COMPONENTS CXX)
  # cf_peer(NAME DEFINITION SOURCE options…): one adapter, its headers taken as the system's.
  function(cf_peer name definition source)
    cmake_parse_arguments(ARG "" "" "OPTIONS;LINK" ${ARGN})
    add_library(ann_peer_${name} OBJECT EXCLUDE_FROM_ALL ${source})
    target_include_directories(ann_peer_${name} PRIVATE ${CMAKE_SOURCE_DIR})
    target_compile_options(ann_peer_${name} PRIVATE -Wall -Wextra ${ARG_OPTIONS} $<$<BOOL:${CF_WERROR}>:-Werror>)
    target_link_libraries(ann_compare PRIVATE ann_peer_${name} ${ARG_LINK})
    target_compile_definitions(ann_compare PRIVATE ${definition})
  endfunction()
  if(CF_BENCH_FAISS_H AND CF_BENCH_FAISS_LIB AND CF_BENCH_OPENBLAS_LIB AND OpenMP_CXX_FOUND)
    cf_peer(faiss BENCH_FAISS bench/ann/peers_faiss.cpp OPTIONS -fopenmp
      LINK ${CF_BENCH_FAISS_LIB} ${CF_BENCH_OPENBLAS_LIB} OpenMP::OpenMP_CXX)
  endif()
  if(CF_BENCH_HNSWLIB_H)
    cf_peer(hnswlib_native BENCH_HNSWLIB bench/ann/peers_hnswlib.cpp OPTIONS -march=native -DPEER_NATIVE)
    cf_peer(hnswlib_portable BENCH_HNSWLIB bench/ann/peers_hnswlib.cpp)
  endif()
  if(CF_BENCH_FLANN_H AND CF_BENCH_LZ4_LIB)
    cf_peer(flann BENCH_FLANN bench/ann/peers_flann.cpp OPTIONS -march=native LINK ${CF_BENCH_LZ4_LIB})
  endif()
endif()
string(TOUPPER "${CMAKE_BUILD_TYPE}" build_type)
set_source_files_properties(bench/ann/report.c PROPERTIES COMPILE_DEFINITIONS
  "BENCH_FLAGS=\"ours by ${CMAKE_C_COMPILER_ID} ${CMAKE_C_COMPILER_VERSION} with ${CMAKE_C_FLAGS_${build_type}} and its SIMD chosen at run time, hnswlib and FLANN with ${CMAKE_CXX_FLAGS_${build_type}} -march=native, faiss as Debian ships it\"")
