/* The file of a covernet: model/MODEL.md says what lies where. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/descriptor/covernet_layers.h"

#define MAGIC "CVRNET\r\n"
enum { VERSION = 1, HEADER_BYTES = 64, RECORD_WORDS = 11, ALIGN = 64, FILE_BYTES_MAX = 64 << 20 };
enum { TYPE_CONV = 1, TYPE_GEM = 2, TYPE_LINEAR = 3 };
enum { FLAG_KEEP = 1, FLAG_ADD = 2 };
enum { FLOAT32 = 0, FLOAT16 = 1 };

struct record {
    uint32_t type, cin, cout, k, stride, pad, groups, act, flags, weights_at, bias_at;
};

struct reader {
    const char *path;
    struct cf_bytes file, payload;
    uint32_t layer_count, dtype;
    struct cf_covernet_layers *layers;
    float *next;             /* free place in layers->values */
    size_t room;             /* floats left there */
    uint32_t side, channels; /* of the activation that the next layer takes */
    struct cf_detail *detail;
};

static uint32_t word_at(struct cf_bytes bytes, size_t offset)
{
    uint32_t word;
    memcpy(&word, bytes.data + offset, sizeof word);
    return word;
}

static float float_at(struct cf_bytes bytes, size_t offset)
{
    float value;
    memcpy(&value, bytes.data + offset, sizeof value);
    return value;
}

static enum cf_err corrupt(const struct reader *r, const char *what)
{
    return cf_fail(r->detail, CF_E_CORRUPT, "%.200s: %s: this is no whole model of a covernet", r->path,
                   what);
}

/* IEEE binary16, subnormals too. */
static float from_half(uint16_t half)
{
    uint32_t exponent = half >> 10 & 31, fraction = half & 1023;
    float value = exponent == 0    ? ldexpf((float)fraction, -24)
                  : exponent == 31 ? (fraction ? NAN : INFINITY)
                                   : ldexpf((float)(fraction | 1024), (int)exponent - 25);
    return half & 0x8000 ? -value : value;
}

/* `count` values at an offset of the payload, as floats of our own. */
static enum cf_err take(struct reader *r, uint32_t dtype, uint32_t offset, size_t count, const float **out)
{
    size_t size = dtype == FLOAT16 ? 2 : 4;
    if (offset % ALIGN || offset > r->payload.len || count > (r->payload.len - offset) / size ||
        count > r->room)
        return corrupt(r, "a tensor reaches beyond the end");
    for (size_t i = 0; i < count; i++) {
        const uint8_t *at = r->payload.data + offset + i * size;
        uint16_t half;
        if (dtype == FLOAT16) {
            memcpy(&half, at, sizeof half);
            r->next[i] = from_half(half);
        } else {
            memcpy(&r->next[i], at, sizeof(float));
        }
        if (!isfinite(r->next[i]))
            return corrupt(r, "a weight is not a finite number");
    }
    *out = r->next;
    r->next += count;
    r->room -= count;
    return CF_OK;
}

static bool fits_conv(const struct reader *r, const struct record *c)
{
    return r->side > 0 && c->cin == r->channels && c->cout >= 1 && c->cout <= CF_COVERNET_CHANNELS_MAX &&
           c->k == CF_COVERNET_KERNEL && (c->stride == 1 || c->stride == 2) && r->side % c->stride == 0 &&
           c->pad == 1 && c->groups == 1 && c->act == 1 && (c->flags & ~3u) == 0 && !r->layers->pooled;
}

/* Two buffers take turns, so what is kept is added by the very next layer, which writes where it lies. */
static bool fits_kept(const struct cf_covernet_layers *l)
{
    const struct cf_covernet_conv *conv = &l->convs[l->conv_count - 1], *before = conv - 1;
    if (!conv->add)
        return l->conv_count > 1 ? !before->keep : !conv->keep;
    return l->conv_count > 1 && before->keep && before->side == conv->out && before->cin == conv->cout;
}

static enum cf_err add_conv(struct reader *r, const struct record *c)
{
    struct cf_covernet_layers *l = r->layers;
    if (!fits_conv(r, c))
        return corrupt(r, "a convolution does not fit the layer before it");
    struct cf_covernet_conv *conv = &l->convs[l->conv_count++];
    *conv = (struct cf_covernet_conv){.cin = c->cin,
                                      .cout = c->cout,
                                      .side = r->side,
                                      .out = r->side / c->stride,
                                      .stride = c->stride,
                                      .keep = c->flags & FLAG_KEEP,
                                      .add = c->flags & FLAG_ADD};
    if (!fits_kept(l))
        return corrupt(r, "what is added was not kept by the layer before, in the same shape");
    r->side = conv->out;
    r->channels = c->cout;
    enum cf_err err = take(r, r->dtype, c->weights_at, (size_t)c->cout * c->cin * 9, &conv->weights);
    return err ? err : take(r, FLOAT32, c->bias_at, c->cout, &conv->bias);
}

static enum cf_err add_pool(struct reader *r, const struct record *c)
{
    if (c->cin != r->channels || c->cout != r->channels || r->layers->pooled || !r->layers->conv_count)
        return corrupt(r, "the pooling does not fit the layer before it");
    r->layers->pooled = r->channels;
    return CF_OK;
}

