/* The broker's journal: what the core keeps (core/store.h), in RocksDB, below HOME/data/journal. Families:
 * meta, jobs, payload (pictures), albums, dead (letters), quarantine (contents by hash). Values are checked
 * msgpack maps (proto/record.h).
 *
 * The epoch of new versions is chosen when the journal is created, or when an older one was put back in its
 * place: it is greater than that of any journal that lay here before, which HOME/data/epoch remembers. One
 * thread, but for cf_journal_sync. */
#ifndef CF_BROKER_JOURNAL_H
#define CF_BROKER_JOURNAL_H

#include "broker/core/store.h"
#include "common/base/home.h"

struct cf_journal;

/* `wall_ms` helps to choose an epoch. CF_E_LOCKED when another broker has it, CF_E_BAD_VERSION for a foreign
 * format. */
enum cf_err cf_journal_open(const struct cf_home *home, uint64_t wall_ms, struct cf_journal **journal,
                            struct cf_detail *detail) CF_MUST_CHECK;
void cf_journal_free(struct cf_journal *journal); /* takes NULL; what is not committed is dropped */

/* The door for the core; lives as long as the journal. */
struct cf_store cf_journal_store(struct cf_journal *journal);

/* Makes the open batch durable; nothing to do when it is empty. After a failure the journal must be freed and
 * opened again. */
enum cf_err cf_journal_commit(struct cf_journal *journal, bool sync, struct cf_detail *detail) CF_MUST_CHECK;
/* Waits until the disk has all that was committed before this call. Any thread, beside everything else. */
enum cf_err cf_journal_sync(struct cf_journal *journal, struct cf_detail *detail) CF_MUST_CHECK;
/* Bytes in the open batch, keys and all; 0 only when it is empty. */
size_t cf_journal_batch_bytes(const struct cf_journal *journal);

#endif
