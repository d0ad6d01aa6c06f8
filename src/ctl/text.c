/* text.c - see text.h. */
#include "text.h"

#include <string.h>

#define ELLIPSIS "\xe2\x80\xa6" /* log_mask's */

#include "herald/utf8.h"

void text_print(FILE *file, const char *text)
{
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        if (byte == '\\') {
            fputs("\\\\", file);
        } else if (strncmp(text, ELLIPSIS, strlen(ELLIPSIS)) == 0) {
            fputs("...", file);
            text += strlen(ELLIPSIS) - 1;
        } else if (byte >= 0x20 && byte < 0x7f) {
            fputc(byte, file);
        } else {
            fprintf(file, "\\x%02x", byte);
        }
    }
}

void text_json(FILE *file, const char *text, size_t len)
{
    fputc('"', file);
    for (size_t at = 0; at < len;) {
        uint32_t code = 0xfffd; /* what stands for bytes that are no character */
        size_t size = utf8_read(text + at, len - at, &code);
        if (code == '"' || code == '\\')
            fprintf(file, "\\%c", (int)code);
        else if (size == 0 || code < 0x20 || (code >= 0x7f && code < 0xa0))
            fprintf(file, "\\u%04x", size == 0 ? 0xfffdu : (unsigned)code);
        else
            fwrite(text + at, 1, size, file);
        at += size > 0 ? size : 1;
    }
    fputc('"', file);
}
