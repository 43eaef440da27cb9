// SPDX-License-Identifier: MIT OR Apache-2.0

// `bpf()`, and functions with attributes in place of options. Arguments: the folder of the examples.

#include "check.h"

#define ADDRESS(of) ((uint64_t)(uintptr_t)(of))

static int call(int command, union bpf_attr *attr) {
    return bpf(command, attr, sizeof(*attr));
}

static void maps(void) {
    union bpf_attr attr = {.map_create = {BPF_MAP_TYPE_HASH, 4, 8, 2, .map_name = "numbers"}};
    int fd = call(BPF_MAP_CREATE, &attr);
    CHECK(fd > 0);
    memset(attr.map_create.map_name, 'x', sizeof(attr.map_create.map_name));
    CHECK(call(BPF_MAP_CREATE, &attr) == -EINVAL);

    uint32_t key = 7, next = 0;
    uint64_t value = 70, found = 0;
    union bpf_attr element = {.map_update = {fd, 0, ADDRESS(&key), ADDRESS(&value), BPF_NOEXIST}};
    CHECK(call(BPF_MAP_UPDATE_ELEM, &element) == 0 && call(BPF_MAP_UPDATE_ELEM, &element) == -EEXIST);
    element.map_lookup.value = ADDRESS(&found);
    CHECK(call(BPF_MAP_LOOKUP_ELEM, &element) == -EINVAL); // flags
    element.map_lookup.flags = 0;
    CHECK(call(BPF_MAP_LOOKUP_ELEM, &element) == 0 && found == 70);
    // Without the flags that other versions do not have.
    CHECK(bpf(BPF_MAP_LOOKUP_ELEM, &element, 24) == 0);
    CHECK(bpf(BPF_MAP_LOOKUP_ELEM, &element, 16) == -EINVAL);
    union bpf_attr step = {.map_get_next_key = {fd, 0, 0, ADDRESS(&next)}};
    CHECK(call(BPF_MAP_GET_NEXT_KEY, &step) == 0 && next == 7);
    step.map_get_next_key.key = ADDRESS(&key);
    CHECK(call(BPF_MAP_GET_NEXT_KEY, &step) == -ENOENT);
    CHECK(call(BPF_MAP_LOOKUP_AND_DELETE_ELEM, &element) == 0);
    union bpf_attr gone = {.map_delete = {fd, 0, ADDRESS(&key)}};
    CHECK(call(BPF_MAP_DELETE_ELEM, &gone) == -ENOENT);

    union bpf_attr pin = {.obj_pin = {ADDRESS("folder/numbers"), fd, 0}}, get = pin, id = {0};
    CHECK(call(BPF_OBJ_PIN, &pin) == 0 && call(BPF_OBJ_GET, &get) == -EINVAL);
    get.obj_get.bpf_fd = 0;
    int same = call(BPF_OBJ_GET, &get);
    CHECK(same > 0 && ebpf_close_fd(same) == 0 && ebpf_object_unpin("folder/numbers") == 0);
    CHECK(call(BPF_MAP_GET_NEXT_ID, &id) == 0);
    sys_bpf_map_info_t info;
    union bpf_attr about = {.info = {fd, sizeof(info), ADDRESS(&info)}};
    CHECK(call(BPF_OBJ_GET_INFO_BY_FD, &about) == 0 && about.info.info_len == sizeof(info));
    CHECK(info.id == id.map_get_next_id.next_id && strcmp(info.name, "numbers") == 0);
    CHECK(info.type == BPF_MAP_TYPE_HASH && info.value_size == 8 && info.max_entries == 2);
    union bpf_attr by_id = {.map_id = info.id};
    CHECK((same = call(BPF_MAP_GET_FD_BY_ID, &by_id)) > 0);
    CHECK(ebpf_close_fd(same) == 0 && ebpf_close_fd(fd) == 0);
}

static void programs(void) {
    // r0 = 1; exit
    struct bpf_insn pass[] = {{.code = 0xb7, .imm = 1}, {.code = 0x95}};
    char log[4096] = "";
    union bpf_attr load = {.prog_load = {BPF_PROG_TYPE_XDP, 2, ADDRESS(pass), .prog_name = "pass",
                                         .log_size = sizeof(log), .log_buf = ADDRESS(log)}};
    int fd = call(BPF_PROG_LOAD, &load);
    CHECK(fd > 0);
    load.prog_load.insns = ADDRESS(pass + 1);
    load.prog_load.insn_cnt = 1;
    CHECK(call(BPF_PROG_LOAD, &load) == -EACCES && strstr(log, "r0") != NULL);

    uint8_t frame[64] = {0}, out[64];
    union bpf_attr run = {.test = {.prog_fd = fd, .data_in = ADDRESS(frame), .data_size_in = 64,
                                   .data_out = ADDRESS(out), .data_size_out = 64, .repeat = 3}};
    CHECK(call(BPF_PROG_TEST_RUN, &run) == 0);
    CHECK(run.test.retval == 1 && run.test.data_size_out == 64);

    uint32_t ids[1] = {0};
    int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "bound", 4, 4, 1, NULL);
    union bpf_attr bind = {.prog_bind_map = {fd, map, 0}};
    CHECK(call(BPF_PROG_BIND_MAP, &bind) == 0 && ebpf_close_fd(map) == 0);
    sys_bpf_prog_info_t info = {.nr_map_ids = 1, .map_ids = ADDRESS(ids)};
    union bpf_attr about = {.info = {fd, sizeof(info), ADDRESS(&info)}}, id = {0};
    CHECK(call(BPF_OBJ_GET_INFO_BY_FD, &about) == 0 && strcmp(info.name, "pass") == 0);
    CHECK(info.nr_map_ids == 1 && ids[0] != 0 && info.map_ids == ADDRESS(ids));
    CHECK(call(BPF_PROG_GET_NEXT_ID, &id) == 0 && id.prog_get_next_id.next_id == info.id);

    union bpf_attr attach = {.prog_attach = {0, fd, BPF_XDP, 0}}, link = {0};
    CHECK(call(BPF_PROG_ATTACH, &attach) == 0 && call(BPF_LINK_GET_NEXT_ID, &link) == 0);
    union bpf_attr by_id = {.link_id = link.link_get_next_id.next_id};
    int link_fd = call(BPF_LINK_GET_FD_BY_ID, &by_id);
    CHECK(link_fd > 0);
    union bpf_attr detach = {.link_detach = {link_fd}};
    CHECK(call(BPF_LINK_DETACH, &detach) == 0 && ebpf_close_fd(link_fd) == 0);
    CHECK(call(BPF_PROG_DETACH, &attach) == -ENOENT);
    CHECK(ebpf_close_fd(fd) == 0);
}

