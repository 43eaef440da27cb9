// SPDX-License-Identifier: MIT OR Apache-2.0

// Ring buffers and perf event arrays with callbacks.

#include "check.h"

#include <stdatomic.h>
#ifdef _WIN32
#include <windows.h>
#else
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#endif

// Whether an event is set, at once or after waiting as long as it takes.
static int is_set(ebpf_handle_t event, int timeout_ms) {
#ifdef _WIN32
    DWORD limit = timeout_ms < 0 ? INFINITE : (DWORD)timeout_ms;
    return WaitForSingleObject((HANDLE)(intptr_t)event, limit) == WAIT_OBJECT_0;
#else
    struct pollfd asked = {.fd = (int)event, .events = POLLIN};
    return poll(&asked, 1, timeout_ms) == 1;
#endif
}

static ebpf_handle_t new_event(void) {
#ifdef _WIN32
    return (ebpf_handle_t)(intptr_t)CreateEventW(NULL, TRUE, FALSE, NULL);
#else
    return eventfd(0, EFD_CLOEXEC);
#endif
}

static void close_event(ebpf_handle_t event) {
#ifdef _WIN32
    CloseHandle((HANDLE)(intptr_t)event);
#else
    close((int)event);
#endif
}

static void take_turns(void) {
#ifdef _WIN32
    Sleep(1);
#else
    poll(NULL, 0, 1);
#endif
}

static int sum, records;

static int take(void *context, void *data, size_t size) {
    CHECK(context == &sum && size == sizeof(int));
    int number;
    memcpy(&number, data, sizeof(number));
    if (number < 0)
        return -ECANCELED;
    sum += number;
    return 0;
}

static void ring(void) {
    int one = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "one", 0, 0, 4096, NULL);
    int two = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "two", 0, 0, 4096, NULL);
    int array = bpf_map_create(BPF_MAP_TYPE_ARRAY, "none", 4, 4, 1, NULL);
    CHECK(ring_buffer__new(array, take, &sum, NULL) == NULL && errno == EINVAL);
    CHECK(ring_buffer__new(one, NULL, &sum, NULL) == NULL);
    struct ring_buffer *rings = ring_buffer__new(one, take, &sum, NULL);
    CHECK(rings != NULL && ring_buffer__poll(rings, 0) == 0);
    for (int round = 0; round < 1000; round++) {
        int number = round;
        CHECK(ebpf_ring_buffer_map_write(one, &number, sizeof(number)) == 0);
        CHECK(ring_buffer__poll(rings, 1000) == 1);
    }
    CHECK(sum == 999 * 1000 / 2);
    CHECK(ring_buffer__add(rings, two, take, &sum) == 0);
    sum = 0;
    for (int number = 1; number <= 3; number++)
        CHECK(ebpf_ring_buffer_map_write(two, &number, sizeof(number)) == 0);
    CHECK(ring_buffer__poll(rings, -1) == 3 && sum == 6);
    int end = -1;
    CHECK(ebpf_ring_buffer_map_write(one, &end, sizeof(end)) == 0);
    CHECK(ring_buffer__consume(rings) == -ECANCELED);
    // The reader outlives the descriptors.
    CHECK(ebpf_close_fd(one) == 0 && ebpf_close_fd(two) == 0 && ebpf_close_fd(array) == 0);
    CHECK(ring_buffer__poll(rings, 0) == 0);
    ring_buffer__free(rings);
    ring_buffer__free(NULL);
}

static void event(void *context, int cpu, void *data, uint32_t size) {
    CHECK(context == &records && cpu >= 0 && size == 6 && memcmp(data, "event", 6) == 0);
    records++;
}

static void lost(void *context, int cpu, uint64_t count) {
    CHECK(context == &records && cpu >= 0 && count == 1);
    records += 1000;
}

static void perf(void) {
    int fd = bpf_map_create(BPF_MAP_TYPE_PERF_EVENT_ARRAY, "events", 0, 0, 4096, NULL);
    struct perf_buffer *buffer = perf_buffer__new(fd, 1, event, lost, &records, NULL);
    CHECK(buffer != NULL);
    CHECK(perf_buffer__buffer_cnt(buffer) == (size_t)libbpf_num_possible_cpus());
    CHECK(ebpf_perf_event_array_map_write(fd, "event", 6) == 0);
    CHECK(perf_buffer__poll(buffer, 1000) == 1 && records == 1);
    records = 0;
    int written = 0;
    while (ebpf_perf_event_array_map_write(fd, "event", 6) == 0)
        written++;
    // Each processor has a ring; the writer may move from one to the other.
    CHECK(written >= 4096 / 16 && written <= 4096 / 16 * libbpf_num_possible_cpus());
    CHECK(perf_buffer__consume(buffer) == written);
    CHECK(ebpf_perf_event_array_map_write(fd, "event", 6) == 0);
    CHECK(perf_buffer__poll(buffer, 1000) == 1 && records == written + 1 + 1000);
    perf_buffer__free(buffer);
    CHECK(ebpf_close_fd(fd) == 0);
}

