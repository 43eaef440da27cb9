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
    CHECK(bpf_program__flags(program) == 0 && bpf_program__set_flags(program, 6) == 0);
    CHECK(bpf_program__flags(program) == 6);
    CHECK(bpf_object__load(object) == 0);
    CHECK(bpf_object__load(object) == -EEXIST);
    CHECK(bpf_program__set_type(program, BPF_PROG_TYPE_BIND) == -EBUSY);
    CHECK(bpf_program__set_expected_attach_type(program, BPF_XDP) == -EBUSY);
    CHECK(bpf_program__set_flags(program, 2) == -EBUSY && bpf_program__flags(program) == 6);
    size_t log_size = 1;
    CHECK(bpf_program__log_buf(program, &log_size) == NULL && log_size == 0);

    int fd = bpf_program__fd(program);
    CHECK(verdict(fd, 8) == 2 && verdict(fd, 40) == 1);
    ebpf_execution_type_t how;
    const char *file = NULL, *section = NULL;
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
    CHECK(bpf_link__pin(link, "b/link") == -EBUSY);
    CHECK(bpf_link__destroy(link) == 0);
    CHECK((link = bpf_link__open("a/link")) != NULL);
    CHECK(bpf_link__detach(link) == 0 && bpf_link__unpin(link) == 0);
    CHECK(bpf_link__unpin(link) == -ENOENT && bpf_link__open("a/link") == NULL);
    CHECK(bpf_link__destroy(link) == 0);

    CHECK(bpf_xdp_attach(3, fd, 0, NULL) == 0 && bpf_link_get_next_id(0, &id) == 0);
    CHECK(bpf_xdp_attach(3, fd, 0, NULL) == -EEXIST);
    CHECK(bpf_xdp_attach(3, -77, XDP_FLAGS_REPLACE, NULL) == -EBADF);
    CHECK(bpf_xdp_attach(3, fd, 0x100, NULL) == -EINVAL);
    CHECK(bpf_xdp_attach(3, fd, XDP_FLAGS_REPLACE, NULL) == 0);
    // The link is another one, and the only one.
    CHECK(bpf_link_get_next_id(0, &length) == 0 && length != id);
    CHECK(bpf_link_get_next_id(length, &id) == -ENOENT);
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

// Programs go one by one.
static void unload(void) {
    struct bpf_object *object = bpf_object__open(example("tail_calls.o"));
    CHECK(object != NULL && bpf_object__load(object) == 0);
    struct bpf_program *first = bpf_object__next_program(object, NULL);
    struct bpf_program *second = bpf_object__next_program(object, first);
    struct bpf_prog_info info = {0};
    uint32_t length = sizeof(info);
    CHECK(bpf_obj_get_info_by_fd(bpf_program__fd(second), &info, &length) == 0);
    bpf_program__unload(second);
    bpf_program__unload(second);
    CHECK(bpf_program__fd(second) == -1 && bpf_program__fd(first) > 0);
    CHECK(bpf_program__attach(second) == NULL && errno == EINVAL);
    bpf_program__unload(NULL);
    bpf_object__close(object);
}

static void from_memory(void) {
    static char bytes[65536];
    FILE *file = fopen(example("droppacket.o"), "rb");
    CHECK(file != NULL);
    size_t size = fread(bytes, 1, sizeof(bytes), file);
    CHECK(size > 0 && size < sizeof(bytes) && fclose(file) == 0);
    LIBBPF_OPTS(bpf_object_open_opts, opts, .object_name = "remembered");
    struct bpf_object *object = bpf_object__open_mem(bytes, size, &opts);
    CHECK(object != NULL && strcmp(bpf_object__name(object), "remembered") == 0);
    CHECK(bpf_object__load(object) == 0);
    bpf_object__close(object);
    CHECK(bpf_object__open_mem(bytes, 100, NULL) == NULL && errno == EINVAL);
    ebpf_api_verifier_stats_t stats;
    CHECK(ebpf_api_elf_verify_program_from_memory(bytes, size, "xdp", NULL, NULL, 0, NULL, NULL,
                                                  &stats) == 0);
}

static void open_objects(void) {
    CHECK(bpf_object__next(NULL) == NULL);
    struct bpf_object *first = bpf_object__open(example("droppacket.o"));
    struct bpf_object *second = bpf_object__open(example("tail_calls.o"));
    CHECK(bpf_object__next(NULL) == first && bpf_object__next(first) == second);
    CHECK(bpf_object__next(second) == NULL);
    bpf_object__close(first);
    CHECK(bpf_object__next(NULL) == second);
    bpf_object__close(second);
    CHECK(bpf_object__next(NULL) == NULL);
}

