// SPDX-License-Identifier: MIT OR Apache-2.0

// Objects: opened, changed, loaded, run, attached, pinned. Arguments: the folder of the examples, and
// a driver of droppacket or nothing.

#include "check.h"

static const char *folder;

static const char *example(const char *name) {
    static char path[1024];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

// The verdict about a UDP frame to port 53.
static uint32_t verdict(int program, uint16_t udp_bytes) {
    uint8_t frame[1514] = {[12] = 0x08, [14] = 0x45, [23] = 17, [37] = 53}, out[1514];
    frame[38] = udp_bytes >> 8;
    frame[39] = (uint8_t)udp_bytes;
    uint32_t size = 14 + 20 + udp_bytes;
    LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = size, .data_out = out,
                .data_size_out = sizeof(out), .repeat = 10);
    CHECK(bpf_prog_test_run_opts(program, &opts) == 0);
    CHECK(opts.data_size_out == size && memcmp(frame, out, size) == 0);
    opts.data_size_out = 8;
    CHECK(bpf_prog_test_run_opts(program, &opts) == -ENOSPC && opts.data_size_out == size);
    return opts.retval;
}

static void load_and_run(const char *path, ebpf_execution_type_t expected) {
    struct bpf_object *object = bpf_object__open(path);
    CHECK(object != NULL);
    struct bpf_program *program = bpf_object__find_program_by_name(object, "DropPacket");
    CHECK(program != NULL && bpf_object__find_program_by_name(object, "Nobody") == NULL);
    CHECK(bpf_program__fd(program) == -1);
    CHECK(bpf_program__type(program) == BPF_PROG_TYPE_XDP);
    CHECK(strcmp(bpf_program__section_name(program), "xdp") == 0);
    CHECK(bpf_program__attach(program) == NULL && errno == EINVAL);
    CHECK(bpf_object__load(object) == 0);
    CHECK(bpf_object__load(object) == -EEXIST);

    int fd = bpf_program__fd(program);
    CHECK(verdict(fd, 8) == 2 && verdict(fd, 40) == 1);
    ebpf_execution_type_t how;
    char *file = NULL, *section = NULL;
    CHECK(ebpf_program_query_info(fd, &how, &file, &section) == 0);
    CHECK(how == expected && strcmp(section, "xdp") == 0);
    ebpf_free_string(file);
    ebpf_free_string(section);

    uint32_t key = 0;
    uint64_t dropped = 0;
    int counter = bpf_object__find_map_fd_by_name(object, "dropcnt_map");
    CHECK(bpf_map_lookup_elem(counter, &key, &dropped) == 0 && dropped == 20);

    struct bpf_link *link = bpf_program__attach_xdp(program, 7);
    CHECK(link != NULL);
    struct bpf_link_info info;
    uint32_t length = sizeof(info), id;
    CHECK(bpf_obj_get_info_by_fd(bpf_link__fd(link), &info, &length) == 0);
    CHECK(info.type == BPF_LINK_TYPE_XDP && info.xdp.ifindex == 7);
    CHECK(bpf_xdp_query_id(7, 0, &id) == 0 && id == info.prog_id);
    CHECK(bpf_program__attach_xdp(program, 7) == NULL && errno == EEXIST);
    CHECK(bpf_link__destroy(link) == 0);
    CHECK(bpf_link_get_next_id(0, &id) == -ENOENT);

    link = bpf_program__attach(program);
    CHECK(link != NULL && bpf_link__pin(link, "a/link") == 0);
    CHECK(bpf_link__destroy(link) == 0);
    CHECK((link = bpf_link__open("a/link")) != NULL);
    CHECK(bpf_link__detach(link) == 0 && bpf_link__unpin(link, "a/link") == 0);
    CHECK(bpf_link__destroy(link) == 0);

    CHECK(bpf_xdp_attach(3, fd, 0, NULL) == 0 && bpf_link_get_next_id(0, &id) == 0);
    CHECK(bpf_xdp_detach(3, 0, NULL) == 0 && bpf_xdp_detach(3, 0, NULL) == -ENOENT);
    bpf_object__close(object);
}

static void walk(void) {
    struct bpf_object *object = bpf_object__open(example("tail_calls.o"));
    struct bpf_program *program, *last = NULL;
    struct bpf_map *map;
    int programs = 0, maps = 0;
    CHECK(object != NULL && strcmp(bpf_object__name(object), "tail_calls") == 0);
    bpf_object__for_each_program(program, object) last = program, programs++;
    bpf_object__for_each_map(map, object) maps++;
    CHECK(programs > 2 && maps > 1);
    CHECK(bpf_program__prev(NULL, object) == last && bpf_program__next(last, object) == NULL);
    CHECK(bpf_program__set_autoload(last, false) == 0 && !bpf_program__autoload(last));
    CHECK(bpf_object__load(object) == 0);
    CHECK(bpf_program__fd(last) == -1 && bpf_program__set_autoload(last, true) == -EINVAL);
    CHECK(bpf_object__pin_maps(object, "maps") == 0);
    CHECK(bpf_map__is_pinned(bpf_object__next_map(object, NULL)));
    CHECK(bpf_object__pin_maps(object, "maps") == -EEXIST);
    CHECK(bpf_object__unpin_maps(object, "maps") == 0);
    CHECK(bpf_object__unload(object) == 0 && bpf_object__load(object) == 0);
    bpf_object__close(object);
}

