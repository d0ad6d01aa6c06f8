/* fault.h - named points at which a chaos build dies or stands still, so that a test can kill the daemon
 * between any two of its steps and prove that it did.
 *
 * In every other build FAULT is nothing: no code, no string. With HERALD_FAULTS (preset `chaos`) the
 * environment decides at the process's first point:
 *
 *     HERALD_FAULT      "kill NAME N" or "stop NAME N": SIGKILL or SIGSTOP at the N-th passage of point NAME
 *     HERALD_FAULT_LOG  a file that gets the point's name and the time before the signal
 *
 * Any thread. */
#ifndef HERALD_FAULT_H
#define HERALD_FAULT_H

#ifdef HERALD_FAULTS
void fault_point(const char *name);
#define FAULT(name) fault_point(name)
#else
#define FAULT(name) ((void)0)
#endif

#endif
