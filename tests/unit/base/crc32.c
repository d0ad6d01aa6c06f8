/* CRC-32 against published check values. */
#include "herald/crc32.h"

#include <criterion/criterion.h>

Test(crc32, the_check_value_of_the_standard)
{
    cr_assert_eq(crc32_of("123456789", 9), 0xCBF43926u);
    cr_assert_eq(crc32_of("", 0), 0u);
    cr_assert_eq(crc32_of("a", 1), 0xE8B7BE43u);
}
