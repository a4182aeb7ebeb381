#include <pthread.h>

#include "../../api/host.h"

enum { MAX_THREADS = 64 };

typedef struct crew {
    int64_t count;
    _Atomic int64_t next;
    int64_t chunk;
    void (*work)(void *data, int64_t index, int thread);
    void *data;
} crew;

typedef struct worker {
    crew *of;
    int thread;
} worker;

static void *run(void *data)
{
    const worker *self = data;
    crew *all = self->of;
    for (;;) {
        const int64_t first = atomic_fetch_add(&all->next, all->chunk);
        if (first >= all->count)
            return NULL;
        const int64_t end = UPC_MIN(first + all->chunk, all->count);
        for (int64_t i = first; i < end; i++)
            all->work(all->data, i, self->thread);
    }
}

void upc_parallel(int threads, int64_t count, void (*work)(void *data, int64_t index, int thread), void *data)
{
    threads = UPC_MIN(threads, MAX_THREADS);
    crew all = {.count = count, .work = work, .data = data};
    all.chunk = UPC_MAX(count / ((int64_t)threads * 16), 1);
    pthread_t handles[MAX_THREADS];
    worker workers[MAX_THREADS];
    int started = 0;
    for (int i = 1; i < threads && i < count; i++) {
        workers[i] = (worker){&all, i};
        if (pthread_create(&handles[i], NULL, run, &workers[i]))
            break;
        started = i;
    }
    workers[0] = (worker){&all, 0};
    run(&workers[0]);
    for (int i = 1; i <= started; i++)
        pthread_join(handles[i], NULL);
}
