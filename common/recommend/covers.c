#include "common/recommend/covers.h"

#include <math.h>

enum { NEAREST_MAX = 5 };

const char *cf_covers_way_name(enum cf_covers_way way)
{
    static const char *const names[CF_COVERS_WAY_COUNT] = {"nearest", "nearest 5", "mean",
                                                           "liked less disliked"};
    return names[way];
}

static const float *vector_of(const struct cf_covers *covers, uint32_t album)
{
    return album < covers->album_count ? covers->vectors[album] : NULL;
}

static double distance(const float *a, const float *b, uint32_t dim)
{
    float sum[8] = {0};
    uint32_t i = 0;
    for (; i + 8 <= dim; i += 8)
        for (unsigned j = 0; j < 8; j++)
            sum[j] += (a[i + j] - b[i + j]) * (a[i + j] - b[i + j]);
    for (; i < dim; i++)
        sum[0] += (a[i] - b[i]) * (a[i] - b[i]);
    return sqrt((double)(((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]))));
}

/* Of an album to a list of others: the least distances, ascending, and the mean. */
struct distances {
    double nearest[NEAREST_MAX], sum;
    size_t count;
};

static void keep_nearest(struct distances *d, double value)
{
    size_t held = d->count < NEAREST_MAX ? d->count : NEAREST_MAX, i = held;
    if (held == NEAREST_MAX) {
        if (value >= d->nearest[NEAREST_MAX - 1])
            return;
        i--;
    }
    for (; i > 0 && d->nearest[i - 1] > value; i--)
        d->nearest[i] = d->nearest[i - 1];
    d->nearest[i] = value;
}

static struct distances measure(const struct cf_covers *covers, const float *from, uint32_t album,
                                const uint32_t *others, size_t count)
{
    struct distances d = {.count = 0};
    for (size_t i = 0; i < count; i++) {
        const float *to = others[i] == album ? NULL : vector_of(covers, others[i]);
        if (!to)
            continue;
        double value = distance(from, to, covers->dim);
        keep_nearest(&d, value);
        d.sum += value;
        d.count++;
    }
    return d;
}

static double mean_nearest(const struct distances *d)
{
    size_t held = d->count < NEAREST_MAX ? d->count : NEAREST_MAX;
    double sum = 0;
    for (size_t i = 0; i < held; i++)
        sum += d->nearest[i];
    return sum / (double)held;
}

double cf_covers_score(const struct cf_covers *covers, enum cf_covers_way way, const struct cf_seeds *seeds,
                       uint32_t album)
{
    const float *from = vector_of(covers, album);
    if (!from)
        return NAN;
    struct distances liked = measure(covers, from, album, seeds->liked, seeds->liked_count),
                     disliked = {.count = 0};
    if (liked.count == 0)
        return NAN;
    double mean = liked.sum / (double)liked.count;
    switch (way) {
    case CF_COVERS_NEAREST:
        return -liked.nearest[0];
    case CF_COVERS_NEAREST5:
        return -mean_nearest(&liked);
    case CF_COVERS_CONTRAST:
        disliked = measure(covers, from, album, seeds->disliked, seeds->disliked_count);
        return disliked.count ? disliked.sum / (double)disliked.count - mean : -mean;
    default:
        return -mean;
    }
}
