// SPDX-License-Identifier: MIT OR Apache-2.0

// Maps by descriptor: elements, keys, batches, maps of maps, pins, errors.

#include "check.h"

static void elements(void) {
    uint32_t key = 1;
    uint64_t value = 10, found = 0;
    int fd = bpf_map_create(BPF_MAP_TYPE_HASH, "numbers", sizeof(key), sizeof(value), 3, NULL);
    CHECK(fd > 0);
    CHECK(bpf_map_lookup_elem(fd, &key, &found) == -ENOENT);
    CHECK(errno == ENOENT);
    CHECK(strstr(ebpf_last_error(), "numbers") != NULL);
    CHECK(bpf_map_update_elem(fd, &key, &value, BPF_ANY) == 0);
    CHECK(bpf_map_update_elem(fd, &key, &value, BPF_NOEXIST) == -EEXIST);
    CHECK(bpf_map_update_elem(fd, &key, &value, 77) == -EINVAL);
    CHECK(bpf_map_lookup_elem(fd, &key, &found) == 0 && found == 10);
    CHECK(bpf_map_lookup_elem(fd, NULL, &found) == -EINVAL);
    CHECK(bpf_map_lookup_elem(fd, &key, NULL) == -EINVAL);

    struct bpf_map_info info;
    uint32_t length = sizeof(info);
    CHECK(bpf_obj_get_info_by_fd(fd, &info, &length) == 0);
    CHECK(length == sizeof(info) && strcmp(info.name, "numbers") == 0);
    CHECK(info.type == BPF_MAP_TYPE_HASH && info.key_size == 4 && info.value_size == 8);
    int same = bpf_map_get_fd_by_id(info.id);
    CHECK(same > 0 && same != fd);
    CHECK(bpf_map_lookup_and_delete_elem(same, &key, &found) == 0);
    CHECK(bpf_map_delete_elem(fd, &key) == -ENOENT);
    CHECK(bpf_map_get_next_key(fd, NULL, &key) == -ENOENT);
    CHECK(ebpf_close_fd(same) == 0);
    CHECK(ebpf_close_fd(same) != 0);
    CHECK(bpf_map_delete_elem(same, &key) == -EBADF);
    CHECK(ebpf_close_fd(fd) == 0);
}

static void batches(void) {
    enum { COUNT = 1000, STEP = 64 };
    static uint32_t keys[COUNT], values[COUNT], seen[COUNT];
    int fd = bpf_map_create(BPF_MAP_TYPE_HASH, "many", 4, 4, COUNT, NULL);
    for (uint32_t at = 0; at < COUNT; at++)
        keys[at] = at, values[at] = at * 3;
    uint32_t count = COUNT;
    CHECK(bpf_map_update_batch(fd, keys, values, &count, NULL) == 0 && count == COUNT);

    uint32_t last = 0, total = 0;
    int result = 0;
    for (void *after = NULL; result == 0; after = &last) {
        uint32_t some_keys[STEP], some_values[STEP];
        count = STEP;
        result = bpf_map_lookup_batch(fd, after, &last, some_keys, some_values, &count, NULL);
        CHECK(result == 0 || result == -ENOENT);
        for (uint32_t at = 0; at < count; at++) {
            CHECK(some_keys[at] < COUNT && some_values[at] == some_keys[at] * 3);
            seen[some_keys[at]]++;
        }
        total += count;
    }
    CHECK(total == COUNT);
    for (uint32_t at = 0; at < COUNT; at++)
        CHECK(seen[at] == 1);
    count = 10;
    CHECK(bpf_map_delete_batch(fd, keys, &count, NULL) == 0 && count == 10);
    count = COUNT;
    CHECK(bpf_map_lookup_and_delete_batch(fd, NULL, &last, keys, values, &count, NULL) == -ENOENT);
    CHECK(count == COUNT - 10);
    CHECK(bpf_map_get_next_key(fd, NULL, &last) == -ENOENT);

    // The first element that is refused ends a batch: why, and how many were done before it.
    for (uint32_t at = 0; at < COUNT; at++)
        keys[at] = at;
    CHECK(bpf_map_update_elem(fd, &keys[5], values, BPF_ANY) == 0);
    struct bpf_map_batch_opts opts = {.sz = sizeof(opts), .elem_flags = BPF_NOEXIST};
    count = COUNT;
    CHECK(bpf_map_update_batch(fd, keys, values, &count, &opts) == -EEXIST && count == 5);
    count = 10;
    CHECK(bpf_map_update_batch(fd, keys, values, &count, &opts) == -EEXIST && count == 0);
    opts.elem_flags = BPF_EXIST;
    count = 10;
    CHECK(bpf_map_update_batch(fd, keys, values, &count, &opts) == -ENOENT && count == 6);
    opts.elem_flags = 7;
    count = 10;
    CHECK(bpf_map_update_batch(fd, keys, values, &count, &opts) == -EINVAL && count == 0);
    count = 10;
    CHECK(bpf_map_delete_batch(fd, keys, &count, NULL) == -ENOENT && count == 6);
    count = 0;
    CHECK(bpf_map_update_batch(fd, keys, values, &count, NULL) == 0 && count == 0);
    CHECK(ebpf_close_fd(fd) == 0);
}

