//! Consistency of the tables: order, uniqueness, references between rows.

use abi::{
    ArgKind, Context, Field, FieldKind, Helper, Platform, ProgramType, ReturnKind, diagnostic,
    helper, limits, map, native, program_type,
};
use std::collections::BTreeSet;

const PLATFORMS: [Platform; 2] = [Platform::Windows, Platform::Linux];

fn all_helpers() -> Vec<&'static Helper> {
    let typed = PLATFORMS
        .iter()
        .flat_map(|platform| program_type::types(*platform))
        .flat_map(|row| row.helpers);
    let general = PLATFORMS
        .iter()
        .flat_map(|platform| helper::general(*platform));
    general.chain(typed).collect()
}

fn type_of(platform: Platform, name: &str) -> &'static ProgramType {
    program_type::by_name(platform, name).unwrap_or_else(|| panic!("no program type {name}"))
}

#[test]
fn diagnostics_are_unique_and_ascending() {
    let rows = diagnostic::TABLE;
    assert!(rows.windows(2).all(|pair| pair[0].code < pair[1].code));
    for row in rows {
        assert_eq!(
            diagnostic::row(row.code).map(|found| found.code),
            Some(row.code)
        );
        assert!(
            !row.title.is_empty() && !row.title.ends_with('.'),
            "{}",
            row.code
        );
        assert!(row.help.ends_with('.'), "{}: help is a sentence", row.code);
    }
    assert_eq!(rows[0].code.to_string().len(), "BN0101".len());
    assert!(diagnostic::row(abi::Code(0)).is_none());
}

#[test]
fn helper_tables_are_ascending_and_wide_enough() {
    for platform in PLATFORMS {
        let tables = program_type::types(platform).iter().map(|row| row.helpers);
        for table in tables.chain([helper::general(platform)]) {
            assert!(
                table.windows(2).all(|pair| pair[0].id < pair[1].id),
                "{table:?}"
            );
        }
    }
    let ids: Vec<u32> = helper::WINDOWS.iter().map(|row| row.id).collect();
    assert_eq!(ids, (1..=35).collect::<Vec<u32>>());
}

#[test]
fn sizes_follow_memory_and_arguments_have_no_gaps() {
    for row in all_helpers() {
        let present = row.present_args().count();
        assert!(
            row.args[present..].iter().all(|arg| *arg == ArgKind::None),
            "{}",
            row.name
        );
        for (at, arg) in row.args.iter().enumerate() {
            let next_is_size = row.args.get(at + 1).is_some_and(|next| next.is_size());
            assert_eq!(
                arg.is_sized_memory(),
                next_is_size,
                "{} argument {}",
                row.name,
                at + 1
            );
            if matches!(
                arg,
                ArgKind::MapKey | ArgKind::MapValue | ArgKind::MapValueOut
            ) {
                assert!(
                    row.args[..at].contains(&ArgKind::Map),
                    "{}: key without map",
                    row.name
                );
            }
        }
        assert!(!(row.acquires && row.releases), "{}", row.name);
    }
}

#[test]
fn windows_helpers_can_be_hashed() {
    let typed = program_type::WINDOWS.iter().flat_map(|row| row.helpers);
    for row in helper::WINDOWS.iter().chain(typed) {
        assert!(row.ret.hash_number().is_some(), "{}", row.name);
        assert!(
            row.args.iter().all(|arg| arg.hash_number().is_some()),
            "{}",
            row.name
        );
    }
    assert_eq!(ReturnKind::NoReturnIfSucceed.hash_number(), Some(2));
    assert_eq!(ArgKind::MapOfPrograms.hash_number(), Some(6));
    assert_eq!(ArgKind::MapValueOut.hash_number(), Some(8));
    assert_eq!(ArgKind::WritableMem.hash_number(), Some(11));
    assert_eq!(ArgKind::SpinLock.hash_number(), None);
}

#[test]
fn overrides_keep_the_general_prototype() {
    for row in program_type::WINDOWS.iter().flat_map(|row| row.helpers) {
        let Some(general) = helper::WINDOWS.iter().find(|general| general.id == row.id) else {
            assert!(row.id >= helper::FIRST_TYPE_SPECIFIC, "{}", row.name);
            continue;
        };
        assert_eq!(
            (row.name, row.ret, row.args),
            (general.name, general.ret, general.args)
        );
    }
}

