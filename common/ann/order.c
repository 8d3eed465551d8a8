#include "common/ann/order.h"

#include <stdbool.h>

enum { DIGIT = 11, DIGIT_COUNT = 1 << DIGIT };

static size_t digit_of(uint64_t value, unsigned bit)
{
    return value >> bit & (DIGIT_COUNT - 1);
}

/* A counting sort by one digit; false where it would change nothing, as all share it. */
static bool order_by_digit(const uint64_t *from, uint64_t *to, size_t count, unsigned bit)
{
    size_t begin[DIGIT_COUNT] = {0}, total = 0;

    for (size_t i = 0; i < count; i++)
        begin[digit_of(from[i], bit)]++;
    if (count == 0 || begin[digit_of(from[0], bit)] == count)
        return false;
    for (size_t d = 0; d < DIGIT_COUNT; d++) {
        size_t here = begin[d];
        begin[d] = total;
        total += here;
    }
    for (size_t i = 0; i < count; i++)
        to[begin[digit_of(from[i], bit)]++] = from[i];
    return true;
}

void cf_ann_order(uint64_t *values, uint64_t *spare, size_t count, unsigned first_bit)
{
    uint64_t *now = values, *next = spare;

    for (unsigned bit = first_bit; bit < 64; bit += DIGIT)
        if (order_by_digit(now, next, count, bit)) {
            uint64_t *ordered = next;
            next = now;
            now = ordered;
        }
    if (now != values)
        memcpy(values, now, count * sizeof *values);
}
