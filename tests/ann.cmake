cf_test(ann_exact LABEL property SOURCES property/ann_exact.c unit/ann_fixture.c LINK cf_ann cf_base m)
cf_test(ann_recall LABEL property SOURCES property/ann_recall.c unit/ann_fixture.c LINK cf_ann cf_base m)
