/* The fields of every kind, as tables of proto/record.h: the machine's copy of PROTOCOL.md. Internal to
 * proto/msg.c and its tests. */
#ifndef CF_PROTO_MSG_TABLES_H
#define CF_PROTO_MSG_TABLES_H

#include "proto/msg.h"
#include "proto/record.h"

/* Of the fields beside "v", "kind" and "id". `kind` is one of the list. */
const struct cf_table *cf_msg_table(enum cf_kind kind);

/* Where the struct of a kind stands in struct cf_msg. */
size_t cf_msg_offset(enum cf_kind kind);

#endif
