/* inifile.c - inih, made strict.
 *
 * inih alone does not tell line numbers or headings, cuts long lines in two without a word, takes an indented
 * line for more of the value above, ignores what stands behind a heading, and reads on after an error. It
 * asks for each line through a function of ours, and that is where all of this is put right: lines are
 * counted, checked and stripped before inih sees them, and behind each heading one made-up entry with an
 * empty name is slipped in, which comes back as "here a section begins". Any one thread at a time.
 */
#include "inifile.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "herald/address.h"
#include "herald/file.h"

/* Debian builds inih with its line limit as a variable (200 by default); elsewhere this stays NULL and `size`
 * below tells. */
extern int ini_max_line __attribute__((weak));

#define HEADING_MARK "=\n"

struct reading {
    const char *path;
    FILE *file;
    const struct inifile_callbacks *callbacks;
    struct err *err;
    int line;
    bool is_mark_next; /* the heading has been handed over, its mark has not */
    bool is_mark;      /* what inih is looking at is a mark */
    bool is_entry_due; /* an entry was handed over and has not come back: inih could not read it */
    bool has_section;
    bool has_failed;
};

static char *refuse(struct reading *reading, const char *expected)
{
    reading->has_failed = true;
    (void)err_set(reading->err, ERR_CONFIG, "%s:%d: expected %s", reading->path, reading->line, expected);
    return NULL;
}

/* One line without its end into `line`; false at the end of the file or after a complaint. */
static bool take_line(struct reading *reading, char *line, size_t size, size_t *ret_len)
{
    size_t len = 0;
    int c;
    while ((c = getc_unlocked(reading->file)) != EOF && c != '\n') {
        if (len + 3 >= size) { /* inih wants room for a line end and a NUL */
            reading->line++;
            char expected[64];
            snprintf(expected, sizeof(expected), "a line of at most %zu bytes", size - 3);
            (void)refuse(reading, expected);
            return false;
        }
        line[len++] = (char)(c == '\t' ? ' ' : c);
    }
    if (ferror(reading->file)) {
        reading->has_failed = true;
        return err_set(reading->err, ERR_CONFIG, "%s: %s", reading->path, strerror(errno));
    }
    if (c == EOF && len == 0)
        return false;
    reading->line++;
    if (len > 0 && line[len - 1] == '\r')
        len--;
    line[len] = '\0';
    *ret_len = len;
    return true;
}

static bool is_heading(const char *line)
{
    size_t name = strcspn(line, "];");
    if (line[name] != ']')
        return false;
    const char *rest = line + name + 1;
    rest += strspn(rest, " ");
    return *rest == '\0' || *rest == ';';
}

/* inih's reader: fills `line` with the next line, at most `size` bytes, or returns NULL to end. */
static char *next_line(char *line, int size, void *arg)
{
    struct reading *reading = arg;
    reading->is_mark = false;
    if (reading->has_failed)
        return NULL;
    if (reading->is_entry_due)
        return refuse(reading, "NAME = VALUE");
    if (reading->is_mark_next) {
        reading->is_mark_next = false;
        reading->is_mark = true;
        memcpy(line, HEADING_MARK, sizeof(HEADING_MARK));
        return line;
    }
    size_t len = 0;
    if (!take_line(reading, line, (size_t)size, &len))
        return NULL;
    struct err ignored;
    if (!address_check_text(line, len, len, &ignored))
        return refuse(reading, "UTF-8 text without control characters");

    /* Stripped at the left, so that no line can continue another. */
    size_t skip = reading->line == 1 && strncmp(line, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    skip += strspn(line + skip, " ");
    memmove(line, line + skip, len - skip + 1);
    if (*line == '[') {
        if (!is_heading(line))
            return refuse(reading, "[SECTION] alone on its line");
        reading->is_mark_next = true;
    } else if (*line != '\0' && *line != ';' && *line != '#') {
        if (!reading->has_section)
            return refuse(reading, "a [SECTION] before the first option");
        if (*line == '=' || *line == ':')
            return refuse(reading, "NAME = VALUE");
        reading->is_entry_due = true;
    }
    return line;
}

static int take_entry(void *arg, const char *section, const char *name, const char *value)
{
    struct reading *reading = arg;
    const struct inifile_callbacks *callbacks = reading->callbacks;
    bool is_taken;
    if (reading->is_mark) {
        reading->has_section = true;
        is_taken = callbacks->on_section(callbacks->arg, section, reading->line, reading->err);
    } else {
        reading->is_entry_due = false;
        is_taken = callbacks->on_entry(callbacks->arg, name, value, reading->line, reading->err);
    }
    if (!is_taken)
        reading->has_failed = true;
    return is_taken;
}

bool inifile_read(const char *path, const struct inifile_callbacks *callbacks, struct err *err)
{
    const char *complaint;
    int fd = file_open_regular(path, &complaint);
    if (fd < 0)
        return err_set(err, ERR_CONFIG, "%s: %s", path, complaint);
    FILE *file = fdopen(fd, "r");
    if (file == NULL) {
        close(fd);
        return err_set(err, ERR_NOMEM, "%s: out of memory", path);
    }
    if (&ini_max_line != NULL)
        ini_max_line = INIFILE_LINE_BYTES + 3;
    struct reading reading = {.path = path, .file = file, .callbacks = callbacks, .err = err};
    int status = ini_parse_stream(next_line, &reading, take_entry, &reading);
    fclose(file);
    if (status == -2 && !reading.has_failed)
        return err_set(err, ERR_NOMEM, "%s: out of memory", path);
    return !reading.has_failed;
}