static enum cf_err add_head(struct reader *r, const struct record *c)
{
    static const uint32_t dims[CF_COVERNET_HEADS] = {CF_COVERNET_COPY_DIM, CF_COVERNET_STYLE_DIM};
    if (!r->layers->pooled || c->cin != r->layers->pooled || c->flags >= CF_COVERNET_HEADS ||
        c->cout != dims[c->flags] || r->layers->heads[c->flags].cout)
        return corrupt(r, "a head has the wrong shape");
    struct cf_covernet_head *head = &r->layers->heads[c->flags];
    *head = (struct cf_covernet_head){.cin = c->cin, .cout = c->cout};
    enum cf_err err = take(r, r->dtype, c->weights_at, (size_t)c->cout * c->cin, &head->weights);
    return err ? err : take(r, FLOAT32, c->bias_at, c->cout, &head->bias);
}

static enum cf_err add_layer(struct reader *r, uint32_t number)
{
    struct record record;
    memcpy(&record, r->file.data + HEADER_BYTES + (size_t)number * sizeof record, sizeof record);
    switch (record.type) {
    case TYPE_CONV:
        return add_conv(r, &record);
    case TYPE_GEM:
        return add_pool(r, &record);
    case TYPE_LINEAR:
        return add_head(r, &record);
    default:
        return corrupt(r, "a layer is of an unknown type");
    }
}

static enum cf_err read_header(struct reader *r)
{
    if (r->file.len < HEADER_BYTES || memcmp(r->file.data, MAGIC, 8) != 0)
        return corrupt(r, "it does not begin like one");
    if (word_at(r->file, 8) != VERSION)
        return cf_fail(r->detail, CF_E_BAD_VERSION, "%.200s: a model of version %u: %d is wanted", r->path,
                       word_at(r->file, 8), VERSION);
    r->layer_count = word_at(r->file, 12);
    r->dtype = word_at(r->file, 28);
    r->layers->mean = float_at(r->file, 32);
    r->layers->divisor = float_at(r->file, 36);
    r->layers->power = float_at(r->file, 40);
    if (word_at(r->file, 16) != CF_COVERNET_SIDE || word_at(r->file, 20) != CF_COVERNET_SIDE ||
        word_at(r->file, 24) != 3)
        return corrupt(r, "it is not for thumbnails of 64 x 64");
    if (r->layer_count > CF_COVERNET_LAYERS_MAX || r->dtype > FLOAT16 || !isfinite(r->layers->mean) ||
        !(r->layers->divisor > 0) || !(r->layers->power > 0))
        return corrupt(r, "its header is damaged");
    size_t begin = (HEADER_BYTES + r->layer_count * sizeof(struct record) + ALIGN - 1) / ALIGN * ALIGN;
    if (begin > r->file.len || word_at(r->file, 44) != r->file.len - begin)
        return corrupt(r, "it was cut short, or something follows it");
    r->payload = (struct cf_bytes){r->file.data + begin, r->file.len - begin};
    if (cf_crc32(r->payload) != word_at(r->file, 48))
        return corrupt(r, "its checksum is wrong");
    return CF_OK;
}

static enum cf_err read_layers(struct reader *r)
{
    enum cf_err err = read_header(r);
    if (err)
        return err;
    r->room = r->payload.len / 2;
    r->next = r->layers->values = malloc((r->room + 1) * sizeof(float));
    if (!r->next)
        return cf_fail(r->detail, CF_E_NO_MEMORY, "%.200s: no memory for its weights", r->path);
    for (uint32_t i = 0; i < r->layer_count && !err; i++)
        err = add_layer(r, i);
    if (!err && (!r->layers->heads[0].cout || !r->layers->heads[1].cout))
        err = corrupt(r, "a head is missing");
    return err;
}

enum cf_err cf_covernet_layers_read(const char *path, struct cf_covernet_layers *layers,
                                    struct cf_detail *detail)
{
    struct cf_buf file;
    cf_buf_init(&file);
    *layers = (struct cf_covernet_layers){0};
    enum cf_err err = cf_file_read(path, FILE_BYTES_MAX, &file, detail);
    if (!err) {
        struct reader reader = {.path = path,
                                .file = cf_buf_bytes(&file),
                                .layers = layers,
                                .side = CF_COVERNET_SIDE,
                                .channels = 3,
                                .detail = detail};
        err = read_layers(&reader);
    }
    cf_buf_fini(&file);
    if (err)
        cf_covernet_layers_fini(layers);
    return err;
}

void cf_covernet_layers_fini(struct cf_covernet_layers *layers)
{
    free(layers->values);
    *layers = (struct cf_covernet_layers){0};
}

size_t cf_covernet_floats_max(const struct cf_covernet_layers *layers)
{
    size_t most = (size_t)CF_COVERNET_SIDE * CF_COVERNET_SIDE * 3;
    for (size_t i = 0; i < layers->conv_count; i++) {
        size_t floats = (size_t)layers->convs[i].out * layers->convs[i].out * layers->convs[i].cout;
        most = floats > most ? floats : most;
    }
    return most;
}
