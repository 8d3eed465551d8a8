#include "deploy/cli/sure.h"

#include <math.h>

const char *cf_sure_word(double cosine)
{
    return cosine > CF_SURE_SAME       ? "same"
           : cosine > CF_SURE_PROBABLY ? "probably"
           : cosine > CF_SURE_LOOK     ? "look yourself"
                                       : "no";
}

bool cf_sure_in(struct cf_str space)
{
    return cf_str_is(space, "copy");
}

double cf_sure_cosine(double distance)
{
    return 1 - distance * distance / 2;
}

double cf_sure_distance(double cosine)
{
    return sqrt(fmax(0, 2 - 2 * cosine));
}