static int stat_of(const ebpf_api_program_info_t *program, const char *key) {
    for (const ebpf_stat_t *stat = program->stats; stat; stat = stat->next)
        if (strcmp(stat->key, key) == 0)
            return stat->value;
    return -1;
}

// The programs of an object file: what opening it tells too, and their places in its sections.
static void enumerate(const char *driver) {
    ebpf_api_program_info_t *list = NULL;
    const char *message = NULL;
    CHECK(ebpf_enumerate_programs(example("tail_calls.o"), true, &list, &message) == EBPF_SUCCESS);
    CHECK(list != NULL && message == NULL);
    struct bpf_object *object = bpf_object__open(example("tail_calls.o"));
    struct bpf_program *program = NULL;
    for (ebpf_api_program_info_t *info = list; info; info = info->next) {
        program = bpf_object__next_program(object, program);
        CHECK(program != NULL && strcmp(info->program_name, bpf_program__name(program)) == 0);
        CHECK(strcmp(info->section_name, bpf_program__section_name(program)) == 0);
        CHECK(info->raw_data_size == 8 * bpf_program__insn_cnt(program));
        CHECK(ebpf_get_bpf_program_type(&info->program_type) == bpf_program__type(program));
        CHECK(ebpf_get_bpf_attach_type(&info->expected_attach_type) ==
              bpf_program__get_expected_attach_type(program));
        // The last instruction is an exit.
        CHECK((uint8_t)info->raw_data[info->raw_data_size - 8] == 0x95);
        int count = stat_of(info, "Instructions");
        CHECK(count > 1 && (size_t)count <= info->raw_data_size / 8);
        CHECK(info->offset_in_section == 0);
    }
    CHECK(bpf_object__next_program(object, program) == NULL);
    bpf_object__close(object);
    ebpf_free_programs(list);

    CHECK(ebpf_enumerate_programs(example("droppacket.o"), false, &list, &message) == EBPF_SUCCESS);
    CHECK(list != NULL && list->stats == NULL && list->next == NULL);
    ebpf_free_programs(list);
    CHECK(ebpf_enumerate_programs("no such file.o", false, &list, &message) == EBPF_FILE_NOT_FOUND);
    CHECK(list == NULL && strstr(message, "no such file.o") != NULL);
    ebpf_free_string(message);
    ebpf_free_programs(NULL);
    if (driver == NULL)
        return;
    CHECK(ebpf_enumerate_programs(driver, true, &list, &message) == EBPF_SUCCESS);
    CHECK(strcmp(list->program_name, "DropPacket") == 0 && strcmp(list->section_name, "xdp") == 0);
    CHECK(list->raw_data_size > 0 && list->raw_data != NULL && list->stats == NULL);
    ebpf_free_programs(list);
}

static void sections(const char *driver) {
    size_t size = 0, room;
    uint8_t code[4096];
    CHECK(ebpf_api_get_data_section(example("droppacket.o"), "xdp", NULL, &size) == EBPF_SUCCESS);
    CHECK(size > 8 && size <= sizeof(code) && size % 8 == 0);
    room = size - 1;
    CHECK(ebpf_api_get_data_section(example("droppacket.o"), "xdp", code, &room) ==
          EBPF_INSUFFICIENT_BUFFER);
    CHECK(room == size);
    room = sizeof(code);
    CHECK(ebpf_api_get_data_section(example("droppacket.o"), "xdp", code, &room) == EBPF_SUCCESS);
    CHECK(room == size && code[size - 8] == 0x95);
    CHECK(ebpf_api_get_data_section(example("droppacket.o"), "hash", NULL, &size) ==
          EBPF_OBJECT_NOT_FOUND);
    CHECK(ebpf_api_get_data_section("no such file.o", "xdp", NULL, &size) == EBPF_INVALID_OBJECT);
    CHECK(ebpf_api_get_data_section(example("droppacket.o"), "xdp", NULL, NULL) ==
          EBPF_INVALID_ARGUMENT);
    if (driver != NULL) {
        CHECK(ebpf_api_get_data_section(driver, "programs", NULL, &size) == EBPF_SUCCESS);
        CHECK(size == 144 || size == 160);
    }
}

