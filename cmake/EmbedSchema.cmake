# Turns schema/NNN_what.sql files into one C source with td_<name>_migrations[] (see core/db/migrate.h).
# SPDX-License-Identifier: Apache-2.0
set(text "/* Generated from the steps in schema by cmake/EmbedSchema.cmake. */\n#include \"core/db/migrate.h\"\n\nextern const td_migration td_${NAME}_migrations[];\nconst td_migration td_${NAME}_migrations[] = {\n")
foreach(file ${FILES})
  get_filename_component(base "${file}" NAME_WE)
  string(REGEX MATCH "^[0-9]+" number "${base}")
  string(REGEX REPLACE "^0+" "" number "${number}")
  file(READ "${file}" sql HEX)
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," sql "${sql}")
  string(REGEX REPLACE "((0x[0-9a-f][0-9a-f],)(0x[0-9a-f][0-9a-f],)(0x[0-9a-f][0-9a-f],)(0x[0-9a-f][0-9a-f],)(0x[0-9a-f][0-9a-f],)(0x[0-9a-f][0-9a-f],)(0x[0-9a-f][0-9a-f],)(0x[0-9a-f][0-9a-f],))" "\\1\n" sql "${sql}")
  string(APPEND text "    {\"${NAME}\", ${number}, \"${base}\", (const char[]){\n${sql}0}},\n")
endforeach()
string(APPEND text "    {0, 0, 0, 0},\n};\n")
file(WRITE "${OUTPUT}" "${text}")
