/* Numbers put in the order of their keys, by their digits: for the many short lists of a calibration, where
 * asking a function about every two of them takes most of the time. */
#ifndef CF_ANN_ORDER_H
#define CF_ANN_ORDER_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A number above another when its key is; of equal keys, when `number` is. Both zeros are one key; a key is a
 * number. */
static inline uint64_t cf_ann_keyed(float key, uint32_t number)
{
    uint32_t bits;

    key += 0.0f;
    memcpy(&bits, &key, sizeof bits);
    bits ^= bits >> 31 ? UINT32_MAX : UINT32_C(1) << 31;
    return (uint64_t)bits << 32 | number;
}

enum { CF_ANN_ORDER_ALL = 0, CF_ANN_ORDER_KEYS = 32 };
/* Ascending, by the bits from `first_bit` on; what is equal in these stays in its order. spare[count]. */
void cf_ann_order(uint64_t *values, uint64_t *spare, size_t count, unsigned first_bit);

#endif
