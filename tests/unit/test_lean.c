/* The memory that the MQTT library asks for, where bridge/io/paho/lean.c hands it out. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../bridge/io/paho/lean.h"
#include "limit.h"

static char file[] = "test";

/* One from the pool, and one that is too large for it. */
static const size_t sizes[] = {40, 3000};

static void test_lean_does_not_free_twice(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        char *first = mymalloc(file, 1, sizes[i]);
        assert_non_null(first);
        myfree(file, 1, first);
        myfree(file, 1, first);
        /* The address is not given to the next one, whom a further time would then hit. */
        char *second = mymalloc(file, 1, sizes[i]);
        assert_ptr_not_equal(second, first);
        myfree(file, 1, first);
        memset(second, 'x', sizes[i]);
        myfree(file, 1, second);
    }
}

static void test_lean_leaves_memory_of_others_alone(void **state)
{
    (void)state;
    char *own = malloc(8);
    assert_non_null(own);
    myfree(file, 1, own);
    memset(own, 'x', 8);
    assert_null(myrealloc(file, 1, own, 16));
    free(own);
    myfree(file, 1, NULL);
}

static void test_lean_keeps_contents_when_a_block_grows(void **state)
{
    (void)state;
    char *block = mymalloc(file, 1, 4);
    memcpy(block, "abc", 4);
    for (size_t size = 4; size <= 100000; size *= 5) {
        block = myrealloc(file, 1, block, size);
        assert_string_equal(block, "abc");
        memset(block + 4, 'x', size - 4);
    }
    block = myrealloc(file, 1, block, 0);
    assert_non_null(block);
    myfree(file, 1, block);
}

/* Blocks that have been used before, and the part by which one grows. */
static void test_lean_hands_out_zeros(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++)
        for (size_t round = 0; round < 5000; round++) {
            char *block = mymalloc(file, 1, sizes[i]);
            for (size_t byte = 0; byte < sizes[i]; byte++)
                assert_int_equal(block[byte], 0);
            memset(block, 'x', sizes[i]);
            block = myrealloc(file, 1, block, 4 * sizes[i]);
            assert_int_equal(block[sizes[i] - 1], 'x');
            for (size_t byte = sizes[i]; byte < 4 * sizes[i]; byte++)
                assert_int_equal(block[byte], 0);
            memset(block, 'x', 4 * sizes[i]);
            myfree(file, 1, block);
        }
}

/* Lengths that somebody else has chosen. */
static void test_lean_has_no_blocks_beyond_its_limit(void **state)
{
    static const size_t too_many[] = {
        (size_t)LIMIT_MQTT_BLOCK + 1, (size_t)1 << 40, SIZE_MAX - 7, SIZE_MAX};
    (void)state;
    for (size_t i = 0; i < sizeof too_many / sizeof too_many[0]; i++) {
        assert_null(mymalloc(file, 1, too_many[i]));
        for (size_t from = 0; from < 2; from++) {
            char *block = mymalloc(file, 1, sizes[from]);
            memset(block, 'x', sizes[from]);
            assert_null(myrealloc(file, 1, block, too_many[i]));
            assert_int_equal(block[sizes[from] - 1], 'x'); /* as before, and still in use */
            block = myrealloc(file, 1, block, 5000);
            assert_non_null(block);
            myfree(file, 1, block);
        }
    }
}

static void test_lean_does_not_bring_back_what_was_freed(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        char *block = mymalloc(file, 1, sizes[i]);
        myfree(file, 1, block);
        assert_null(myrealloc(file, 1, block, 10));
        assert_null(myrealloc(file, 1, block, 10000));
    }
}

/* More blocks than the set has room for at first, freed in an order that leaves gaps. */
static void test_lean_finds_every_block_among_many(void **state)
{
    enum { BLOCKS = 10000 };
    static char *blocks[BLOCKS];
    (void)state;
    for (size_t i = 0; i < BLOCKS; i++)
        blocks[i] = mymalloc(file, 1, 1025 + i % 64);
    for (size_t step = 0; step < 3; step++)
        for (size_t i = step; i < BLOCKS; i += 3) {
            char *grown = myrealloc(file, 1, blocks[i], 1100);
            assert_non_null(grown);
            myfree(file, 1, grown);
        }
    for (size_t i = 0; i < BLOCKS; i++)
        assert_null(myrealloc(file, 1, blocks[i], 1100));
}

static void test_lean_goes_on_when_the_pool_is_used_up(void **state)
{
    enum { BLOCKS = 20000 };
    static char *blocks[BLOCKS];
    (void)state;
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = mymalloc(file, 1, 1024);
        memset(blocks[i], 'x', 1024);
    }
    for (size_t i = 0; i < BLOCKS; i++)
        myfree(file, 1, blocks[i]);
    for (size_t i = 0; i < BLOCKS; i++)
        assert_null(myrealloc(file, 1, blocks[i], 10));
}

/* LeakSanitizer would find the blocks otherwise. */
static void test_lean_frees_what_the_library_forgot(void **state)
{
    (void)state;
    void *forgotten[2];
    for (size_t i = 0; i < 2; i++)
        forgotten[i] = mymalloc(file, 1, sizes[i]);
    assert_int_equal(Heap_initialize(), 0);
    for (size_t i = 0; i < 2; i++)
        assert_null(myrealloc(file, 1, forgotten[i], 10));
}

static void *allocate_and_free(void *ctx)
{
    (void)ctx;
    for (int i = 0; i < 20000; i++) {
        char *block = mymalloc(file, 1, 24);
        memset(block, i & 0x7F, 24);
        block = myrealloc(file, 1, block, 48);
        myfree(file, 1, block);
    }
    return NULL;
}

static void test_lean_serves_several_threads(void **state)
{
    pthread_t threads[3];
    (void)state;
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, allocate_and_free, NULL), 0);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lean_does_not_free_twice),
        cmocka_unit_test(test_lean_leaves_memory_of_others_alone),
        cmocka_unit_test(test_lean_keeps_contents_when_a_block_grows),
        cmocka_unit_test(test_lean_hands_out_zeros),
        cmocka_unit_test(test_lean_has_no_blocks_beyond_its_limit),
        cmocka_unit_test(test_lean_does_not_bring_back_what_was_freed),
        cmocka_unit_test(test_lean_finds_every_block_among_many),
        cmocka_unit_test(test_lean_goes_on_when_the_pool_is_used_up),
        cmocka_unit_test(test_lean_frees_what_the_library_forgot),
        cmocka_unit_test(test_lean_serves_several_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