static int write_ring(int fd, int number) {
    return ebpf_ring_buffer_map_write(fd, &number, sizeof(number));
}

// A reader with a handle to wait for, which is set exactly while there are records.
static void waiting(void) {
    int one = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "one", 0, 0, 4096, NULL);
    int two = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "two", 0, 0, 4096, NULL);
    CHECK(ebpf_ring_buffer_get_wait_handle(NULL) == ebpf_handle_invalid);
    struct ring_buffer *rings = ebpf_ring_buffer__new(one, take, &sum, NULL);
    ebpf_handle_t event = ebpf_ring_buffer_get_wait_handle(rings);
    CHECK(event != ebpf_handle_invalid && !is_set(event, 0));
    CHECK(ebpf_ring_buffer_get_wait_handle(rings) == event);
    CHECK(ring_buffer__add(rings, two, take, &sum) == 0);
    sum = 0;
    for (int round = 1; round <= 100; round++) {
        CHECK(write_ring(round % 2 ? one : two, round) == 0);
        CHECK(is_set(event, -1));
        CHECK(ring_buffer__consume(rings) == 1 && !is_set(event, 0));
    }
    CHECK(sum == 5050);
    // What a callback leaves is still there, and told.
    CHECK(write_ring(one, -1) == 0 && write_ring(one, 5) == 0 && write_ring(two, 6) == 0);
    CHECK(ring_buffer__poll(rings, -1) == -ECANCELED && is_set(event, 0));
    sum = 0;
    CHECK(ring_buffer__poll(rings, 0) == 2 && sum == 11 && !is_set(event, 0));
    ring_buffer__free(rings);
    // An event that is asked for when there are records already is set.
    rings = ring_buffer__new(one, take, &sum, NULL);
    CHECK(write_ring(one, 1) == 0);
    CHECK(is_set(ebpf_ring_buffer_get_wait_handle(rings), -1));
    CHECK(ring_buffer__consume(rings) == 1);
    ring_buffer__free(rings);
    CHECK(ebpf_close_fd(one) == 0 && ebpf_close_fd(two) == 0);
}

struct relay {
    int other;
    atomic_int calls;
};

// Runs in a thread of the library.
static int pass_on(void *context, void *data, size_t size) {
    struct relay *relay = context;
    CHECK(size == sizeof(int));
    CHECK(ebpf_ring_buffer_map_write(relay->other, data, size) == 0);
    relay->calls++;
    return -1;
}

// Callbacks of the library write what this thread waits for.
static void automatic(void) {
    int one = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "one", 0, 0, 4096, NULL);
    int two = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "two", 0, 0, 4096, NULL);
    struct relay relay = {.other = two};
    struct ebpf_ring_buffer_opts opts = {.sz = sizeof(opts), .flags = 2};
    CHECK(ebpf_ring_buffer__new(one, pass_on, &relay, &opts) == NULL && errno == EINVAL);
    opts.flags = EBPF_RINGBUF_FLAG_AUTO_CALLBACK;
    CHECK(ebpf_ring_buffer__new(one, NULL, &relay, &opts) == NULL && errno == EINVAL);
    CHECK(ebpf_ring_buffer__new(-1, pass_on, &relay, &opts) == NULL && errno == EBADF);
    CHECK(write_ring(one, 0) == 0);
    struct ring_buffer *relaying = ebpf_ring_buffer__new(one, pass_on, &relay, &opts);
    CHECK(relaying != NULL);
    CHECK(ebpf_ring_buffer_get_wait_handle(relaying) == ebpf_handle_invalid);
    CHECK(ring_buffer__poll(relaying, 0) == -EINVAL && ring_buffer__consume(relaying) == -EINVAL);
    CHECK(ring_buffer__add(relaying, two, take, &sum) == -ENOTSUP);
    struct ring_buffer *rings = ring_buffer__new(two, take, &sum, NULL);
    ebpf_handle_t event = ebpf_ring_buffer_get_wait_handle(rings);
    sum = 0;
    CHECK(is_set(event, -1) && ring_buffer__consume(rings) == 1 && sum == 0);
    for (int round = 1; round <= 100; round++) {
        CHECK(write_ring(one, round) == 0);
        CHECK(is_set(event, -1) && ring_buffer__consume(rings) == 1);
    }
    CHECK(sum == 5050);
    while (relay.calls != 101)
        take_turns();
    // Nobody calls back any more.
    ring_buffer__free(relaying);
    CHECK(write_ring(one, 1) == 0 && !is_set(event, 0) && relay.calls == 101);
    ring_buffer__free(rings);
    CHECK(ebpf_close_fd(one) == 0 && ebpf_close_fd(two) == 0);
}

