/* Listens as a sparse matrix of users by albums, row by row: counts of the same pair are added up. And its
 * transpose. */
#ifndef CF_RECOMMEND_MATRIX_H
#define CF_RECOMMEND_MATRIX_H

#include "common/recommend/table.h"

struct cf_matrix {
    uint32_t row_count, column_count;
    uint64_t *first;   /* [row_count + 1] into columns and values */
    uint32_t *columns; /* ascending within a row */
    float *values;
};

/* CF_E_NO_MEMORY. user_count and album_count may be larger than what the listens name. */
enum cf_err cf_matrix_of(const struct cf_listens *listens, uint32_t user_count, uint32_t album_count,
                         struct cf_matrix *matrix, struct cf_detail *detail) CF_MUST_CHECK;
/* Thumbs likewise: 1 for up, -1 for down; a pair that was thumbed both ways (for several seeds) may be 0. */
enum cf_err cf_matrix_of_thumbs(const struct cf_thumbs *thumbs, uint32_t user_count, uint32_t album_count,
                                struct cf_matrix *matrix, struct cf_detail *detail) CF_MUST_CHECK;
enum cf_err cf_matrix_transpose(const struct cf_matrix *matrix, struct cf_matrix *out,
                                struct cf_detail *detail) CF_MUST_CHECK;
void cf_matrix_fini(struct cf_matrix *matrix);

static inline uint64_t cf_matrix_nonzeros(const struct cf_matrix *matrix)
{
    return matrix->first[matrix->row_count];
}

#endif
