# What `cmake --install` puts where; cmake/package.cmake makes the Debian package of it.
include(GNUInstallDirs)
find_program(GZIP gzip)

install(TARGETS aiva-mqtt-bridge)
install(PROGRAMS config/aiva-mqtt-bridge-check.sh DESTINATION ${CMAKE_INSTALL_BINDIR} RENAME aiva-mqtt-bridge-check
  OPTIONAL)

# The unit names the folder of the program, and the manual is compressed. Both at installation: the
# prefix is known only then, and sources without config/, as in the container, can be built too.
# The folder is made now, by the user who builds: root, who installs, leaves files that he can replace.
set(staged ${CMAKE_BINARY_DIR}/staged)
file(MAKE_DIRECTORY ${staged})
install(CODE "
  file(GLOB stale \"${staged}/*\")
  if(stale)
    file(REMOVE \${stale})
  endif()
  file(READ \"${PROJECT_SOURCE_DIR}/config/aiva-mqtt-bridge.service\" unit)
  set(programs \"${CMAKE_INSTALL_BINDIR}\")
  cmake_path(ABSOLUTE_PATH programs BASE_DIRECTORY \"\${CMAKE_INSTALL_PREFIX}\")
  string(REPLACE /usr/local/bin \"\${programs}\" unit \"\${unit}\")
  file(WRITE \"${staged}/aiva-mqtt-bridge.service\" \"\${unit}\")
")
install(FILES ${staged}/aiva-mqtt-bridge.service DESTINATION lib/systemd/system)

function(install_compressed file name folder)
  install(CODE "execute_process(COMMAND ${GZIP} -9nc ${PROJECT_SOURCE_DIR}/${file}
    OUTPUT_FILE ${staged}/${name}.gz COMMAND_ERROR_IS_FATAL ANY)")
  install(FILES ${staged}/${name}.gz DESTINATION ${folder})
endfunction()
install_compressed(config/man/aiva-mqtt-bridge.1 aiva-mqtt-bridge.1 ${CMAKE_INSTALL_MANDIR}/man1)
install_compressed(config/man/aiva-mqtt-bridge.conf.5 aiva-mqtt-bridge.conf.5 ${CMAKE_INSTALL_MANDIR}/man5)
install_compressed(CHANGELOG.md changelog ${CMAKE_INSTALL_DOCDIR})

# Laid out as in the sources, so that the links from one document to another work.
install(FILES README.md SECURITY.md BENCHMARKS.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY config DESTINATION ${CMAKE_INSTALL_DOCDIR}
  PATTERN config/man EXCLUDE
  PATTERN config/debian EXCLUDE
  PATTERN config/hooks EXCLUDE
  PATTERN addon EXCLUDE
  PATTERN assemble-addon.sh EXCLUDE
  PATTERN mosquitto-demo.conf EXCLUDE
  PATTERN aiva-mqtt-bridge-check.sh EXCLUDE
  PATTERN aiva-mqtt-bridge.service EXCLUDE)
