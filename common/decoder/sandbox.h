/* What a process gives up before it touches an untrusted picture: files, sockets, programs, children, address space.
 * In builds with a sanitizer, which needs all of these, nothing is given up. */
#ifndef CF_DECODER_SANDBOX_H
#define CF_DECODER_SANDBOX_H

#include <stddef.h>

/* For good. Afterwards `fd` is the only descriptor that can be read and written, and at most `memory_bytes_max` more
 * address space than now can be had; any call beyond memory, time and `fd` ends the process by SIGSYS. Returns 0, or the
 * errno of a kernel that does not take the filter: then only the resource limits hold. */
int cf_sandbox_enter(int fd, size_t memory_bytes_max);

#endif
