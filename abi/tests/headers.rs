//! The headers in `include/` against the tables: `bpf_helper_defs.h` is generated from them and
//! compared, all other numbers and offsets are asserted by a C compiler when there is one.
//!
//! `BLESS=1 cargo test -p abi --test headers` rewrites the generated header.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use abi::{ArgKind, Context, Helper, Platform, ReturnKind, helper, map, program_type};
use std::{
    collections::BTreeMap,
    env,
    fmt::Write as _,
    fs,
    io::Write as _,
    path::PathBuf,
    process::{Command, Stdio},
};

/// What C says of a helper beyond the table.
struct InC {
    /// Name in the table.
    name: &'static str,
    /// Name in C.
    c_name: &'static str,
    /// Type of the result; empty: as the table says.
    result: &'static str,
    /// Names of the plain numbers, in order.
    numbers: &'static [&'static str],
}

const fn c(
    name: &'static str,
    c_name: &'static str,
    result: &'static str,
    numbers: &'static [&'static str],
) -> InC {
    InC {
        name,
        c_name,
        result,
        numbers,
    }
}

#[rustfmt::skip] // one row, one line
const IN_C: &[InC] = &[
    c("bpf_map_update_elem", "bpf_map_update_elem", "int64_t", &["flags"]),
    c("bpf_map_delete_elem", "bpf_map_delete_elem", "int64_t", &[]),
    c("bpf_tail_call", "bpf_tail_call", "int64_t", &["index"]),
    c("bpf_get_prandom_u32", "bpf_get_prandom_u32", "uint32_t", &[]),
    c("bpf_get_smp_processor_id", "bpf_get_smp_processor_id", "uint32_t", &[]),
    c("bpf_csum_diff", "bpf_csum_diff", "", &["seed"]),
    c("bpf_ringbuf_output", "bpf_ringbuf_output", "", &["flags"]),
    c("bpf_trace_printk3", "bpf_trace_printk3", "", &["argument1"]),
    c("bpf_trace_printk4", "bpf_trace_printk4", "", &["argument1", "argument2"]),
    c("bpf_trace_printk5", "bpf_trace_printk5", "", &["argument1", "argument2", "argument3"]),
    c("bpf_map_push_elem", "bpf_map_push_elem", "", &["flags"]),
    c("bpf_memcpy", "bpf_memcpy_s", "", &[]),
    c("bpf_memcmp", "bpf_memcmp_s", "", &[]),
    c("bpf_memset", "bpf_memset", "void *", &["value"]),
    c("bpf_memmove", "bpf_memmove_s", "", &[]),
    c("bpf_perf_event_output", "bpf_perf_event_output", "", &["flags"]),
    c("bpf_redirect_map", "bpf_redirect_map", "int64_t", &["key", "flags"]),
    c("bpf_xdp_adjust_head", "bpf_xdp_adjust_head", "", &["delta"]),
    c("bpf_sock_ops_get_flow_id", "bpf_sock_ops_get_flow_id", "uint64_t", &[]),
    c("sample_ebpf_extension_replace", "sample_ebpf_extension_replace", "", &["position"]),
];

/// The row of a helper that has one.
fn in_c(row: &Helper) -> Option<&'static InC> {
    IN_C.iter().find(|known| known.name == row.name)
}

fn include_dir() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", "include"]
        .iter()
        .collect()
}

fn result_type(row: &Helper) -> &'static str {
    if let Some(known) = in_c(row).filter(|known| !known.result.is_empty()) {
        return known.result;
    }
    match row.ret {
        ReturnKind::MapValueOrNull => "void *",
        _ if row.result_32 || row.id >= helper::FIRST_TYPE_SPECIFIC => "int",
        _ => "uint64_t",
    }
}

fn c_name(row: &Helper) -> &'static str {
    in_c(row).map_or(row.name, |known| known.c_name)
}

/// How many earlier arguments are of such a kind.
fn count(row: &Helper, end: usize, is: impl Fn(&ArgKind) -> bool) -> usize {
    row.args[..end].iter().filter(|arg| is(arg)).count()
}

