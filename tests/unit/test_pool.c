/* The small blocks that the MQTT library uses: bridge/io/paho/pool.c. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../bridge/io/paho/pool.h"

enum { LARGEST = 1024 };

static void test_pool_gives_room_for_any_small_size(void **state)
{
    (void)state;
    for (size_t size = 0; size <= LARGEST; size++) {
        char *block = pool_take(size);
        assert_non_null(block);
        assert_true(pool_owns(block));
        assert_int_equal((uintptr_t)block % _Alignof(max_align_t), 0);
        assert_true(pool_room(block) >= size);
        memset(block, 'x', pool_room(block));
        pool_give(block);
        assert_int_equal(pool_room(block), 0);
    }
    assert_null(pool_take(LARGEST + 1));
    assert_null(pool_take(SIZE_MAX));
}

static void test_pool_blocks_do_not_overlap(void **state)
{
    enum { BLOCKS = 3000 };
    static unsigned char *blocks[BLOCKS];
    (void)state;
    for (size_t i = 0; i < BLOCKS; i++) {
        blocks[i] = pool_take(1 + i % LARGEST);
        assert_non_null(blocks[i]);
        memset(blocks[i], (int)(i & 0xFF), 1 + i % LARGEST);
    }
    for (size_t i = 0; i < BLOCKS; i++) {
        for (size_t byte = 0; byte < 1 + i % LARGEST; byte++)
            assert_int_equal(blocks[i][byte], i & 0xFF);
        pool_give(blocks[i]);
    }
}

static void test_pool_owns_nothing_of_others(void **state)
{
    (void)state;
    char here;
    char *elsewhere = malloc(1);
    pool_give(pool_take(1));
    assert_non_null(elsewhere);
    assert_false(pool_owns(&here));
    assert_false(pool_owns(elsewhere));
    assert_false(pool_owns(NULL));
    free(elsewhere);
}

/* What somebody else had in it is gone. */
static void test_pool_hands_out_zeros(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * POOL_REST; i++) {
        char *block = pool_take(100);
        assert_non_null(block);
        for (size_t byte = 0; byte < pool_room(block); byte++)
            assert_int_equal(block[byte], 0);
        memset(block, 'x', pool_room(block));
        pool_give(block);
    }
}

/* Whoever gives a block back twice finds it free the second time, and nobody else's. */
static void test_pool_lets_a_block_rest(void **state)
{
    (void)state;
    void *first = pool_take(40);
    pool_give(first);
    pool_give(first);
    for (size_t i = 0; i < POOL_REST - 1; i++) {
        void *other = pool_take(40);
        assert_ptr_not_equal(other, first);
        pool_give(other);
        pool_give(first);
    }
}

static void test_pool_uses_blocks_again(void **state)
{
    enum { ROUNDS = 100 };
    (void)state;
    /* Many times what the arena holds. */
    for (size_t i = 0; i < ROUNDS * POOL_REST; i++) {
        void *block = pool_take(LARGEST);
        assert_non_null(block);
        pool_give(block);
    }
}

static void test_pool_takes_back_what_is_in_use(void **state)
{
    (void)state;
    void *small = pool_take(1), *large = pool_take(LARGEST), *given = pool_take(100);
    pool_give(given);
    pool_clear();
    assert_int_equal(pool_room(small), 0);
    assert_int_equal(pool_room(large), 0);
    assert_int_equal(pool_room(given), 0);
    pool_clear();
}

static void test_pool_that_is_used_up_has_none(void **state)
{
    (void)state;
    size_t taken = 0;
    void *block, *last = NULL;
    while ((block = pool_take(LARGEST))) {
        last = block;
        taken++;
        assert_true(taken < 100000);
    }
    assert_true(taken > 5000);
    assert_null(pool_take(LARGEST));
    /* What is given back is handed out again. */
    pool_clear();
    assert_int_equal(pool_room(last), 0);
    assert_non_null(block = pool_take(LARGEST));
    pool_give(block);
}

static void *take_and_give(void *ctx)
{
    unsigned seed = *(unsigned *)ctx;
    for (unsigned i = 0; i < 20000; i++) {
        size_t size = 1 + (i * 7 + seed) % 300;
        unsigned char *block = pool_take(size);
        memset(block, (int)seed, size);
        for (size_t byte = 0; byte < size; byte++)
            if (block[byte] != seed)
                abort();
        pool_give(block);
    }
    return NULL;
}

static void test_pool_serves_several_threads(void **state)
{
    pthread_t threads[3];
    unsigned seeds[3] = {1, 2, 3};
    (void)state;
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, &seeds[i]), 0);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pool_gives_room_for_any_small_size),
        cmocka_unit_test(test_pool_blocks_do_not_overlap),
        cmocka_unit_test(test_pool_owns_nothing_of_others),
        cmocka_unit_test(test_pool_hands_out_zeros),
        cmocka_unit_test(test_pool_lets_a_block_rest),
        cmocka_unit_test(test_pool_uses_blocks_again),
        cmocka_unit_test(test_pool_takes_back_what_is_in_use),
        cmocka_unit_test(test_pool_serves_several_threads),
        cmocka_unit_test(test_pool_that_is_used_up_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
