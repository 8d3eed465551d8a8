# Real processes in folders of their own; they run one at a time, for they share two cores with each other.
function(cf_integration name seconds label)
  add_test(NAME ${name} COMMAND /usr/bin/python3 -B ${CMAKE_SOURCE_DIR}/tests/integration/${ARGN})
  set_tests_properties(${name} PROPERTIES LABELS ${label} TIMEOUT ${seconds} SKIP_RETURN_CODE 77 RUN_SERIAL ON
    ENVIRONMENT "COVERFLEET_BIN=${CMAKE_RUNTIME_OUTPUT_DIRECTORY}")
endfunction()

cf_integration(samples_end_to_end 300 integration samples_end_to_end.py)
cf_integration(bad_input 180 integration bad_input.py)
cf_integration(features 180 integration features.py)
cf_integration(push 120 integration push.py)
cf_integration(vectors 180 integration vectors.py)
cf_integration(fleet_load_short 180 integration ../bench/fleet_load.py --count 3000 --
  --seconds 2 --warm 200ms --rebuild-every 1s --rate 100 --push-rate 50)
cf_integration(quarantine 60 integration quarantine.py)
cf_integration(kills 400 integration kills.py)
cf_integration(kill_storm_short 240 integration kills.py --storm 12)
cf_integration(freshness 180 integration freshness.py)
cf_integration(damaged_shards 120 integration damaged_shards.py)
cf_integration(disk_full 240 integration disk_full.py)
cf_integration(deploy_scripts 240 integration deploy.py)
# Without ids and by cosine once the engine can: then all of them.
cf_integration(offline 240 integration offline.py the_evening bad_pictures_are_passed_over_by_name
  what_is_wrong_is_refused_and_leaves_nothing exact_is_exact the_same_whatever_the_threads
  an_interrupted_build_leaves_nothing)
cf_integration(real_covers 600 integration real_covers.py)
cf_integration(kill_storm 400 long kills.py --storm 60)
cf_integration(mutations 240 integration mutations.py)
cf_integration(mutations_long 3600 long mutations.py --count 100000)