static void disassembly(void) {
    const char *text = NULL, *message = NULL;
    CHECK(ebpf_api_elf_disassemble_program(example("droppacket.o"), NULL, NULL, &text, &message) == 0);
    CHECK(message == NULL && strstr(text, "       0:\t") != NULL && strstr(text, "exit") != NULL);
    CHECK(strstr(text, "map_fd 1") != NULL && strstr(text, "bpf_map_lookup_elem:1(") != NULL);
    ebpf_free_string(text);
    CHECK(ebpf_api_elf_disassemble_program(example("droppacket.o"), "xdp", "Nobody", &text, &message) ==
          1);
    CHECK(text == NULL && message != NULL);
    ebpf_free_string(message);
}

// What the verifier found out, thread by thread: nothing before it ran.
static void findings(void) {
    const ebpf_program_info_t *info = NULL;
    const ebpf_verifier_map_info_t *calls = NULL;
    const ebpf_btf_resolved_function_info_t *function = NULL;
    size_t count = 1;
    ebpf_api_verifier_stats_t stats;
    CHECK(ebpf_get_program_info_from_verifier(&info) == EBPF_OBJECT_NOT_FOUND);
    CHECK(ebpf_get_map_annotations_from_verifier(&calls, &count) == EBPF_SUCCESS && count == 0);
    CHECK(ebpf_api_elf_verify_program_from_file(example("droppacket.o"), "xdp", "DropPacket", NULL, 0,
                                                NULL, NULL, &stats) == 0);
    CHECK(stats.total_unreachable == 0 && stats.total_warnings == 0 && stats.max_loop_count == 0);
    CHECK(ebpf_get_program_info_from_verifier(&info) == EBPF_SUCCESS);
    CHECK(strcmp(info->program_type_descriptor->name, "xdp") == 0);
    CHECK(ebpf_get_bpf_program_type(&info->program_type_descriptor->program_type) == BPF_PROG_TYPE_XDP);
    CHECK(info->program_type_descriptor->context_descriptor->data == 0);
    CHECK(info->program_type_descriptor->context_descriptor->end == 8);
    int found = 0;
    for (uint32_t at = 0; at < info->count_of_program_type_specific_helpers; at++) {
        const ebpf_helper_function_prototype_t *helper =
            &info->program_type_specific_helper_prototype[at];
        CHECK(helper->header.total_size == sizeof(*helper) && helper->name[0] != 0);
        if (helper->helper_id == 1) {
            CHECK(strcmp(helper->name, "bpf_map_lookup_elem") == 0);
            CHECK(helper->return_type == EBPF_RETURN_TYPE_PTR_TO_MAP_VALUE_OR_NULL);
            CHECK(helper->arguments[0] == EBPF_ARGUMENT_TYPE_PTR_TO_MAP);
            CHECK(helper->arguments[1] == EBPF_ARGUMENT_TYPE_PTR_TO_MAP_KEY);
            found++;
        }
    }
    CHECK(found == 1);
    CHECK(ebpf_get_map_annotations_from_verifier(&calls, &count) == EBPF_SUCCESS && count == 2);
    CHECK(strcmp(calls[0].map_name, "interface_index_map") == 0 && calls[0].value_size == 4);
    CHECK(strcmp(calls[1].map_name, "dropcnt_map") == 0 && calls[1].value_size == 8);
    ebpf_api_program_info_t *list = NULL;
    CHECK(ebpf_enumerate_programs(example("droppacket.o"), false, &list, NULL) == EBPF_SUCCESS);
    for (const ebpf_verifier_map_info_t *call = calls; call < calls + count; call++) {
        CHECK(call->helper_id == 1 && call->map_type == BPF_MAP_TYPE_ARRAY);
        CHECK(call->max_entries == 1 && !call->is_inner_map_template);
        // A call is where it says.
        CHECK((uint8_t)list->raw_data[8 * call->instruction_offset] == 0x85);
    }
    ebpf_free_programs(list);
    CHECK(ebpf_get_btf_resolved_function_info_from_verifier(1, &function) == EBPF_OBJECT_NOT_FOUND);
    CHECK(ebpf_get_btf_resolved_function_info_from_verifier(0, &function) == EBPF_OBJECT_NOT_FOUND);

    // A function of another module.
    CHECK(ebpf_api_elf_verify_program_from_file(
              example("../testkernel/extension/programs/multiply.o"), NULL, NULL, NULL, 0, NULL, NULL,
              &stats) == 0);
    const GUID module = {0x51a37f10, 0x3c11, 0x4f0e, {0x9d, 0x53, 0x7b, 0xe0, 0x64, 0xa1, 0x00, 0x03}};
    CHECK(ebpf_get_btf_resolved_function_info_from_verifier(1, &function) == EBPF_SUCCESS);
    CHECK(strcmp(function->prototype.name, "sample_multiply") == 0);
    CHECK(memcmp(&function->module_guid, &module, sizeof(module)) == 0);
    CHECK(function->prototype.header.total_size == sizeof(function->prototype));
    CHECK(function->prototype.return_type == EBPF_RETURN_TYPE_INTEGER);
    CHECK(ebpf_get_btf_resolved_function_info_from_verifier(2, &function) == EBPF_OBJECT_NOT_FOUND);
    CHECK(ebpf_get_map_annotations_from_verifier(&calls, &count) == EBPF_SUCCESS && count == 0);

    CHECK(ebpf_api_elf_verify_program_from_file(example("droppacket_unsafe.o"), NULL, NULL, NULL, 0,
                                                NULL, NULL, &stats) == 1);
    CHECK(stats.total_warnings == 1);
    CHECK(ebpf_get_map_annotations_from_verifier(&calls, &count) == EBPF_SUCCESS && count == 0);
    CHECK(ebpf_get_program_info_from_verifier(&info) == EBPF_SUCCESS);
}

