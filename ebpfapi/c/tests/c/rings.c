// SPDX-License-Identifier: MIT OR Apache-2.0

// Ring buffers and perf event arrays with callbacks.

#include "check.h"

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

int main(void) {
    ring();
    perf();
    check_nothing_left();
    puts("rings: done");
    return 0;
}