#[test]
fn lookup_prefers_the_program_type() {
    let name = |program: &str, id| {
        helper::lookup(type_of(Platform::Windows, program), id).map(|row| row.name)
    };
    assert_eq!(name("xdp", 1), Some("bpf_map_lookup_elem"));
    assert_eq!(name("xdp", 65536), Some("bpf_xdp_adjust_head"));
    assert_eq!(name("sockops", 65536), Some("bpf_sock_ops_get_flow_id"));
    assert_eq!(name("bind", 65536), None);
    assert_eq!(name("sock_addr", 65536), None);
    assert_eq!(name("sock_addr", 26), Some("bpf_get_socket_cookie"));
    assert_eq!(name("bind", 26), None);
    assert_eq!(name("xdp", 35), None);
    assert_eq!(name("xdp", 0), None);
    let own = helper::lookup(type_of(Platform::Windows, "sockops"), 19);
    assert_eq!(own.map(|row| row.implicit_context), Some(true));
    let general = helper::lookup(type_of(Platform::Windows, "xdp"), 19);
    assert_eq!(general.map(|row| row.implicit_context), Some(false));
}

#[test]
fn widths_of_results_follow_the_c_declarations() {
    let narrow: Vec<u32> = helper::WINDOWS
        .iter()
        .filter(|row| row.result_32)
        .map(|row| row.id)
        .collect();
    let expected = [
        10, 11, 12, 13, 14, 15, 16, 17, 18, 21, 22, 23, 25, 27, 28, 29, 32,
    ];
    assert_eq!(narrow, expected);
}

fn check_context(context: &Context) {
    let mut end = 0;
    for field in context.fields {
        assert!(
            field.offset >= end,
            "{}.{} overlaps",
            context.name,
            field.name
        );
        end = field.offset + field.size;
        assert!(
            field.element != 0 && field.size % field.element == 0,
            "{}",
            field.name
        );
        assert!(
            field.size != 0 && end <= context.size,
            "{}.{}",
            context.name,
            field.name
        );
        let expected = match field.kind {
            FieldKind::PacketData => context.data,
            FieldKind::PacketEnd => context.end,
            FieldKind::PacketMeta => context.meta,
            _ => continue,
        };
        assert_eq!(
            i32::from(field.offset),
            expected,
            "{}.{}",
            context.name,
            field.name
        );
        assert!(
            !field.writable && !field.narrow,
            "{}.{}",
            context.name,
            field.name
        );
    }
    let pointers = [context.data, context.end, context.meta];
    for offset in pointers.into_iter().filter(|offset| *offset >= 0) {
        let field = context.field_at(offset as u32).map(|field| field.kind);
        assert!(
            field.is_some_and(|kind| kind != FieldKind::Scalar),
            "{}",
            context.name
        );
    }
    assert!(context.field_at(u32::from(context.size)).is_none());
}

#[test]
fn contexts_are_well_formed() {
    for platform in PLATFORMS {
        for row in program_type::types(platform) {
            check_context(row.context);
        }
    }
}

#[test]
fn windows_context_descriptors() {
    let expected = [
        ("xdp", [32, 0, 8, 16]),
        ("bind", [56, 0, 8, -1]),
        ("sock_addr", [64, -1, -1, -1]),
        ("sockops", [64, -1, -1, -1]),
        ("netevent_monitor", [24, 8, 16, 0]),
        ("process", [144, 0, 8, -1]),
        ("sample", [32, 0, 8, -1]),
        ("xdp_test", [32, 0, 8, 16]),
    ];
    assert_eq!(expected.len(), program_type::WINDOWS.len());
    for (name, descriptor) in expected {
        assert_eq!(
            type_of(Platform::Windows, name).context.descriptor(),
            descriptor,
            "{name}"
        );
    }
}

#[test]
fn field_access_rules() {
    let sock_addr = type_of(Platform::Windows, "sock_addr").context;
    let admits = |offset, size| {
        sock_addr
            .field_at(offset)
            .is_some_and(|field| field.admits(offset, size))
    };
    assert!(admits(0, 4) && admits(24, 8) && admits(40, 2) && admits(2, 2));
    assert!(!admits(22, 2), "padding after msg_src_port");
    assert!(!admits(42, 2), "padding after user_port");
    assert!(!admits(40, 4), "crosses into padding");
    assert!(!admits(26, 4), "not aligned");
    assert!(!admits(52, 4), "padding before interface_luid");
    assert!(!admits(64, 1) && !admits(u32::MAX, 8) && !admits(0, 0));
    let data = &type_of(Platform::Windows, "xdp").context.fields[0];
    assert!(
        data.admits(0, 8) && !data.admits(0, 4),
        "pointers are loaded whole"
    );
}

#[test]
fn destination_is_writable_at_connect_only() {
    let port = type_of(Platform::Windows, "sock_addr").context.field_at(40);
    let writable = |section| {
        let hook = program_type::by_section(Platform::Windows, section);
        assert!(hook.is_some(), "{section}");
        port.is_some_and(|field: &Field| field.is_writable_at(hook))
    };
    assert!(writable("cgroup/connect4") && writable("cgroup/connect6"));
    for section in [
        "cgroup/recv_accept4",
        "cgroup/connect_authorization6",
        "cgroup/bind4",
        "cgroup/listen6",
    ] {
        assert!(!writable(section), "{section}");
    }
}