static void per_cpu(void) {
    int cpus = libbpf_num_possible_cpus();
    CHECK(cpus > 0);
    uint32_t key = 0;
    uint64_t *values = calloc(cpus, sizeof(*values));
    int fd = bpf_map_create(BPF_MAP_TYPE_PERCPU_ARRAY, "each", 4, 4, 1, NULL);
    for (int cpu = 0; cpu < cpus; cpu++)
        values[cpu] = cpu + 1;
    CHECK(bpf_map_update_elem(fd, &key, values, 0) == 0);
    memset(values, 0, cpus * sizeof(*values));
    CHECK(bpf_map_lookup_elem(fd, &key, values) == 0);
    for (int cpu = 0; cpu < cpus; cpu++)
        CHECK((uint32_t)values[cpu] == (uint32_t)cpu + 1);
    free(values);
    CHECK(ebpf_close_fd(fd) == 0);
}

static void maps_of_maps(void) {
    uint32_t key = 0, id = 0;
    int inner = bpf_map_create(BPF_MAP_TYPE_ARRAY, "inner", 4, 8, 1, NULL);
    LIBBPF_OPTS(bpf_map_create_opts, opts, .inner_map_fd = inner);
    int outer = bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "outer", 4, 4, 2, &opts);
    CHECK(inner > 0 && outer > 0);
    CHECK(bpf_map_update_elem(outer, &key, &inner, 0) == 0);
    CHECK(bpf_map_update_elem(outer, &key, &outer, 0) < 0);
    CHECK(bpf_map_lookup_elem(outer, &key, &id) == 0);
    int again = bpf_map_get_fd_by_id(id);
    CHECK(again > 0);
    CHECK(ebpf_close_fd(again) == 0 && ebpf_close_fd(inner) == 0 && ebpf_close_fd(outer) == 0);
}

static void pins(void) {
    int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "pinned", 4, 4, 1, NULL), duplicate = -1;
    CHECK(bpf_obj_pin(fd, "/ebpf/global/a/map") == 0);
    CHECK(bpf_obj_pin(fd, "a\\map") == -EEXIST);
    CHECK(ebpf_duplicate_fd(fd, &duplicate) == 0);
    CHECK(ebpf_close_fd(fd) == 0 && ebpf_close_fd(duplicate) == 0);
    char path[256];
    ebpf_object_type_t type = EBPF_OBJECT_UNKNOWN;
    CHECK(ebpf_get_next_pinned_object_path(NULL, path, sizeof(path), &type) == 0);
    CHECK(strcmp(path, "BPF:\\a\\map") == 0 && type == EBPF_OBJECT_MAP);
    CHECK(ebpf_get_next_pinned_object_path(path, path, sizeof(path), &type) != 0);
    CHECK(ebpf_get_next_pinned_object_path(NULL, path, 4, NULL) != 0 && errno == ENOSPC);
    CHECK((fd = bpf_obj_get("BPF:\\a\\map")) > 0);
    CHECK(ebpf_object_unpin("a/map") == 0 && ebpf_object_unpin("a/map") != 0);
    CHECK(bpf_obj_get("a/map") == -ENOENT);
    CHECK(ebpf_close_fd(fd) == 0);
}

