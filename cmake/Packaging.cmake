# What is installed where, and three Debian packages of it: tidemark (the program and its man page), tidemark-server (units
# and users of the server and the worker), tidemark-agent (what a device needs, and the client libraries).
# `./run package` makes them. SPDX-License-Identifier: Apache-2.0
include(GNUInstallDirs)

set(docs "${CMAKE_BINARY_DIR}/package")
file(MAKE_DIRECTORY "${docs}")

set(release 1) # of the packaging
configure_file(packaging/debian/changelog.in "${docs}/changelog.Debian" @ONLY)

# Made by the program itself, so that neither can differ from --help.
add_custom_target(package_files
  COMMAND tidemark completion bash > "${docs}/tidemark.bash"
  COMMAND gzip -9n < "${CMAKE_SOURCE_DIR}/docs/man/tidemark.1" > "${docs}/tidemark.1.gz"
  COMMAND gzip -9n < "${CMAKE_SOURCE_DIR}/docs/man/tidemark-agent.1" > "${docs}/tidemark-agent.1.gz"
  COMMAND gzip -9n < "${CMAKE_SOURCE_DIR}/docs/man/tidemark-agent-enrol.1" > "${docs}/tidemark-agent-enrol.1.gz"
  COMMAND gzip -9n < "${CMAKE_SOURCE_DIR}/CHANGELOG.md" > "${docs}/changelog.gz"
  COMMAND gzip -9n < "${docs}/changelog.Debian" > "${docs}/changelog.Debian.gz"
  DEPENDS tidemark VERBATIM)

function(td_install component)
  cmake_parse_arguments(arg "" "TO;AS" "" ${ARGN})
  set(rename "")
  if(arg_AS)
    set(rename RENAME "${arg_AS}")
  endif()
  install(FILES ${arg_UNPARSED_ARGUMENTS} DESTINATION "${arg_TO}" COMPONENT ${component} ${rename})
endfunction()

install(TARGETS tidemark RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}" COMPONENT cli)
td_install(cli "${docs}/tidemark.1.gz" TO "${CMAKE_INSTALL_MANDIR}/man1")
td_install(cli "${docs}/tidemark.bash" TO "${CMAKE_INSTALL_DATADIR}/bash-completion/completions" AS tidemark)

set(units lib/systemd/system)
set(sysusers lib/sysusers.d)
td_install(server packaging/tidemark.service packaging/tidemark-signer.socket packaging/tidemark-signer.service
  packaging/tidemark-worker.service TO ${units})
td_install(server packaging/tidemark-server.sysusers TO ${sysusers} AS tidemark-server.conf)

install(TARGETS tidemark-agent tidemark-agent-enrol RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}" COMPONENT agent)
install(TARGETS td_client ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT agent)
td_install(agent firmware/linux/client/tidemark_client.h TO "${CMAKE_INSTALL_INCLUDEDIR}")
td_install(agent firmware/linux/python/tidemark_client.py TO "${CMAKE_INSTALL_DATADIR}/tidemark/python")
td_install(agent "${docs}/tidemark-agent.1.gz" "${docs}/tidemark-agent-enrol.1.gz" TO "${CMAKE_INSTALL_MANDIR}/man1")
td_install(agent packaging/tidemark-agent.service TO ${units})
td_install(agent packaging/tidemark-agent.sysusers TO ${sysusers} AS tidemark-agent.conf)

foreach(component cli server agent)
  set(name tidemark-${component})
  if(component STREQUAL cli)
    set(name tidemark)
  endif()
  td_install(${component} packaging/debian/copyright "${docs}/changelog.gz" "${docs}/changelog.Debian.gz"
    TO "${CMAKE_INSTALL_DATADIR}/doc/${name}")
  string(TOUPPER ${component} upper)
  set(CPACK_DEBIAN_${upper}_PACKAGE_NAME ${name})
  set(CPACK_DEBIAN_${upper}_FILE_NAME DEB-DEFAULT)
endforeach()

set(scripts "${CMAKE_SOURCE_DIR}/packaging/debian")
foreach(component server agent)
  string(TOUPPER ${component} upper)
  set(extra "")
  foreach(script postinst prerm postrm)
    configure_file("${scripts}/${component}.${script}" "${docs}/${component}/${script}" COPYONLY)
    list(APPEND extra "${docs}/${component}/${script}")
  endforeach()
  set(CPACK_DEBIAN_${upper}_PACKAGE_CONTROL_EXTRA "${extra}")
endforeach()

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME tidemark)
set(CPACK_PACKAGE_VERSION "${PROJECT_VERSION}")
set(CPACK_DEBIAN_PACKAGE_RELEASE ${release})
set(CPACK_PACKAGE_CONTACT "Tidemark maintainers <maintainers@tidemark.example>")
set(CPACK_PACKAGE_DIRECTORY "${CMAKE_BINARY_DIR}")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL cli server agent)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ
    WORLD_EXECUTE)
set(CPACK_DEBIAN_PACKAGE_SECTION misc)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_CLI_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_AGENT_PACKAGE_SHLIBDEPS ON)
# libcurl is loaded by name (core/http), so that the linker's list of libraries lacks it.
set(CPACK_DEBIAN_CLI_PACKAGE_DEPENDS "libcurl4")
set(CPACK_DEBIAN_SERVER_PACKAGE_DEPENDS "tidemark (= ${PROJECT_VERSION}-${release}), mosquitto, systemd | systemd-standalone-sysusers")
set(CPACK_DEBIAN_SERVER_PACKAGE_ARCHITECTURE all)
set(CPACK_DEBIAN_AGENT_PACKAGE_DEPENDS "systemd | systemd-standalone-sysusers")
set(CPACK_COMPONENT_CLI_DESCRIPTION "Tidemark: model registry and MLOps monitor for edge fleets
 The program: client, offline tools, and the server itself (tidemark-server
 brings its units and users).")
set(CPACK_COMPONENT_SERVER_DESCRIPTION "Tidemark as a service: registry, monitor and broker
 Units and users for the server and for the worker that runs pipelines.")
set(CPACK_COMPONENT_AGENT_DESCRIPTION "Tidemark agent: receives models on a device and watches them
 The agent, its enrolment program, and the libraries with which applications
 report what their model sees.")
include(CPack)
