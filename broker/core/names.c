#include "broker/core/state.h"

bool is_plain_name(struct cf_str name)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
    for (size_t i = 0; i < name.len; i++)
        if (!memchr(allowed, name.data[i], sizeof allowed - 1))
            return false;
    return name.len > 0 && name.len <= CF_NAME_BYTES_MAX;
}
