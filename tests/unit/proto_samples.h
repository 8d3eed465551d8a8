/* One message of every kind with every field set: what the golden vectors hold. Static memory; any thread
 * after the first call. */
#ifndef CF_TESTS_PROTO_SAMPLES_H
#define CF_TESTS_PROTO_SAMPLES_H

#include "proto/msg.h"

struct cf_msg sample_message(enum cf_kind kind);

#endif