static void forms(void) {
    union bpf_attr attr = {.map_id = 1};
    struct {
        union bpf_attr attr;
        uint64_t more;
    } longer = {{.map_create = {BPF_MAP_TYPE_ARRAY, 4, 4, 1}}, 0};
    CHECK(call(16, &attr) == -EINVAL && call(-1, &attr) == -EINVAL && call(1000, &attr) == -EINVAL);
    CHECK(bpf(BPF_MAP_CREATE, NULL, 4) == -EINVAL && bpf(BPF_MAP_CREATE, NULL, 0) == -EINVAL);
    CHECK(bpf(BPF_MAP_CREATE, &attr, 1 << 30) == -EINVAL);
    int fd = bpf(BPF_MAP_CREATE, &longer.attr, sizeof(longer));
    CHECK(fd > 0 && ebpf_close_fd(fd) == 0);
    longer.more = 1;
    CHECK(bpf(BPF_MAP_CREATE, &longer.attr, sizeof(longer)) == -EINVAL);
    // The next id is given only where there is room for it.
    uint32_t start[2] = {0, 77};
    fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, NULL, 4, 4, 1, NULL);
    CHECK(bpf(BPF_MAP_GET_NEXT_ID, (union bpf_attr *)start, 4) == 0 && start[1] == 77);
    CHECK(ebpf_close_fd(fd) == 0);
}

static void older(const char *folder) {
    struct bpf_create_map_attr map = {.name = "old", .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4,
                                      .value_size = 4, .max_entries = 1};
    int fd = bpf_create_map_xattr(&map), inner = fd;
    CHECK(fd > 0 && bpf_create_map_xattr(NULL) == -EINVAL);
    map.map_type = BPF_MAP_TYPE_ARRAY_OF_MAPS;
    map.inner_map_fd = inner;
    CHECK((fd = bpf_create_map_xattr(&map)) > 0);
    CHECK(ebpf_close_fd(fd) == 0 && ebpf_close_fd(inner) == 0);

    struct bpf_insn pass[] = {{.code = 0xb7, .imm = 1}, {.code = 0x95}};
    char log[1024] = "";
    CHECK((fd = bpf_load_program(BPF_PROG_TYPE_XDP, pass, 2, "MIT", 0, NULL, 0)) > 0);
    CHECK(ebpf_close_fd(fd) == 0);
    CHECK(bpf_load_program(BPF_PROG_TYPE_XDP, pass + 1, 1, "MIT", 0, log, 8) == -EACCES);
    CHECK(strlen(log) > 0 && strlen(log) < 8);
    struct bpf_load_program_attr attr = {.prog_type = BPF_PROG_TYPE_XDP, .name = "old",
                                         .insns = pass, .insns_cnt = 2};
    CHECK((fd = bpf_load_program_xattr(&attr, log, sizeof(log))) > 0 && ebpf_close_fd(fd) == 0);

    char path[1024];
    snprintf(path, sizeof(path), "%s/droppacket.o", folder);
    struct bpf_object *object = (void *)path; // not read
    CHECK(bpf_prog_load_deprecated("no such", BPF_PROG_TYPE_XDP, &object, &fd) == -ENOENT);
    CHECK(bpf_prog_load_deprecated(path, BPF_PROG_TYPE_XDP, &object, &fd) == 0 && fd > 0);
    CHECK(ebpf_object_get_execution_type(object) == EBPF_EXECUTION_INTERPRET);
    CHECK(ebpf_object_set_execution_type(object, EBPF_EXECUTION_ANY) == 0);
    CHECK(ebpf_object_set_execution_type(object, EBPF_EXECUTION_NATIVE) != 0);
    struct bpf_object_load_attr again = {.obj = object};
    CHECK(bpf_object__load_xattr(&again) == -EEXIST && bpf_object__load_xattr(NULL) == -EINVAL);
    GUID type, hook;
    CHECK(ebpf_get_program_type_by_name("no such", &type, &hook) == 19);
    CHECK(ebpf_get_program_type_by_name("xdp", &type, &hook) == 0);
    CHECK(ebpf_get_bpf_program_type(&type) == BPF_PROG_TYPE_XDP);
    int link = -1;
    CHECK(ebpf_program_attach_by_fds(fd, &hook, NULL, 0, &link) == 0 && link > 0);
    CHECK(ebpf_close_fd(link) == 0);
    bpf_object__close(object);
}

int main(int count, char **arguments) {
    CHECK(count >= 2);
    maps();
    programs();
    forms();
    older(arguments[1]);
    check_nothing_left();
    puts("syscall: done");
    return 0;
}