fn parameter(row: &Helper, at: usize) -> String {
    // Memory and its size carry a number when there are several.
    let order = match count(row, 5, |arg| arg.is_sized_memory()) {
        0 | 1 => String::new(),
        _ => (count(row, at + 1, |arg| arg.is_sized_memory())).to_string(),
    };
    match row.args[at] {
        ArgKind::Context | ArgKind::ContextOrNull => "void *context".to_owned(),
        ArgKind::Map | ArgKind::MapOfPrograms => "void *map".to_owned(),
        ArgKind::MapKey => "const void *key".to_owned(),
        ArgKind::MapValue => "const void *value".to_owned(),
        ArgKind::MapValueOut => "void *value".to_owned(),
        ArgKind::ReadableMem | ArgKind::ReadableMemOrNull => format!("const void *memory{order}"),
        ArgKind::WritableMem | ArgKind::WritableMemOrNull | ArgKind::InOutMem => {
            format!("void *memory{order}")
        }
        ArgKind::ConstSize | ArgKind::ConstSizeOrZero => format!("uint64_t size{order}"),
        ArgKind::Anything => {
            let position = count(row, at, |arg| *arg == ArgKind::Anything);
            let name = in_c(row).and_then(|known| known.numbers.get(position));
            format!(
                "uint64_t {}",
                name.unwrap_or_else(|| panic!("{}: no name", row.name))
            )
        }
        other => panic!("{}: no C type for {other:?}", row.name),
    }
}

fn declaration(row: &Helper) -> String {
    let count = row.present_args().count();
    let parameters: Vec<String> = (0..count).map(|at| parameter(row, at)).collect();
    let parameters = if parameters.is_empty() {
        "void".to_owned()
    } else {
        parameters.join(", ")
    };
    let result = result_type(row);
    let space = if result.ends_with('*') { "" } else { " " };
    format!(
        "static {result}{space}(*const {})({parameters}) __attribute__((unused)) = (void *){};\n",
        c_name(row),
        row.id
    )
}

fn generate() -> String {
    let mut text = String::from(
        "// Generated from the helper table by: BLESS=1 cargo test -p abi --test headers\n\
         // SPDX-License-Identifier: MIT OR Apache-2.0\n\n\
         // Declarations of all helpers. A call through such a constant becomes one `call` instruction.\n\
         // Helpers that return int leave a 32-bit pattern in r0.\n\
         #pragma once\n\n#include \"ebpf_structs.h\"\n\n// General helpers.\n",
    );
    helper::WINDOWS
        .iter()
        .for_each(|row| text.push_str(&declaration(row)));
    for kind in program_type::WINDOWS {
        let own: Vec<&Helper> = kind
            .helpers
            .iter()
            .filter(|row| row.id >= helper::FIRST_TYPE_SPECIFIC)
            .collect();
        if !own.is_empty() {
            text.push_str(&format!("\n// Helpers of {} programs.\n", kind.name));
            own.iter().for_each(|row| text.push_str(&declaration(row)));
        }
    }
    text.push_str("\n// Numbers of the general helpers.\nenum bpf_func_id {\n");
    for row in helper::WINDOWS {
        let name = row.name.trim_start_matches("bpf_");
        text.push_str(&format!("    BPF_FUNC_{name} = {},\n", row.id));
    }
    text.push_str("};\n");
    text
}

#[test]
fn helper_declarations_are_those_of_the_table() {
    let path = include_dir().join("bpf_helper_defs.h");
    let expected = generate();
    if env::var_os("BLESS").is_some() {
        fs::write(&path, &expected).expect("include/ is writable");
    }
    let found = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "{} is stale: run with BLESS=1",
        path.display()
    );
}

/// C names of context structures and of fields that C has as a union or under another name.
const STRUCTURES: &[&str] = &[
    "xdp_md_t",
    "bind_md_t",
    "bpf_sock_addr_t",
    "bpf_sock_ops_t",
    "netevent_event_md_t",
    "process_md_t",
];

fn assert_context(text: &mut String, context: &Context) {
    let name = context.name;
    writeln!(
        text,
        "_Static_assert(sizeof({name}) == {}, \"{name}\");",
        context.size
    )
    .unwrap();
    for field in context.fields {
        // Address unions: the row covers both members, C has no name for the union.
        let member = match field.name {
            "msg_src_ip" | "user_ip" | "local_ip" | "remote_ip" => format!("{}6", field.name),
            plain => plain.to_owned(),
        };
        writeln!(
            text,
            "_Static_assert(__builtin_offsetof({name}, {member}) == {} && \
             sizeof((({name} *)0)->{member}) == {}, \"{name}.{member}\");",
            field.offset, field.size
        )
        .unwrap();
    }
}

