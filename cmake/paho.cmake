# The MQTT library, as the target `paho`.
#
# BRIDGE_PAHO=lean    Debian 12's static library without its debugging aids, see bridge/io/paho/lean.c:
#                     a quarter of the processor time a message
# BRIDGE_PAHO=shared  Debian's shared library as it is: its security updates reach the bridge without
#                     a new build
# BRIDGE_PAHO=auto    lean where the static library is the one that is known (Debian 12), shared
#                     elsewhere (Debian 13)
set(BRIDGE_PAHO auto CACHE STRING "The MQTT library: lean, shared or auto")
set_property(CACHE BRIDGE_PAHO PROPERTY STRINGS auto lean shared)

find_library(PAHO_MQTT3AS paho-mqtt3as REQUIRED)
find_library(PAHO_MQTT3AS_STATIC libpaho-mqtt3as.a)

# The version that lean.c and wire.c were written for, which is 1.3.12 and calls itself 1.3.11: what memory
# the library forgets and how its threads wait is part of no interface, and symbols do not tell it.
set(PAHO_KNOWN "MQTTAsyncV3_Version 1.3.11")

# What the two object files define. Others than these, and lean.c does not fit.
set(PAHO_AIDS
  HeapDump HeapDumpString Heap_findItem Heap_get_info Heap_initialize Heap_terminate Heap_unlink
  StackTrace_entry StackTrace_exit StackTrace_get StackTrace_printStack myfree mymalloc myrealloc
  setStack)

# System calls of the library, and one of OpenSSL, that bridge/io/paho/wire.c stands in for.
set(PAHO_WIRED
  connect recv SSL_read shutdown poll usleep pthread_cond_timedwait pthread_cond_signal
  pthread_create)

function(paho_read_aids archive result)
  execute_process(
    COMMAND ${CMAKE_NM} --extern-only --defined-only --print-file-name ${archive}
    OUTPUT_VARIABLE symbols ERROR_QUIET)
  string(REGEX MATCHALL ":(Heap|StackTrace)\\.c\\.o:[^\n]*" lines "${symbols}")
  list(TRANSFORM lines REPLACE ".* T " "")
  list(SORT lines COMPARE STRING)
  set(${result} "${lines}" PARENT_SCOPE)
endfunction()

# Whether the library makes these calls, and reads in no other way: wire.c has to know the socket.
function(paho_has_calls archive result)
  execute_process(
    COMMAND ${CMAKE_NM} --no-sort ${archive} OUTPUT_VARIABLE symbols ERROR_QUIET)
  set(${result} ON PARENT_SCOPE)
  foreach(function ${PAHO_WIRED})
    if(NOT symbols MATCHES " U ${function}\n")
      set(${result} OFF PARENT_SCOPE)
    endif()
  endforeach()
  if(NOT symbols MATCHES " [tT] MQTTAsync_processCommand\n"
      OR symbols MATCHES " U (__recv_chk|__poll_chk|ppoll|select|read|recvfrom|recvmsg)\n")
    set(${result} OFF PARENT_SCOPE)
  endif()
endfunction()

# Why the static library cannot be used; empty where it can.
function(paho_read_objection archive result)
  if(NOT archive)
    set(${result} "libpaho-mqtt3as.a is missing" PARENT_SCOPE)
    return()
  endif()
  file(STRINGS ${archive} version REGEX "^MQTTAsyncV3_Version " LIMIT_COUNT 1)
  paho_read_aids(${archive} aids)
  paho_has_calls(${archive} has_calls)
  set(objection "")
  if(NOT version STREQUAL PAHO_KNOWN)
    set(objection "libpaho-mqtt3as.a is \"${version}\", not \"${PAHO_KNOWN}\" of paho-mqtt-c 1.3.12")
  elseif(NOT aids STREQUAL "${PAHO_AIDS}" OR NOT has_calls)
    set(objection "libpaho-mqtt3as.a was not built as that of Debian 12")
  endif()
  set(${result} "${objection}" PARENT_SCOPE)
endfunction()

set(PAHO_KIND shared)
set(objection "as asked for")
if(NOT BRIDGE_PAHO STREQUAL shared)
  paho_read_objection("${PAHO_MQTT3AS_STATIC}" objection)
  if(NOT objection)
    set(PAHO_KIND lean)
  elseif(BRIDGE_PAHO STREQUAL lean)
    message(FATAL_ERROR "BRIDGE_PAHO=lean: ${objection}")
  endif()
endif()

find_package(OpenSSL REQUIRED)
add_library(paho INTERFACE)
if(PAHO_KIND STREQUAL lean)
  set(PAHO_REWIRED ${CMAKE_BINARY_DIR}/paho/libpaho-mqtt3as.a)
  set(renamed)
  foreach(function ${PAHO_WIRED})
    list(APPEND renamed --redefine-sym ${function}=wire_${function})
  endforeach()
  add_custom_command(OUTPUT ${PAHO_REWIRED}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/paho
    COMMAND ${CMAKE_OBJCOPY} --globalize-symbol=MQTTAsync_processCommand ${renamed}
            ${PAHO_MQTT3AS_STATIC} ${PAHO_REWIRED}
    DEPENDS ${PAHO_MQTT3AS_STATIC}
    VERBATIM)
  add_custom_target(paho_rewired DEPENDS ${PAHO_REWIRED})
  # As object files they come before the library, whose own are then never looked at.
  add_library(paho_lean OBJECT bridge/io/paho/checkhost.c bridge/io/paho/lean.c
    bridge/io/paho/pool.c bridge/io/paho/wire.c)
  target_include_directories(paho_lean PRIVATE ${PROJECT_SOURCE_DIR}/include/io)
  target_link_libraries(paho_lean PRIVATE core OpenSSL::SSL OpenSSL::Crypto)
  # Never part of a shared library, so that thread-local variables need no call to the loader.
  target_compile_options(paho_lean PRIVATE -ftls-model=initial-exec)
  add_dependencies(paho paho_rewired)
  target_link_libraries(paho INTERFACE
    $<TARGET_OBJECTS:paho_lean> ${PAHO_REWIRED} OpenSSL::SSL OpenSSL::Crypto)
else()
  add_library(paho_plain OBJECT bridge/io/paho/checkhost.c bridge/io/paho/nowire.c)
  target_include_directories(paho_plain PRIVATE ${PROJECT_SOURCE_DIR}/include/io)
  target_link_libraries(paho_plain PRIVATE base OpenSSL::Crypto)
  target_link_libraries(paho INTERFACE
    $<TARGET_OBJECTS:paho_plain> ${PAHO_MQTT3AS} OpenSSL::SSL OpenSSL::Crypto)
endif()
if(objection)
  message(STATUS "MQTT library: ${PAHO_KIND} (${objection})")
else()
  message(STATUS "MQTT library: ${PAHO_KIND}")
endif()