static _Atomic(struct ring_buffer *) itself;
static atomic_int ended;

static int end_itself(void *context, void *data, size_t size) {
    (void)context, (void)data, (void)size;
    struct ring_buffer *rings;
    while ((rings = itself) == NULL)
        take_turns();
    ring_buffer__free(rings);
    ended++;
    return 0;
}

// A callback may free its reader; it is the last one.
static void freed_from_within(void) {
    int fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "one", 0, 0, 4096, NULL);
    struct ebpf_ring_buffer_opts opts = {.sz = sizeof(opts),
                                         .flags = EBPF_RINGBUF_FLAG_AUTO_CALLBACK};
    CHECK(write_ring(fd, 1) == 0 && write_ring(fd, 2) == 0);
    itself = ebpf_ring_buffer__new(fd, end_itself, NULL, &opts);
    CHECK(itself != NULL);
    while (ended == 0)
        take_turns();
    struct ring_buffer *rings = ring_buffer__new(fd, take, &sum, NULL);
    CHECK(rings != NULL && ring_buffer__poll(rings, -1) == 1 && ended == 1);
    ring_buffer__free(rings);
    CHECK(ebpf_close_fd(fd) == 0);
    // Its thread has the map still, for a moment.
    uint32_t id;
    while (bpf_map_get_next_id(0, &id) == 0)
        take_turns();
}

// Reads one record in place, as a program without the library's reader does.
static int read_in_place(ebpf_ring_buffer_consumer_page_t *consumer,
                         const ebpf_ring_buffer_producer_page_t *producer, const uint8_t *data,
                         uint64_t size) {
    CHECK(consumer->consumer_offset != producer->producer_offset);
    const uint8_t *place = data + consumer->consumer_offset % size;
    ebpf_ring_buffer_record_t record;
    memcpy(&record, place, sizeof(record));
    int number;
    CHECK(record.length == sizeof(number));
    memcpy(&number, place + sizeof(record), sizeof(number));
    consumer->consumer_offset += sizeof(record) + 8;
    return number;
}

static void in_place(void) {
    // Wine maps nothing twice, one behind the other, that is less than 64 KiB.
    int fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "one", 0, 0, 65536, NULL);
    int array = bpf_map_create(BPF_MAP_TYPE_ARRAY, "none", 4, 4, 1, NULL);
    void *consumer, *consumer2;
    const void *producer, *producer2;
    const uint8_t *data, *data2;
    size_t size;
    CHECK(ebpf_ring_buffer_map_map_buffer(array, &consumer, &producer, &data, &size) != 0);
    CHECK(ebpf_ring_buffer_map_map_buffer(-1, &consumer, &producer, &data, &size) != 0);
    CHECK(ebpf_ring_buffer_map_map_buffer(fd, NULL, &producer, &data, &size) != 0);
    CHECK(ebpf_ring_buffer_map_map_buffer(fd, &consumer, &producer, &data, &size) == 0);
    CHECK(size == 65536);
    ebpf_handle_t event = new_event();
    CHECK(ebpf_map_set_wait_handle(fd, 0, event) == 0 && !is_set(event, 0));
    CHECK(ebpf_map_set_wait_handle(fd, 1, event) != 0);
    CHECK(ebpf_map_set_wait_handle(array, 0, event) != 0);
    CHECK(ebpf_map_set_wait_handle(fd, 0, 0x7ffffff0) != 0);
    // More than the ring holds.
    for (int round = 0; round < 5000; round++) {
        CHECK(write_ring(fd, round) == 0 && is_set(event, -1));
        CHECK(read_in_place(consumer, producer, data, size) == round);
    }
    CHECK(ebpf_map_set_wait_handle(fd, 0, ebpf_handle_invalid) == 0);
    close_event(event);
    // A reader of the library sees the same ring, goes on there, and leaves the other view alone.
    struct ring_buffer *rings = ring_buffer__new(fd, take, &sum, NULL);
    ebpf_ring_buffer_consumer_page_t *consumed;
    const ebpf_ring_buffer_producer_page_t *produced;
    const uint8_t *records;
    uint64_t bytes;
    CHECK(ebpf_ring_buffer_get_buffer(rings, 1, &consumed, &produced, &records, &bytes) != 0);
    CHECK(ebpf_ring_buffer_get_buffer(rings, 0, &consumed, &produced, &records, NULL) != 0);
    CHECK(ebpf_ring_buffer_get_buffer(rings, 0, &consumed, &produced, &records, &bytes) == 0);
    sum = 0;
    CHECK(bytes == size && write_ring(fd, 7) == 0 && write_ring(fd, 8) == 0);
    CHECK(read_in_place(consumed, produced, records, bytes) == 7);
    CHECK(ring_buffer__poll(rings, 0) == 1 && sum == 8);
    CHECK(write_ring(fd, 9) == 0 && ring_buffer__poll(rings, -1) == 1);
    ring_buffer__free(rings);
    CHECK(write_ring(fd, 10) == 0 && read_in_place(consumer, producer, data, size) == 10);
    // Two views go one by one.
    CHECK(ebpf_ring_buffer_map_map_buffer(fd, &consumer2, &producer2, &data2, &size) == 0);
    CHECK(ebpf_ring_buffer_map_unmap_buffer(fd, consumer2, data2, producer2) != 0);
    CHECK(ebpf_ring_buffer_map_unmap_buffer(array, NULL, NULL, NULL) != 0);
    CHECK(ebpf_ring_buffer_map_unmap_buffer(fd, consumer2, producer2, data2) == 0);
    CHECK(write_ring(fd, 11) == 0 && read_in_place(consumer, producer, data, size) == 11);
    CHECK(ebpf_ring_buffer_map_unmap_buffer(fd, consumer, producer, data) == 0);
    CHECK(ebpf_ring_buffer_map_unmap_buffer(fd, consumer, producer, data) != 0);
    CHECK(ebpf_close_fd(array) == 0 && ebpf_close_fd(fd) == 0);
}

