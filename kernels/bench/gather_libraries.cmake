# cmake -DPROGRAM=FILE -DFOLDER=DIR -P: the shared libraries that a program loads go to FOLDER, so that both can be copied
# to another machine; the C library and its loader to FOLDER/c, for machines whose own is older.
file(REMOVE_RECURSE ${FOLDER})  # first, or it is found
file(GET_RUNTIME_DEPENDENCIES EXECUTABLES ${PROGRAM} RESOLVED_DEPENDENCIES_VAR libraries)
file(MAKE_DIRECTORY ${FOLDER}/c)
foreach(library ${libraries})
  get_filename_component(name ${library} NAME)
  set(place ${FOLDER})
  if(name MATCHES "^(lib(c|m|dl|rt|pthread)\\.so|ld-linux)")
    set(place ${FOLDER}/c)
    get_filename_component(beside ${library} DIRECTORY)
  endif()
  file(COPY_FILE ${library} ${place}/${name})  # by the name that is asked for, no links
endforeach()
foreach(stub libdl.so.2 libpthread.so.0 librt.so.1)  # empty since 2.34; the driver asks for them
  if(EXISTS ${beside}/${stub})
    file(COPY_FILE ${beside}/${stub} ${FOLDER}/c/${stub})
  endif()
endforeach()
