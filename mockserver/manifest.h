/** The manifest: what a client verifies the flags against. */
#ifndef MOCKSERVER_MANIFEST_H
#define MOCKSERVER_MANIFEST_H

#include "corpus.h"

/**
 * @param ring  NULL: the flags themselves; else the sized bodies of `size` bytes
 * @return JSON to be given to free(); NULL when memory is short
 */
char *manifest_text(const struct corpus *corpus, const char *admin_url, const uint8_t *ring,
                    uint64_t size);

#endif
