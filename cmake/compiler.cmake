# Warnings, sanitizers and hardening for every target of the project, as one interface library.
add_library(bridge_compiler INTERFACE)

target_compile_definitions(bridge_compiler INTERFACE _GNU_SOURCE)
target_compile_options(bridge_compiler INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
  -Wformat=2 -Wvla -Wundef -Wswitch-enum)
if(BRIDGE_WERROR)
  target_compile_options(bridge_compiler INTERFACE -Werror)
endif()

# Assertions state what the code relies on; they stay on in release builds.
string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_RELEASE "${CMAKE_C_FLAGS_RELEASE}")
string(REPLACE "-O3" "-O2" CMAKE_C_FLAGS_RELEASE "${CMAKE_C_FLAGS_RELEASE}")

if(BRIDGE_SANITIZE)
  target_compile_options(bridge_compiler INTERFACE
    -fsanitize=${BRIDGE_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  target_link_options(bridge_compiler INTERFACE -fsanitize=${BRIDGE_SANITIZE})
elseif(CMAKE_BUILD_TYPE STREQUAL "Release")
  # tests/style/hardening.py looks for the effect of each.
  target_compile_options(bridge_compiler INTERFACE
    -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3 -fstack-protector-strong -fstack-clash-protection)
  if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|i.86")
    target_compile_options(bridge_compiler INTERFACE -fcf-protection)
  endif()
  target_link_options(bridge_compiler INTERFACE -pie -Wl,-z,relro,-z,now,-z,noexecstack)
endif()
if(BRIDGE_COVERAGE)
  # Atomic: the MQTT library's threads run code of ours too.
  target_compile_options(bridge_compiler INTERFACE --coverage -fprofile-update=atomic)
  target_link_options(bridge_compiler INTERFACE --coverage)
endif()
if(BRIDGE_FUZZ)
  target_compile_options(bridge_compiler INTERFACE -fsanitize=fuzzer-no-link)
endif()
