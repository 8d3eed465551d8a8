#include "deploy/samples/sample.h"

#include <stdio.h>

#include "deploy/samples/styles.h"

/* A stream of its own for each picture and for its words, so that none depends on how many are drawn. */
static struct cf_rng stream(uint64_t seed, size_t number, uint64_t purpose)
{
    struct cf_rng rng = cf_rng(seed);
    rng.state ^= cf_rng_u64(&rng) + (2 * (uint64_t)number + purpose) * 0xD1B54A32D192ED03u;
    (void)cf_rng_u64(&rng);
    return rng;
}

static const char *pick(struct cf_rng *rng, const char *const *words, size_t count)
{
    return words[cf_rng_below(rng, count)];
}

void cf_sample_words(uint64_t seed, size_t number, struct cf_sample *sample)
{
    static const char *const whose[] = {"North",  "Paper",  "Copper", "Silent", "Harbour", "Velvet",
                                        "Second", "Winter", "Glass",  "Open",   "Hollow",  "Amber"};
    static const char *const who[] = {"Parade", "Committee", "Orchard", "Signal",  "Machines", "Choir",
                                      "Theory", "Avenue",    "Weather", "Quartet", "Sisters",  "Department"};
    static const char *const how[] = {"Slow",  "Long",    "Another",  "Bright", "Lost",  "Early",
                                      "Plain", "Distant", "Borrowed", "Late",   "Small", "Endless"};
    static const char *const what[] = {"Rooms", "Tides",   "Letters", "Summer", "Circuits", "Mornings",
                                       "Maps",  "Engines", "Gardens", "Hours",  "Shadows",  "Arrivals"};
    struct cf_rng rng = stream(seed, number, 1);
    sample->style = cf_styles[number % CF_SAMPLE_STYLES].name;
    snprintf(sample->album, sizeof sample->album, "%s-%04zu", sample->style, number / CF_SAMPLE_STYLES);
    const char *first = pick(&rng, whose, 12), *second = pick(&rng, who, 12);
    snprintf(sample->artist, sizeof sample->artist, "%s %s", first, second);
    first = pick(&rng, how, 12);
    second = pick(&rng, what, 12);
    snprintf(sample->title, sizeof sample->title, "%s %s", first, second);
}

void cf_sample_draw(uint64_t seed, size_t number, uint8_t rgb[CF_SAMPLE_BYTES])
{
    struct cf_rng rng = stream(seed, number, 0);
    struct cf_canvas canvas;
    cf_styles[number % CF_SAMPLE_STYLES].draw(&canvas, &rng);
    cf_canvas_finish(&canvas, rgb);
}
