add_test(NAME style COMMAND /usr/bin/python3 ${CMAKE_SOURCE_DIR}/tests/style/check.py ${CMAKE_SOURCE_DIR})
set_tests_properties(style PROPERTIES LABELS style TIMEOUT 120)