static void refused(void) {
    struct bpf_object *object = bpf_object__open(example("droppacket_unsafe.o"));
    CHECK(object != NULL && bpf_object__load(object) == -EACCES);
    CHECK(strstr(ebpf_last_error(), "droppacket_unsafe.c") != NULL);
    bpf_object__close(object);

    char *report = NULL, *message = NULL;
    ebpf_api_verifier_stats_t stats;
    CHECK(ebpf_api_elf_verify_program_from_file(example("droppacket.o"), NULL, NULL, NULL, 0, &report,
                                                &message, &stats) == 0);
    CHECK(report == NULL && message == NULL);
    CHECK(ebpf_api_elf_verify_program_from_file(example("droppacket_unsafe.o"), "xdp", NULL, NULL, 0,
                                                &report, &message, &stats) == 1);
    CHECK(report != NULL && message != NULL && strstr(message, report) != NULL);
    ebpf_free_string(report);
    ebpf_free_string(message);

    CHECK(bpf_object__open("no such file.o") == NULL && errno == ENOENT);
    CHECK(strstr(ebpf_last_error(), "no such file.o") != NULL);
    CHECK(bpf_object__open(example("droppacket.c")) == NULL && errno == EINVAL);
    CHECK(bpf_object__open(NULL) == NULL && bpf_object__load(NULL) == -EINVAL);
    CHECK(libbpf_get_error(NULL) == -EINVAL);
    bpf_object__close(NULL);
}

static void instructions(void) {
    // r0 = 1; exit
    struct bpf_insn pass[] = {{.code = 0xb7, .imm = 1}, {.code = 0x95}};
    int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "pass", "MIT", pass, 2, NULL);
    CHECK(fd > 0 && verdict(fd, 8) == 1);
    struct bpf_prog_info info = {0};
    uint32_t length = sizeof(info);
    CHECK(bpf_obj_get_info_by_fd(fd, &info, &length) == 0 && strcmp(info.name, "pass") == 0);
    GUID type;
    CHECK(ebpf_get_ebpf_program_type(BPF_PROG_TYPE_XDP, &type) == 0);
    CHECK(memcmp(&type, &info.type_uuid, sizeof(type)) == 0);
    CHECK(strcmp(ebpf_get_program_type_name(&type), "xdp") == 0);
    CHECK(ebpf_close_fd(fd) == 0);

    char log[4096] = "";
    LIBBPF_OPTS(bpf_prog_load_opts, opts, .log_buf = log, .log_size = sizeof(log));
    CHECK(bpf_prog_load(BPF_PROG_TYPE_XDP, "bad", "MIT", pass + 1, 1, &opts) == -EACCES);
    CHECK(strstr(log, "r0") != NULL);
    // A map by its descriptor: r1 = map; r0 = 1; exit
    int map = bpf_map_create(BPF_MAP_TYPE_ARRAY, "named", 4, 4, 1, NULL);
    struct bpf_insn with_map[] = {
        {.code = 0x18, .dst_reg = 1, .src_reg = 1, .imm = map}, {0}, pass[0], pass[1]};
    CHECK((fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "with_map", "MIT", with_map, 4, NULL)) > 0);
    struct bpf_map_info about;
    length = sizeof(about);
    CHECK(bpf_obj_get_info_by_fd(map, &about, &length) == 0);
    uint32_t ids[2] = {0, 0};
    CHECK(verdict(fd, 8) == 1);
    info.map_ids = (uintptr_t)ids;
    info.nr_map_ids = 2;
    length = sizeof(info);
    CHECK(bpf_obj_get_info_by_fd(fd, &info, &length) == 0 && length == sizeof(info));
    CHECK(info.nr_map_ids == 1 && info.map_ids == (uintptr_t)ids);
    CHECK(ids[0] == about.id && ids[1] == 0);
    // Both rounds of `verdict` run it ten times.
    CHECK(info.run_cnt == 20);
    ids[0] = info.nr_map_ids = 0;
    length = 128;
    CHECK(bpf_obj_get_info_by_fd(fd, &info, &length) == 0 && length == 128);
    CHECK(info.nr_map_ids == 1 && ids[0] == 0);
    ebpf_object_type_t kind;
    CHECK(ebpf_object_get_info_by_fd(map, NULL, NULL, &kind) == 0 && kind == EBPF_OBJECT_MAP);
    CHECK(ebpf_close_fd(fd) == 0 && ebpf_close_fd(map) == 0);
    CHECK(bpf_prog_load(BPF_PROG_TYPE_XDP, "no_map", "MIT", with_map, 4, NULL) == -EBADF);
}

int main(int count, char **arguments) {
    CHECK(count >= 2);
    folder = arguments[1];
    for (int round = 0; round < 3; round++) {
        load_and_run(example("droppacket.o"), EBPF_EXECUTION_INTERPRET);
        check_nothing_left();
        if (count > 2) {
            load_and_run(arguments[2], EBPF_EXECUTION_NATIVE);
            check_nothing_left();
        }
    }
    walk();
    refused();
    instructions();
    check_nothing_left();
    puts("programs: done");
    return 0;
}