static void pinned_maps(void) {
    char path[EBPF_MAX_PIN_PATH_LENGTH];
    CHECK(ebpf_canonicalize_pin_path(path, sizeof(path), "/ebpf/global/b/../x") == EBPF_SUCCESS);
    CHECK(strcmp(path, "BPF:\\x") == 0);
    CHECK(ebpf_canonicalize_pin_path(path, sizeof(path), "/..") == EBPF_INVALID_ARGUMENT);
    CHECK(ebpf_canonicalize_pin_path(path, 6, "x") == EBPF_INSUFFICIENT_BUFFER);
    CHECK(ebpf_canonicalize_pin_path(path, 7, "x") == EBPF_SUCCESS);

    uint16_t count = 77;
    ebpf_map_info_t *maps = (ebpf_map_info_t *)path;
    CHECK(ebpf_api_get_pinned_map_info(&count, &maps) == EBPF_SUCCESS && count == 0 && maps == NULL);
    CHECK(ebpf_api_get_pinned_map_info(NULL, &maps) == EBPF_INVALID_ARGUMENT);
    ebpf_api_map_info_free(0, NULL);

    int hash = bpf_map_create(BPF_MAP_TYPE_HASH, "a_hash", 4, 8, 16, NULL);
    int ring = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "a_ring", 0, 0, 65536, NULL);
    CHECK(bpf_obj_pin(hash, "z") == 0 && bpf_obj_pin(ring, "/a/ring") == 0);
    CHECK(ebpf_api_get_pinned_map_info(&count, &maps) == EBPF_SUCCESS && count == 2);
    CHECK(strcmp(maps[0].pin_path, "BPF:\\a\\ring") == 0 && strcmp(maps[1].pin_path, "BPF:\\z") == 0);
    CHECK(maps[0].definition.type == BPF_MAP_TYPE_RINGBUF);
    CHECK(maps[0].definition.max_entries == 65536 && maps[0].definition.key_size == 0);
    CHECK(maps[1].definition.type == BPF_MAP_TYPE_HASH && maps[1].definition.max_entries == 16);
    CHECK(maps[1].definition.key_size == 4 && maps[1].definition.value_size == 8);
    CHECK(maps[1].definition.pinning == LIBBPF_PIN_BY_NAME);
    ebpf_api_map_info_free(count, maps);
    CHECK(ebpf_object_unpin("z") == 0 && ebpf_object_unpin("a/ring") == 0);
    CHECK(ebpf_close_fd(hash) == 0 && ebpf_close_fd(ring) == 0);
}

// What flags of Linux mean is not known here, so none is taken.
static void flags(void) {
    uint32_t id;
    LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = 1);
    CHECK(bpf_map_create(BPF_MAP_TYPE_HASH, "flagged", 4, 4, 1, &opts) == -EINVAL);
    CHECK(strstr(ebpf_last_error(), "flagged: map_flags 0x1") != NULL);
    CHECK(bpf_create_map(BPF_MAP_TYPE_HASH, 4, 4, 1, 8) == -EINVAL);
    struct bpf_create_map_attr attr = {
        .map_type = BPF_MAP_TYPE_ARRAY, .map_flags = 2, .key_size = 4, .value_size = 4, .max_entries = 1};
    CHECK(bpf_create_map_xattr(&attr) == -EINVAL);
    // Fields behind the size that the caller knows are not read.
    opts.sz = offsetof(struct bpf_map_create_opts, map_flags);
    int fd = bpf_map_create(BPF_MAP_TYPE_HASH, "flagged", 4, 4, 1, &opts);
    CHECK(fd > 0 && ebpf_close_fd(fd) == 0);
    CHECK(bpf_map_get_next_id(0, &id) == -ENOENT);
}

// A handle that this library did not give: here that of the only map, where handles are small numbers.
static void handles(void) {
    int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "handled", 4, 4, 1, NULL);
    CHECK(fd > 0);
#ifndef _WIN32
    uint32_t id;
    int closed = 0;
    for (ebpf_handle_t handle = 0; handle < 4096; handle++)
        closed += ebpf_api_close_handle(handle) == EBPF_SUCCESS;
    CHECK(closed == 1 && bpf_map_get_next_id(0, &id) == -ENOENT);
#endif
    CHECK(ebpf_api_close_handle(-1) == EBPF_INVALID_OBJECT);
    CHECK(ebpf_close_fd(fd) == 0);
}

static void errors(void) {
    CHECK(bpf_map_create(BPF_MAP_TYPE_ARRAY, "bad", 8, 4, 1, NULL) == -EINVAL);
    CHECK(strstr(ebpf_last_error(), "cannot create map bad") != NULL);
    CHECK(bpf_map_create((enum bpf_map_type)99, NULL, 4, 4, 1, NULL) == -EINVAL);
    CHECK(bpf_obj_get(NULL) == -EINVAL && bpf_obj_get("no such") == -ENOENT);
    CHECK(bpf_map_get_fd_by_id(12345) == -ENOENT);
    CHECK(bpf_map_lookup_elem(0, "", "") == -EBADF && bpf_map_lookup_elem(-1, "", "") == -EBADF);
    char text[8];
    CHECK(libbpf_strerror(-EINVAL, text, sizeof(text)) == 0 && strlen(text) == 7);
    CHECK(strcmp(libbpf_bpf_map_type_str(BPF_MAP_TYPE_LRU_HASH), "lru_hash") == 0);
    CHECK(libbpf_bpf_map_type_str((enum bpf_map_type)99) == NULL);
}

int main(void) {
    elements();
    batches();
    per_cpu();
    maps_of_maps();
    pins();
    pinned_maps();
    flags();
    handles();
    errors();
    check_nothing_left();
    puts("maps: done");
    return 0;
}
