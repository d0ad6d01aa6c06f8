/* clock.c - the only source of time; see clock.h. Any thread. */
#include "herald/clock.h"

#include <time.h>

#define LAST_WALL_MS INT64_C(253402300799999) /* 9999-12-31T23:59:59.999Z: four digits hold the year */
#define DAY_SECONDS 86400

static int64_t read_us(clockid_t id)
{
    struct timespec now;

    clock_gettime(id, &now); /* cannot fail: both clocks exist since Linux 2.6.39 */
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_mono_ms(void)
{
    return read_us(CLOCK_BOOTTIME) / 1000;
}

int64_t clock_mono_us(void)
{
    return read_us(CLOCK_BOOTTIME);
}

int64_t clock_wall_ms(void)
{
    return read_us(CLOCK_REALTIME) / 1000;
}

static void split(int64_t wall_ms, struct tm *ret, int *ret_ms)
{
    if (wall_ms < 0)
        wall_ms = 0;
    if (wall_ms > LAST_WALL_MS)
        wall_ms = LAST_WALL_MS;

    time_t seconds = (time_t)(wall_ms / 1000);
    gmtime_r(&seconds, ret);
    *ret_ms = (int)(wall_ms % 1000);
}

/* Writes `number` as `digits` decimal digits, and what follows them; returns the place behind. */
static char *put_number(char *at, int number, int digits, char behind)
{
    for (int i = digits; i-- > 0; number /= 10)
        at[i] = (char)('0' + number % 10);
    at[digits] = behind;
    return at + digits + 1;
}

static char *put_name(char *at, const char *names, int index, char behind)
{
    for (int i = 0; i < 3; i++)
        *at++ = names[index * 3 + i];
    *at++ = behind;
    return at;
}

void clock_rfc3339(int64_t wall_ms, char ret[CLOCK_RFC3339_BYTES])
{
    struct tm tm;
    int ms;

    split(wall_ms, &tm, &ms);
    ret = put_number(ret, tm.tm_year + 1900, 4, '-');
    ret = put_number(ret, tm.tm_mon + 1, 2, '-');
    ret = put_number(ret, tm.tm_mday, 2, 'T');
    ret = put_number(ret, tm.tm_hour, 2, ':');
    ret = put_number(ret, tm.tm_min, 2, ':');
    ret = put_number(ret, tm.tm_sec, 2, '.');
    ret = put_number(ret, ms, 3, 'Z');
    *ret = '\0';
}

void clock_rfc5322(int64_t wall_ms, char ret[CLOCK_RFC5322_BYTES])
{
    struct tm tm;
    int ms;

    split(wall_ms, &tm, &ms);
    ret = put_name(ret, "SunMonTueWedThuFriSat", tm.tm_wday, ',');
    *ret++ = ' ';
    ret = put_number(ret, tm.tm_mday, 2, ' ');
    ret = put_name(ret, "JanFebMarAprMayJunJulAugSepOctNovDec", tm.tm_mon, ' ');
    ret = put_number(ret, tm.tm_year + 1900, 4, ' ');
    ret = put_number(ret, tm.tm_hour, 2, ':');
    ret = put_number(ret, tm.tm_min, 2, ':');
    ret = put_number(ret, tm.tm_sec, 2, ' ');
    *ret++ = '+';
    put_number(ret, 0, 4, '\0');
}

/* What is left to read of a text. */
struct rest {
    const char *at;
    const char *end;
};

static bool take_number(struct rest *rest, int digits, int low, int high, int *ret)
{
    int number = 0;

    if (rest->end - rest->at < digits)
        return false;
    for (int i = 0; i < digits; i++) {
        char c = *rest->at++;
        if (c < '0' || c > '9')
            return false;
        number = number * 10 + (c - '0');
    }
    *ret = number;
    return number >= low && number <= high;
}

/* One of the characters in `any`. */
static bool take_char(struct rest *rest, const char *any, char *ret)
{
    if (rest->at == rest->end)
        return false;
    for (; *any != '\0'; any++) {
        if (*rest->at == *any) {
            *ret = *rest->at++;
            return true;
        }
    }
    return false;
}

/* A fraction of any length; what is finer than a millisecond is cut. */
static bool take_fraction_ms(struct rest *rest, int *ret_ms)
{
    char c;
    int ms = 0;
    int weight = 100;

    if (!take_char(rest, "0123456789", &c))
        return false;
    do {
        ms += (c - '0') * weight;
        weight /= 10;
    } while (take_char(rest, "0123456789", &c));
    *ret_ms = ms;
    return true;
}

static bool take_offset_minutes(struct rest *rest, int *ret)
{
    char sign;
    char colon;
    int hours;
    int minutes;

    if (!take_char(rest, "Zz+-", &sign))
        return false;
    if (sign == 'Z' || sign == 'z') {
        *ret = 0;
        return true;
    }
    if (!take_number(rest, 2, 0, 23, &hours) || !take_char(rest, ":", &colon) ||
        !take_number(rest, 2, 0, 59, &minutes))
        return false;
    *ret = (hours * 60 + minutes) * (sign == '-' ? -1 : 1);
    return true;
}

static int days_of_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool is_leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

    return days[month - 1] + (month == 2 && is_leap ? 1 : 0);
}

/* Second 60 exists only as the last of a month in UTC, so counting it as second 0 of the next minute lands on
 * midnight of a first. */
static bool is_after_leap_second(int64_t seconds)
{
    time_t time = (time_t)seconds;
    struct tm tm;

    gmtime_r(&time, &tm);
    return seconds % DAY_SECONDS == 0 && tm.tm_mday == 1;
}

bool clock_parse_rfc3339(const char *text, size_t len, int64_t *ret_wall_ms)
{
    struct rest rest = {text, text + len};
    int year, month, day, hour, minute, second;
    int ms = 0;
    int offset;
    char mark;

    if (!take_number(&rest, 4, 1, 9999, &year) || !take_char(&rest, "-", &mark) ||
        !take_number(&rest, 2, 1, 12, &month) || !take_char(&rest, "-", &mark) ||
        !take_number(&rest, 2, 1, days_of_month(year, month), &day) || !take_char(&rest, "Tt", &mark) ||
        !take_number(&rest, 2, 0, 23, &hour) || !take_char(&rest, ":", &mark) ||
        !take_number(&rest, 2, 0, 59, &minute) || !take_char(&rest, ":", &mark) ||
        !take_number(&rest, 2, 0, 60, &second))
        return false;
    if (take_char(&rest, ".", &mark) && !take_fraction_ms(&rest, &ms))
        return false;
    if (!take_offset_minutes(&rest, &offset) || rest.at != rest.end)
        return false;

    struct tm tm = {.tm_year = year - 1900,
                    .tm_mon = month - 1,
                    .tm_mday = day,
                    .tm_hour = hour,
                    .tm_min = minute,
                    .tm_sec = second};
    int64_t seconds = (int64_t)timegm(&tm) - (int64_t)offset * 60;
    if (second == 60 && !is_after_leap_second(seconds))
        return false;

    int64_t wall_ms = seconds * 1000 + ms;
    if (wall_ms < 0 || wall_ms > LAST_WALL_MS)
        return false;
    *ret_wall_ms = wall_ms;
    return true;
}