static void driver_by_fds(const char *driver) {
    size_t maps = 0, programs = 0;
    fd_t map[2] = {ebpf_fd_invalid, ebpf_fd_invalid}, program = ebpf_fd_invalid;
    CHECK(ebpf_object_load_native_by_fds(driver, &maps, NULL, &programs, NULL) == EBPF_NO_MEMORY);
    CHECK(maps == 2 && programs == 1);
    maps = 1;
    CHECK(ebpf_object_load_native_by_fds(driver, &maps, map, &programs, &program) == EBPF_NO_MEMORY);
    CHECK(maps == 2 && map[0] == ebpf_fd_invalid && program == ebpf_fd_invalid);
    check_nothing_left();
    CHECK(ebpf_object_load_native_by_fds(driver, &maps, map, &programs, &program) == EBPF_SUCCESS);
    CHECK(map[0] > 0 && map[1] > 0 && program > 0 && verdict(program, 8) == 2);
    uint32_t key = 0;
    uint64_t dropped = 0;
    CHECK(bpf_map_lookup_elem(map[1], &key, &dropped) == 0 && dropped == 20);
    CHECK(ebpf_close_fd(map[0]) == 0 && ebpf_close_fd(map[1]) == 0 && ebpf_close_fd(program) == 0);
    CHECK(ebpf_object_load_native_by_fds(example("droppacket.o"), &maps, map, &programs, &program) ==
          EBPF_INVALID_ARGUMENT);
    CHECK(strstr(ebpf_last_error(), "not a driver") != NULL);
}

static void refused(void) {
    struct bpf_object *object = bpf_object__open(example("droppacket_unsafe.o"));
    CHECK(object != NULL && bpf_object__load(object) == -EACCES);
    size_t size = 0;
    const char *log = bpf_program__log_buf(bpf_object__next_program(object, NULL), &size);
    CHECK(log != NULL && size == strlen(log) + 1 && strstr(ebpf_last_error(), log) != NULL);
    CHECK(strstr(ebpf_last_error(), "droppacket_unsafe.c") != NULL);
    bpf_object__close(object);

    const char *report = NULL, *message = NULL;
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
    const ebpf_program_type_t *type = ebpf_get_ebpf_program_type(BPF_PROG_TYPE_XDP);
    CHECK(type != NULL && memcmp(type, &info.type_uuid, sizeof(*type)) == 0);
    CHECK(strcmp(ebpf_get_program_type_name(type), "xdp") == 0);
    CHECK(ebpf_get_bpf_program_type(type) == BPF_PROG_TYPE_XDP);
    CHECK(ebpf_get_ebpf_program_type((bpf_prog_type_t)4711) == NULL);
    ebpf_attach_type_t hook, zero = {0};
    CHECK(ebpf_get_ebpf_attach_type(BPF_XDP, &hook) == EBPF_SUCCESS);
    CHECK(ebpf_get_bpf_attach_type(&hook) == BPF_XDP);
    CHECK(ebpf_get_ebpf_attach_type((bpf_attach_type_t)4711, &hook) == EBPF_INVALID_ARGUMENT);
    CHECK(memcmp(&hook, &zero, sizeof(hook)) == 0);
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
    unload();
    open_objects();
    findings();
    from_memory();
    enumerate(count > 2 ? arguments[2] : NULL);
    sections(count > 2 ? arguments[2] : NULL);
    disassembly();
    if (count > 2)
        driver_by_fds(arguments[2]);
    refused();
    instructions();
    check_nothing_left();
    puts("programs: done");
    return 0;
}