fn assertions() -> String {
    let headers = ["ebpf_program_types.h", "ebpf_result.h", "ebpf.h"];
    let mut text: String = headers
        .map(|name| format!("#include \"{name}\"\n"))
        .concat();
    for row in abi::result::TABLE {
        let (name, number) = (row.name, row.code as i32);
        writeln!(text, "_Static_assert(EBPF_{name} == {number}, \"{name}\");").unwrap();
    }
    assert_extensions(&mut text);
    let contexts: BTreeMap<&str, &Context> = program_type::WINDOWS
        .iter()
        .map(|row| (row.context.name, row.context))
        .collect();
    for name in STRUCTURES {
        assert_context(&mut text, contexts[name]);
    }
    for row in map::TABLE {
        if let Some(number) = row.number(Platform::Windows) {
            let name = row.name.to_uppercase();
            writeln!(
                text,
                "_Static_assert(BPF_MAP_TYPE_{name} == {number}, \"{name}\");"
            )
            .unwrap();
        }
    }
    for (constant, prefix) in ATTACH_CONSTANTS {
        let row = program_type::by_section(Platform::Windows, prefix).unwrap();
        writeln!(
            text,
            "_Static_assert({constant} == {}, \"{constant}\");",
            row.number
        )
        .unwrap();
    }
    for (constant, name) in PROGRAM_CONSTANTS {
        let row = program_type::by_name(Platform::Windows, name).unwrap();
        writeln!(
            text,
            "_Static_assert({constant} == {}, \"{constant}\");",
            row.number
        )
        .unwrap();
    }
    let definition = std::mem::size_of::<abi::native::MapDefinitionInFile>();
    writeln!(
        text,
        "_Static_assert(sizeof(struct bpf_map_def) == {definition}, \"map\");"
    )
    .unwrap();
    for (name, size) in WIRE {
        writeln!(
            text,
            "_Static_assert(sizeof({name}) == {size}, \"{name}\");"
        )
        .unwrap();
    }
    writeln!(
        text,
        "_Static_assert(MAX_TAIL_CALL_CNT == {}, \"\");",
        abi::limits::TAIL_CALLS
    )
    .unwrap();
    text
}

/// Sizes of what providers say, and the ends of it in C.
fn assert_extensions(text: &mut String) {
    use abi::native::extension as e;
    let rows = [
        (
            "ebpf_context_descriptor_t",
            size_of::<e::ContextDescriptor>(),
            "meta",
            12,
        ),
        (
            "ebpf_program_type_descriptor_t",
            size_of::<e::ProgramTypeDescriptor>(),
            "is_privileged",
            60,
        ),
        (
            "ebpf_helper_function_prototype_t",
            size_of::<e::HelperPrototype>(),
            "implicit_context",
            65,
        ),
        (
            "ebpf_program_info_t",
            size_of::<e::ProgramInfo>(),
            "global_helper_prototype",
            56,
        ),
        (
            "ebpf_program_section_info_t",
            size_of::<e::ProgramSectionInfo>(),
            "bpf_attach_type",
            52,
        ),
        (
            "ebpf_btf_resolved_function_prototype_t",
            size_of::<e::BtfFunctionPrototype>(),
            "flags",
            56,
        ),
    ];
    for (name, size, last, offset) in rows {
        writeln!(
            text,
            "_Static_assert(sizeof({name}) == {size}, \"{name}\");"
        )
        .unwrap();
        writeln!(
            text,
            "_Static_assert(__builtin_offsetof({name}, {last}) == {offset}, \"{last}\");"
        )
        .unwrap();
    }
}

/// Bytes of protocol headers and of structures that helpers write.
const WIRE: &[(&str, usize)] = &[
    ("ETHERNET_HEADER", 14),
    ("IPV4_HEADER", 20),
    ("IPV6_HEADER", 40),
    ("UDP_HEADER", 8),
    ("TCP_HEADER", 20),
    ("ICMP_HEADER", 8),
    ("bpf_sock_addr_network_context_t", 32),
];

