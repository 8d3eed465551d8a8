#include "proto/msg.h"

#include "proto/msg_tables.h"
#include "proto/record.h"

static const char *const kind_names[CF_KIND_COUNT] = {
#define KIND_NAME(constant, name, member) [constant] = name,
    CF_KIND_LIST(KIND_NAME)
#undef KIND_NAME
};

static const char *const role_names[CF_ROLE_COUNT] = {
    [CF_ROLE_DESCRIPTOR] = "descriptor", [CF_ROLE_INDEXER] = "indexer", [CF_ROLE_QUERY] = "query"};

const char *cf_kind_name(enum cf_kind kind)
{
    return (unsigned)kind < CF_KIND_COUNT ? kind_names[kind] : "unknown";
}

const char *cf_role_name(enum cf_role role)
{
    return (unsigned)role < CF_ROLE_COUNT ? role_names[role] : "unknown";
}

/* The envelope. It is read in three steps, because each failure must still know what the step before found.
 */
struct envelope {
    uint64_t v;
    struct cf_str kind;
    uint64_t id;
};

static const struct cf_field envelope_fields[] = {
    {.key = "v", .type = CF_FIELD_UINT, .flags = CF_FIELD_REQUIRED, .offset = offsetof(struct envelope, v)},
    {.key = "kind",
     .type = CF_FIELD_STR,
     .flags = CF_FIELD_REQUIRED,
     .offset = offsetof(struct envelope, kind),
     .min = 1,
     .max = CF_NAME_BYTES_MAX},
    {.key = "id", .type = CF_FIELD_UINT, .offset = offsetof(struct envelope, id)},
};

static const struct cf_table envelope_table = {
    .name = "message", .size = sizeof(struct envelope), .fields = envelope_fields, .field_count = 3};
static const struct cf_table version_table = {
    .name = "message", .size = sizeof(struct envelope), .fields = &envelope_fields[0], .field_count = 1};
static const struct cf_table kind_table = {
    .name = "message", .size = sizeof(struct envelope), .fields = &envelope_fields[1], .field_count = 1};
static const struct cf_table id_table = {
    .name = "message", .size = sizeof(struct envelope), .fields = &envelope_fields[2], .field_count = 1};

enum cf_err cf_msg_encode(const struct cf_msg *msg, struct cf_buf *out, struct cf_detail *detail)
{
    cf_buf_clear(out);
    if ((unsigned)msg->kind >= CF_KIND_COUNT)
        return cf_fail(detail, CF_E_INVALID, "%d is not a kind of message", (int)msg->kind);
    struct envelope envelope = {CF_PROTOCOL_VERSION, cf_str(cf_kind_name(msg->kind)), msg->id};
    struct cf_record_part parts[] = {
        {&envelope_table, &envelope},
        {cf_msg_table(msg->kind), (const char *)msg + cf_msg_offset(msg->kind)},
    };
    return cf_record_encode_joined(parts, 2, out, detail);
}

static enum cf_err find_kind(struct cf_str name, enum cf_kind *kind, struct cf_detail *detail)
{
    for (unsigned i = 0; i < CF_KIND_COUNT; i++) {
        if (cf_str_is(name, kind_names[i])) {
            *kind = (enum cf_kind)i;
            return CF_OK;
        }
    }
    return cf_fail(detail, CF_E_UNKNOWN_KIND, "\"%.*s\" is not a kind of message", CF_STR_ARG(name));
}

static enum cf_err read_envelope(const struct cf_record_map *map, struct cf_msg *msg,
                                 struct cf_detail *detail)
{
    struct envelope envelope;
    enum cf_err err = cf_record_read(map, &id_table, &envelope, detail);
    if (err)
        return err;
    msg->id = envelope.id;
    err = cf_record_read(map, &version_table, &envelope, detail);
    if (err)
        return err;
    if (envelope.v != CF_PROTOCOL_VERSION)
        return cf_fail(detail, CF_E_BAD_VERSION, "protocol version %llu: only version %d is spoken here",
                       (unsigned long long)envelope.v, CF_PROTOCOL_VERSION);
    err = cf_record_read(map, &kind_table, &envelope, detail);
    return err ? err : find_kind(envelope.kind, &msg->kind, detail);
}

enum cf_err cf_msg_decode(struct cf_bytes bytes, struct cf_arena *arena, struct cf_msg *msg,
                          struct cf_detail *detail)
{
    struct cf_record_map *map = NULL;
    struct cf_msg draft = {0};
    enum cf_err err = cf_record_open(bytes, arena, &map, detail);
    if (err)
        goto out;
    err = read_envelope(map, &draft, detail);
    if (err)
        goto out;
    err = cf_record_read(map, cf_msg_table(draft.kind), (char *)&draft + cf_msg_offset(draft.kind), detail);
    if (!err)
        *msg = draft;
out:
    msg->id = draft.id;
    cf_record_close(map);
    return err;
}

struct cf_msg cf_msg_error(uint64_t id, enum cf_err err, const struct cf_detail *detail)
{
    return (struct cf_msg){
        .kind = CF_KIND_ERROR,
        .id = id,
        .error = {.error = cf_str(cf_err_name(err)), .detail = cf_str(detail ? detail->text : NULL)},
    };
}
