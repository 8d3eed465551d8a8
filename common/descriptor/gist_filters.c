#include <math.h>

#include "common/descriptor/gist.h"

static const double pi = 3.14159265358979323846;

double cf_gist_frequency(uint32_t m, uint32_t n)
{
    double f = m < n / 2 ? (double)m : (double)m - n;
    return n % 2 ? f + 0.5 : f;
}

double cf_gist_low_pass(double fx, double fy)
{
    /* s = 4 / sqrt(ln 2): half the gain at 4 cycles, s² = 16 / ln 2. */
    return exp(-(fx * fx + fy * fy) * log(2.0) / 16);
}

double cf_gist_gabor(uint32_t filter, double fx, double fy, uint32_t width, uint32_t height)
{
    static const uint32_t orientations[3] = {8, 8, 4};
    uint32_t scale = filter / 8, n = orientations[scale];
    double period = 0.3 / pow(1.85, scale);
    double spread = (double)(n * n) / 64;
    double radius = sqrt(fx * fx + fy * fy);
    double angle = (radius > 0 ? atan2(fy, fx) : 0) + pi * (filter % 8) / n;
    if (angle < -pi)
        angle += 2 * pi;
    if (angle > pi)
        angle -= 2 * pi;
    return exp(-3.5 * (radius / (height * period) - 1) * (radius / (width * period) - 1) -
               2 * pi * spread * angle * angle);
}
