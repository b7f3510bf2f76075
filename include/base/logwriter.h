#ifndef LOGWRITER_H
#define LOGWRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "error.h"

/*
 * Writes the log's lines to standard error. A write there can block for as long as nobody reads: a
 * full pipe, a terminal stopped with Ctrl-S, a slow journal, a disk that hangs. Between
 * logwriter_start and logwriter_stop a thread of its own does the writing, so that the caller never
 * waits; before and after, the caller writes, and waits. Lines that find no room, or that cannot be
 * written, are counted, and the log says so as soon as it can be written again.
 *
 * Start and stop: owner thread, while no other uses it. The rest: any thread.
 */

/* Makes a line that says how many were lost; returns its length. Called on the thread that writes.
 */
typedef size_t logwriter_describe(uint64_t lost, char *line, size_t size);

/* Starts the thread. Where there is none to be had, false: lines go on being written by the caller.
 * Signals should be blocked already, as the thread inherits the mask. */
bool logwriter_start(logwriter_describe *describe) NODISCARD;

/* Writes one line, or hands it to the thread. It ends with its only newline; copied. */
void logwriter_put(const char *line, size_t length);

/* Waits until all lines are written, at most for so many milliseconds. */
void logwriter_flush(int64_t most_ms);

/* The same, and ends the thread. One that is stuck in a write is left to the end of the process,
 * and what is put afterwards is lost. */
void logwriter_stop(int64_t most_ms);

/* Lines lost since the start of the process. */
uint64_t logwriter_lost(void);

#endif
