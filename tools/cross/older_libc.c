// What the C++ library of Debian 12's toolchain asks of the C library and older C libraries do not have. Linked
// into the program for boards, so that it starts with these.
#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>

// Never known to be single-threaded: reference counts are then always atomic. (glibc 2.32)
extern char __libc_single_threaded;
char __libc_single_threaded = 0;

// (glibc 2.36)
uint32_t arc4random(void);
uint32_t arc4random(void)
{
    uint32_t number = 0;
    if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
        abort();
    return number;
}
