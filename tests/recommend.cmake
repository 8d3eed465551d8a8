cf_test(recommend_table LABEL unit SOURCES unit/recommend_table.c LINK cf_recommend cf_base SECONDS 20)
cf_test(recommend_auc LABEL unit SOURCES unit/recommend_auc.c LINK cf_recommend cf_base m SECONDS 20)
cf_test(recommend_file LABEL unit SOURCES unit/recommend_file.c unit/recommend_world.c LINK cf_recommend cf_base m)
cf_test(recommend_models LABEL unit SOURCES unit/recommend_models.c unit/recommend_world.c LINK cf_recommend cf_base m)
cf_test(recommend_koren LABEL property SOURCES property/recommend_koren.c unit/recommend_world.c
  LINK cf_recommend cf_base m)
cf_test(recommend_vector_exp LABEL property SOURCES property/recommend_vector_exp.c unit/recommend_world.c
  LINK cf_recommend cf_base m)
cf_test(recommend_rnn LABEL property SOURCES property/recommend_rnn.c unit/recommend_world.c
  LINK cf_recommend cf_base m)
cf_test(recommend_logistic LABEL unit SOURCES unit/recommend_logistic.c LINK cf_recommend cf_base m)
cf_test(recommend_mapping LABEL unit SOURCES unit/recommend_mapping.c LINK cf_recommend cf_base m)
