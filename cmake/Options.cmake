# Warnings, hardening and sanitizers, in one INTERFACE target that every target of ours links: td_options.
# Hardening follows the OpenSSF compiler options guide (June 2026); each flag is probed, since GCC 12 and Clang 14 differ.
# SPDX-License-Identifier: Apache-2.0
include(CheckCCompilerFlag)
include(CheckLinkerFlag)

add_library(td_options INTERFACE)
target_compile_features(td_options INTERFACE c_std_11)
target_compile_definitions(td_options INTERFACE _GNU_SOURCE TD_VERSION="${PROJECT_VERSION}")
target_include_directories(td_options INTERFACE "${CMAKE_SOURCE_DIR}" "${CMAKE_BINARY_DIR}/generated")
# Where it was built is nobody's business, and two builds of one commit shall be equal.
target_compile_options(td_options INTERFACE "-ffile-prefix-map=${CMAKE_SOURCE_DIR}/=")
# Tidemark stops on a broken invariant in every build: assert() stays on.
foreach(config RELEASE RELWITHDEBINFO MINSIZEREL)
  string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_${config} "${CMAKE_C_FLAGS_${config}}")
endforeach()

function(td_try_compile_flags)
  foreach(flag ${ARGN})
    string(MAKE_C_IDENTIFIER "TD_HAS${flag}" id)
    check_c_compiler_flag("${flag}" ${id})
    if(${id})
      target_compile_options(td_options INTERFACE "${flag}")
    endif()
  endforeach()
endfunction()

function(td_try_link_flags)
  foreach(flag ${ARGN})
    string(MAKE_C_IDENTIFIER "TD_LINKS${flag}" id)
    check_linker_flag(C "${flag}" ${id})
    if(${id})
      target_link_options(td_options INTERFACE "${flag}")
    endif()
  endforeach()
endfunction()

td_try_compile_flags(
  -Wall -Wextra -Wconversion -Wno-sign-conversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith
  -Wformat=2 -Wimplicit-fallthrough -Wvla -Wundef -Wwrite-strings -Wtrampolines -Wbidi-chars=any
  -Werror=format-security -Werror=implicit -Werror=incompatible-pointer-types -Werror=int-conversion
  -fno-strict-aliasing -fno-strict-overflow -fno-delete-null-pointer-checks -fno-common)
if(TIDEMARK_WERROR)
  td_try_compile_flags(-Werror)
endif()

if(TIDEMARK_SANITIZE)
  target_compile_options(td_options INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(td_options INTERFACE -fsanitize=address,undefined)
  if(TIDEMARK_FUZZ)
    target_compile_options(td_options INTERFACE -fsanitize=fuzzer-no-link)
  endif()
elseif(TIDEMARK_TSAN)
  target_compile_options(td_options INTERFACE -fsanitize=thread)
  target_link_options(td_options INTERFACE -fsanitize=thread)
else()
  if(CMAKE_BUILD_TYPE MATCHES "Rel")
    target_compile_options(td_options INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
  endif()
  td_try_compile_flags(-fstack-clash-protection -fstack-protector-strong -fstrict-flex-arrays=3
    -ftrivial-auto-var-init=zero)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|amd64")
    td_try_compile_flags(-fcf-protection=full)
  elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64")
    td_try_compile_flags(-mbranch-protection=standard)
  endif()
  td_try_link_flags(-Wl,-z,noexecstack -Wl,-z,relro -Wl,-z,now -Wl,--as-needed -Wl,--no-copy-dt-needed-entries)
endif()
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
include(CheckPIESupported)
check_pie_supported(LANGUAGES C)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU" AND CMAKE_BUILD_TYPE STREQUAL "Release")
  target_compile_options(td_options INTERFACE -ffunction-sections -fdata-sections)
  td_try_link_flags(-Wl,--gc-sections)
endif()
