/* The records of the journal on disk, as tables of proto/record.h. Private to broker. */
#ifndef CF_BROKER_JOURNAL_TABLES_H
#define CF_BROKER_JOURNAL_TABLES_H

#include "broker/core/store.h"
#include "proto/record.h"

enum { CF_JOURNAL_FORMAT = 1 };

struct cf_journal_meta {
    uint64_t format;
    struct cf_meta_record meta;
};

extern const struct cf_table cf_journal_album_table;      /* struct cf_album_record */
extern const struct cf_table cf_journal_job_table;        /* struct cf_job_record */
extern const struct cf_table cf_journal_quarantine_table; /* struct cf_quarantine_record */
extern const struct cf_table cf_journal_meta_table;       /* struct cf_journal_meta */

#endif