#[test]
fn attach_types_are_consistent() {
    for platform in PLATFORMS {
        let mut prefixes = BTreeSet::new();
        for row in program_type::attach_types(platform) {
            assert!(prefixes.insert(row.prefix), "{} twice", row.prefix);
            assert_eq!(row.program_type.platform, platform, "{}", row.prefix);
            for name in row.read_only {
                let known = row
                    .program_type
                    .context
                    .fields
                    .iter()
                    .any(|field| field.name == *name);
                assert!(known, "{}: no field {name}", row.prefix);
            }
            let known = program_type::types(platform)
                .iter()
                .any(|known| std::ptr::eq(*known, row.program_type));
            assert!(known, "{}: type not in the table", row.prefix);
            let found = program_type::by_section(platform, row.prefix);
            assert!(
                found.is_some_and(|found| std::ptr::eq(found, row)),
                "{}",
                row.prefix
            );
        }
        let names: BTreeSet<&str> = program_type::types(platform)
            .iter()
            .map(|row| row.name)
            .collect();
        assert_eq!(names.len(), program_type::types(platform).len());
    }
}

#[test]
fn windows_guids_are_unique_and_found() {
    let mut seen = BTreeSet::new();
    for row in program_type::WINDOWS {
        assert!(seen.insert(row.guid), "{}", row.name);
        assert!(program_type::by_guid(row.guid).is_some_and(|found| found.name == row.name));
    }
    for row in program_type::ATTACH_WINDOWS {
        assert!(seen.insert(row.guid), "{}", row.prefix);
        assert!(
            program_type::attach_by_guid(row.guid).is_some_and(|found| found.prefix == row.prefix)
        );
    }
    assert_eq!(
        type_of(Platform::Windows, "xdp").guid.to_string(),
        "f1832a85-85d5-45b0-98a0-7069d63013b0"
    );
}

#[test]
fn the_longest_section_prefix_wins() {
    let prefix =
        |section| program_type::by_section(Platform::Windows, section).map(|row| row.prefix);
    assert_eq!(prefix("xdp"), Some("xdp"));
    assert_eq!(prefix("xdp/0"), Some("xdp"));
    assert_eq!(prefix("xdp_test"), Some("xdp_test"));
    assert_eq!(prefix("bind_2"), Some("bind"));
    assert_eq!(prefix("cgroup/connect4"), Some("cgroup/connect4"));
    assert_eq!(
        prefix("cgroup/connect_authorization4"),
        Some("cgroup/connect_authorization4")
    );
    assert_eq!(prefix("cgroup/connect"), None);
    assert_eq!(prefix(".text"), None);
    assert_eq!(prefix(""), None);
}

#[test]
fn map_numbers_are_unique_per_platform() {
    for platform in PLATFORMS {
        let numbers: Vec<u32> = map::TABLE
            .iter()
            .filter_map(|row| row.number(platform))
            .collect();
        let unique: BTreeSet<&u32> = numbers.iter().collect();
        assert_eq!(unique.len(), numbers.len());
        assert_eq!(unique.last(), Some(&&(numbers.len() as u32)), "no gaps");
        for row in map::TABLE {
            if let Some(number) = row.number(platform) {
                assert_eq!(map::by_number(platform, number), Some(row));
                assert_eq!(map::by_name(platform, row.name), Some(row));
            }
        }
        assert_eq!(map::by_number(platform, 0), None);
    }
    assert_eq!(
        map::by_number(Platform::Windows, 13).map(|row| row.name),
        Some("ringbuf")
    );
    assert_eq!(
        map::by_number(Platform::Linux, 13).map(|row| row.name),
        Some("hash_of_maps")
    );
}

#[test]
fn names_fit_the_limits_of_the_native_abi() {
    for row in program_type::ATTACH_WINDOWS {
        assert!(row.prefix.len() <= limits::NAME_BYTES);
    }
    for name in [
        native::SECTION_PROGRAMS,
        native::SECTION_MAPS,
        native::SECTION_INITIAL_VALUES,
        native::SECTION_GLOBALS,
        native::SECTION_HASH,
    ] {
        assert!(name.len() <= native::SECTION_NAME_BYTES);
    }
}

#[test]
fn guids_print_and_read_in_both_orders() {
    let guid = native::nmr::NPI_NATIVE_MODULE;
    assert_eq!(guid.to_string(), "c847aac8-a6f2-4b53-aea3-f4a94b9a80cb");
    let bytes = guid.to_bytes();
    assert_eq!(bytes[..8], [0xc8, 0xaa, 0x47, 0xc8, 0xf2, 0xa6, 0x53, 0x4b]);
    assert_eq!(abi::Guid::from_bytes(bytes), guid);
}
