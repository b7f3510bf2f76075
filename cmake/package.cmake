# The Debian package: cmake --build build/release --target package, or cpack -G DEB in build/release.
# It has what cmake/install.cmake installs, below /usr, and the component `debian`: what only a
# package should own.
set(BRIDGE_MAINTAINER "aiva-mqtt-bridge authors <maintainers@aiva-mqtt-bridge.invalid>" CACHE STRING
  "Who answers for the Debian package: name and address")

# A package is for the release that it was built on: it depends on the libraries of that one. Its version
# says which, so that the package for a later release replaces that for an earlier one.
cmake_host_system_information(RESULT release QUERY DISTRIB_INFO)
set(PACKAGE_SUITE unstable)
if(release_VERSION_CODENAME)
  set(PACKAGE_SUITE ${release_VERSION_CODENAME})
endif()
set(PACKAGE_REVISION 1)
if(release_ID STREQUAL debian AND release_VERSION_ID)
  set(PACKAGE_REVISION 1+deb${release_VERSION_ID}u1)
endif()

# CMake takes the date from SOURCE_DATE_EPOCH where that is set.
install(CODE "
  string(TIMESTAMP DATE \"%a, %d %b %Y %H:%M:%S +0000\" UTC)
  set(VERSION ${PROJECT_VERSION})
  set(REVISION ${PACKAGE_REVISION})
  set(SUITE ${PACKAGE_SUITE})
  set(MAINTAINER \"${BRIDGE_MAINTAINER}\")
  configure_file(${PROJECT_SOURCE_DIR}/config/debian/changelog.in ${staged}/changelog.Debian @ONLY)
  execute_process(COMMAND ${GZIP} -9nc ${staged}/changelog.Debian
    OUTPUT_FILE ${staged}/changelog.Debian.gz COMMAND_ERROR_IS_FATAL ANY)
" COMPONENT debian EXCLUDE_FROM_ALL)
install(FILES ${staged}/changelog.Debian.gz config/debian/copyright
  DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT debian EXCLUDE_FROM_ALL)
# The unit's user has to read it: a key goes into a file of its own.
install(FILES config/aiva-mqtt-bridge.example.json RENAME bridge.json
  DESTINATION /etc/aiva-mqtt-bridge COMPONENT debian EXCLUDE_FROM_ALL)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_CONTACT "${BRIDGE_MAINTAINER}")
set(CPACK_INSTALL_CMAKE_PROJECTS
  "${CMAKE_BINARY_DIR};${PROJECT_NAME};ALL;/;${CMAKE_BINARY_DIR};${PROJECT_NAME};debian;/")
set(CPACK_STRIP_FILES ON)
set(CPACK_SET_DESTDIR ON) # /etc is not below the prefix
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE ${PACKAGE_REVISION})
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
  "follows the event stream of AIVA's job API and publishes the state of each
job and every change of it as MQTT messages, for Home Assistant, Node-RED,
dashboards and scripts. Messages on command topics cancel, delete and
refresh jobs. The service runs once it has been given an API key.")
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS ca-certificates)
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS systemd)
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "mosquitto, mosquitto-clients")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
  ${PROJECT_SOURCE_DIR}/config/debian/conffiles ${PROJECT_SOURCE_DIR}/config/debian/postinst
  ${PROJECT_SOURCE_DIR}/config/debian/prerm ${PROJECT_SOURCE_DIR}/config/debian/postrm)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