const PROGRAM_CONSTANTS: &[(&str, &str)] = &[
    ("BPF_PROG_TYPE_XDP", "xdp"),
    ("BPF_PROG_TYPE_BIND", "bind"),
    ("BPF_PROG_TYPE_CGROUP_SOCK_ADDR", "sock_addr"),
    ("BPF_PROG_TYPE_SOCK_OPS", "sockops"),
    ("BPF_PROG_TYPE_NETEVENT", "netevent_monitor"),
    ("BPF_PROG_TYPE_PROCESS", "process"),
    ("BPF_PROG_TYPE_SAMPLE", "sample"),
];

const ATTACH_CONSTANTS: &[(&str, &str)] = &[
    ("BPF_XDP", "xdp"),
    ("BPF_ATTACH_TYPE_BIND", "bind"),
    ("BPF_CGROUP_INET4_CONNECT", "cgroup/connect4"),
    ("BPF_CGROUP_INET6_CONNECT", "cgroup/connect6"),
    ("BPF_CGROUP_INET4_RECV_ACCEPT", "cgroup/recv_accept4"),
    ("BPF_CGROUP_INET6_RECV_ACCEPT", "cgroup/recv_accept6"),
    ("BPF_CGROUP_SOCK_OPS", "sockops"),
    ("BPF_ATTACH_TYPE_SAMPLE", "sample_ext"),
    ("BPF_ATTACH_TYPE_NETEVENT", "netevent_monitor"),
    ("BPF_ATTACH_TYPE_PROCESS", "process"),
    (
        "BPF_CGROUP_INET4_CONNECT_AUTHORIZATION",
        "cgroup/connect_authorization4",
    ),
    (
        "BPF_CGROUP_INET6_CONNECT_AUTHORIZATION",
        "cgroup/connect_authorization6",
    ),
    ("BPF_CGROUP_INET4_BIND", "cgroup/bind4"),
    ("BPF_CGROUP_INET6_BIND", "cgroup/bind6"),
    ("BPF_CGROUP_INET4_LISTEN", "cgroup/listen4"),
    ("BPF_CGROUP_INET6_LISTEN", "cgroup/listen6"),
];

/// The first clang that can compile for eBPF.
fn clang() -> Option<String> {
    let named = env::var("BPF_CLANG").ok();
    let names = ["clang-19", "clang", "clang-20", "clang-18"].map(str::to_owned);
    named.into_iter().chain(names).find(|name| {
        let output = Command::new(name).arg("--print-targets").output();
        output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("bpfel"))
    })
}

/// What the compiler says against `source`, empty if it takes it without a warning.
fn complaints(clang: &str, source: &str) -> String {
    let mut child = Command::new(clang)
        .args([
            "-target",
            "bpf",
            "-std=gnu11",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-fsyntax-only",
            "-ffreestanding",
            "-I",
        ])
        .arg(include_dir())
        .args(["-x", "c", "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(source.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.success(), said.is_empty(), "{said}");
    said
}

#[test]
fn headers_agree_with_the_tables() {
    let Some(clang) = clang() else {
        eprintln!("SKIPPED headers_agree_with_the_tables: no clang with the BPF target");
        return;
    };
    assert_eq!(complaints(&clang, &assertions()), "");
}

/// A program as people write it for Windows: one header, and the Windows names of flags.
const ONE_HEADER: &str = r#"
#include "bpf_helpers.h"
struct {
    __uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);
    __uint(max_entries, 4096);
} events SEC(".maps");
_Static_assert(EBPF_MAP_FLAG_INDEX_MASK >> EBPF_MAP_FLAG_INDEX_SHIFT == 0xffffffff, "index");
_Static_assert(EBPF_MAP_FLAG_CTX_LENGTH_MASK == 0xfffff00000000, "length");
bind_hook_t report;
SEC("bind") bind_action_t report(bind_md_t *context) {
    uint64_t length = context->app_id_end - context->app_id_start;
    uint64_t flags = EBPF_MAP_FLAG_CURRENT_CPU;
    if (length <= EBPF_MAP_FLAG_CTX_LENGTH_MAX)
        flags |= length << EBPF_MAP_FLAG_CTX_LENGTH_SHIFT;
    bpf_perf_event_output(context, &events, flags, &length, sizeof(length));
    return BIND_PERMIT_SOFT;
}
"#;

#[test]
fn a_program_for_windows_needs_one_header() {
    let Some(clang) = clang() else {
        eprintln!("SKIPPED a_program_for_windows_needs_one_header: no clang with the BPF target");
        return;
    };
    assert_eq!(complaints(&clang, ONE_HEADER), "");
}
