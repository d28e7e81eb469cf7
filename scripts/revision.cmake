# Write OUTPUT with the revision of the sources in SOURCE, touching it only when it changed.
cmake_minimum_required(VERSION 3.25)

find_program(git git)
set(revision "unknown")
if(git)
  execute_process(COMMAND ${git} -C ${SOURCE} describe --always --dirty --abbrev=12 --exclude=*
    OUTPUT_VARIABLE found OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
  if(NOT failed)
    set(revision "${found}")
  endif()
endif()
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT "#define BENCH_REVISION \"@revision@\"\n" @ONLY)
