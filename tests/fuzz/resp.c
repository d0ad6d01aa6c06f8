/* resp.c - bytes in place of Redis's: the scanner never says more than it was given, and says the same of a
 * reply whether it comes at once or byte by byte. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "resp.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct resp_reply whole, part;
    enum resp_status status = resp_scan((const char *)bytes, len, &whole);
    if (status == RESP_WHOLE) {
        assert(whole.frame_len <= len);
        for (size_t i = 0; i < whole.known; i++)
            assert(whole.elements[i].offset + whole.elements[i].len <= whole.frame_len);
    } else if (status == RESP_PARTIAL) {
        assert(whole.frame_len > len);
    }
    /* A copy of each length, so that reading behind it is seen. */
    for (size_t shorter = 0; shorter < len && shorter < 256; shorter++) {
        char *copy = malloc(shorter + 1);
        if (copy == NULL)
            return 0;
        memcpy(copy, bytes, shorter);
        enum resp_status early = resp_scan(copy, shorter, &part);
        if (status == RESP_WHOLE && shorter < whole.frame_len) {
            assert(early == RESP_PARTIAL && part.frame_len > shorter && part.frame_len <= whole.frame_len);
        } else if (early == RESP_WHOLE) {
            assert(status == RESP_WHOLE && part.frame_len == whole.frame_len);
        } else if (early == RESP_BROKEN) {
            assert(status == RESP_BROKEN);
        }
        free(copy);
    }
    return 0;
}
