#include "pipeline.h"

#include <stdio.h>

#define COUNT_OF(array) ((int)(sizeof(array) / sizeof(array)[0]))

static const char mismatch[] =
    "Reference genome mismatch: sample is GRCh37, pipeline expects GRCh38";

static const struct phase from_variants[] = {
    {"Validating VCF header", 6,
        {mismatch, "VCF header is invalid: contig lines are missing",
            "VCF holds 3 samples, expected 1"}},
    {"Quality control", 18,
        {"Quality control failed: transition/transversion ratio 1.21 is out of range",
            "Quality control failed: sex check does not match the order form", mismatch}},
    {"Running variant annotation...", 45,
        {"Annotation failed: 1,204 records have no matching reference base",
            "Annotation worker ran out of memory on chr6 (HLA region)", mismatch}},
    {"Annotating with gnomAD / ClinVar", 66,
        {"gnomAD shard chr17 could not be read after 3 attempts",
            "ClinVar release 2026-02 is not available for GRCh37", mismatch}},
    {"Computing pathogenicity scores", 82,
        {"Scoring model timed out after 600 s", "Scoring worker was lost and not replaced",
            "Scoring model timed out after 600 s"}},
    {"Ranking candidate variants", 93,
        {"No phenotype terms (HPO) given: candidates cannot be ranked",
            "HPO term HP:0009999 is unknown", "No candidate variant passed the filters"}},
    {"Generating report", 100,
        {"Report template could not be rendered", "Report storage quota exceeded",
            "Report template could not be rendered"}},
};

static const struct phase from_reads[] = {
    {"Quality control", 8,
        {"Quality control failed: mean base quality Q17 is below Q20",
            "FASTQ pair differs in read count: 41,220,118 and 41,220,064",
            "Quality control failed: 38 % adapter content"}},
    {"Aligning reads (BWA-MEM)", 34,
        {mismatch, "Alignment failed: 61 % of the reads are unmapped",
            "Alignment worker ran out of scratch space"}},
    {"Marking duplicates", 44,
        {"Duplicate rate 72 %: library complexity is too low",
            "Marking duplicates ran out of memory", "Alignment file is truncated"}},
    {"Calling variants (HaplotypeCaller)", 64,
        {"Mean coverage 8.2x is below the minimum of 20x",
            "HaplotypeCaller ran out of memory on chr6 (HLA region)", mismatch}},
    {"Running variant annotation...", 76,
        {"Annotation failed: cache version 110 does not match GRCh38.p14",
            "Annotation worker was lost and not replaced", mismatch}},
    {"Annotating with gnomAD / ClinVar", 85,
        {"gnomAD shard chr17 could not be read after 3 attempts",
            "ClinVar release 2026-02 could not be downloaded",
            "gnomAD shard chr17 could not be read after 3 attempts"}},
    {"Computing pathogenicity scores", 92,
        {"Scoring model timed out after 600 s", "Scoring worker was lost and not replaced",
            "Scoring model timed out after 600 s"}},
    {"Ranking candidate variants", 97,
        {"No phenotype terms (HPO) given: candidates cannot be ranked",
            "No candidate variant passed the filters", "HPO term HP:0009999 is unknown"}},
    {"Generating report", 100,
        {"Report template could not be rendered", "Report storage quota exceeded",
            "Report template could not be rendered"}},
};

static const struct pipeline pipelines[] = {
    {from_variants, COUNT_OF(from_variants)},
    {from_reads, COUNT_OF(from_reads)},
};

const struct pipeline *pipeline_pick(struct random *random)
{
    return &pipelines[random_between(random, 0, COUNT_OF(pipelines) - 1)];
}

void pipeline_sample_name(struct random *random, char *out, size_t size)
{
    static const char *const kinship[] = {"trio", "duo", "proband", "solo"};
    int number = random_between(random, 1, 999);
    switch (random_between(random, 0, 5)) {
    case 0:
        snprintf(out, size, "NA%05d-%s", 12000 + number, kinship[number % 4]);
        break;
    case 1:
        snprintf(out, size, "Tumor-%02d%c", number % 100, 'A' + number % 4);
        break;
    case 2:
        snprintf(out, size, "WES-2026-%04d", number);
        break;
    case 3:
        snprintf(out, size, "Family-%02d-%s", number % 100, kinship[number % 3]);
        break;
    default:
        snprintf(out, size, "Patient-%03d", number);
        break;
    }
}

void pipeline_job_id(struct random *random, char *out, size_t size)
{
    static const char signs[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    char text[7] = {0};
    for (size_t i = 0; i < sizeof text - 1; i++)
        text[i] = signs[random_between(random, 0, (int)sizeof signs - 2)];
    snprintf(out, size, "job_%s", text);
}
