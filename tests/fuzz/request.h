/* SPDX-License-Identifier: ISC */
/* What the fuzz targets of the two table protocols share. */
#ifndef FUZZ_REQUEST_H
#define FUZZ_REQUEST_H

#include "fuzz.h"
#include "opensmtpd/table.h"

/* Parses len octets as requests, one behind the other; reply: looks at what
 * is answered to one. */
void request_fuzz(const uint8_t *, size_t len,
    ssize_t (*parse)(const uint8_t *, size_t, struct request *),
    void (*reply)(const struct request *, enum table_reply));

#endif
