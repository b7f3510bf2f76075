#ifndef PIPELINE_H
#define PIPELINE_H

#include <stddef.h>

#include "random.h"

/* What jobs are called, what they go through, what they say and how they fail. */
struct phase {
    const char *message;
    int progress_end; /* per cent of the whole when this phase is over */
    const char *failures[3];
};

struct pipeline {
    const struct phase *phases;
    int count;
};

/* From called variants (a VCF) or from raw reads (FASTQ). */
const struct pipeline *pipeline_pick(struct random *random);
void pipeline_sample_name(struct random *random, char *out, size_t size);
void pipeline_job_id(struct random *random, char *out, size_t size);

#endif
