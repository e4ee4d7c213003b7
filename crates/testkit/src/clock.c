/* A host whose clock is wrong: its time of day is CLOCK_SHIFT_S seconds ahead. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now)
{
	int failed = (int)syscall(SYS_clock_gettime, clock, now);
	const char *shift = getenv("CLOCK_SHIFT_S");
	if (!failed && clock == CLOCK_REALTIME && shift)
		now->tv_sec += atol(shift);
	return failed;
}