static atomic_int events, losses;

static void count_event(void *context, int cpu, void *data, uint32_t size) {
    (void)data;
    CHECK(context == &events && cpu >= 0 && size == 6);
    events++;
}

static void count_lost(void *context, int cpu, uint64_t count) {
    CHECK(context == &events && cpu >= 0);
    losses += (int)count;
}

static void perf_in_other_ways(void) {
    int fd = bpf_map_create(BPF_MAP_TYPE_PERF_EVENT_ARRAY, "events", 0, 0, 4096, NULL);
    // What was lost before there was a reader is none of its business.
    int written = 0;
    while (ebpf_perf_event_array_map_write(fd, "event", 6) == 0)
        written++;
    struct perf_buffer *buffer = ebpf_perf_buffer__new(fd, 0, count_event, count_lost, &events, NULL);
    CHECK(buffer != NULL);
    int cpus = (int)perf_buffer__buffer_cnt(buffer);
    ebpf_handle_t event = ebpf_perf_buffer_get_wait_handle(buffer);
    CHECK(event != ebpf_handle_invalid && is_set(event, -1));
    // Each ring by itself.
    CHECK(perf_buffer__consume_buffer(buffer, (size_t)cpus) == -EINVAL);
    CHECK(perf_buffer__consume_buffer(NULL, 0) == -EINVAL);
    int found = 0;
    for (int cpu = 0; cpu < cpus; cpu++)
        found += perf_buffer__consume_buffer(buffer, (size_t)cpu);
    CHECK(found == written && events == written && losses == 0 && !is_set(event, 0));
    CHECK(ebpf_perf_event_array_map_write(fd, "event", 6) == 0 && is_set(event, -1));
    CHECK(perf_buffer__poll(buffer, -1) == 1 && !is_set(event, 0));
    perf_buffer__free(buffer);

    struct ebpf_perf_buffer_opts opts = {.sz = sizeof(opts),
                                         .flags = EBPF_PERFBUF_FLAG_AUTO_CALLBACK};
    events = 0;
    buffer = ebpf_perf_buffer__new(fd, 0, count_event, count_lost, &events, &opts);
    CHECK(buffer != NULL && perf_buffer__buffer_cnt(buffer) == (size_t)cpus);
    CHECK(ebpf_perf_buffer_get_wait_handle(buffer) == ebpf_handle_invalid);
    CHECK(perf_buffer__poll(buffer, 0) == -EINVAL && perf_buffer__consume(buffer) == -EINVAL);
    CHECK(perf_buffer__consume_buffer(buffer, 0) == -EINVAL);
    // Every record comes, or is told to be lost.
    int refused = 0;
    for (int round = 0; round < 2000; round++)
        refused += ebpf_perf_event_array_map_write(fd, "event", 6) != 0;
    while (events + refused != 2000)
        take_turns();
    CHECK(ebpf_perf_event_array_map_write(fd, "event", 6) == 0);
    while (events + losses != 2001)
        take_turns();
    CHECK(losses == refused);
    perf_buffer__free(buffer);
    CHECK(ebpf_close_fd(fd) == 0);
}

int main(void) {
    ring();
    perf();
    waiting();
    automatic();
    freed_from_within();
    in_place();
    perf_in_other_ways();
    check_nothing_left();
    puts("rings: done");
    return 0;
}
