//! Reading the metadata of native modules.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use abi::Guid;
use common::native::{ATTACH_TYPE, PROGRAM_TYPE};
use image::native::{self, HelperReference, NativeModule};
use image::read::Pe;

fn bytes() -> Vec<u8> {
    image::link(&common::native::module()).unwrap().into_bytes()
}

fn module(bytes: &[u8]) -> Result<NativeModule, image::Error> {
    Ok(native::read(&Pe::parse(bytes)?)?.unwrap())
}

#[test]
fn everything_is_read_back() {
    let module = module(&bytes()).unwrap();
    let names: Vec<_> = module.programs.iter().map(|p| p.name.as_str()).collect();
    assert_eq!(names, ["filter", "other"]);
    let program = &module.programs[0];
    assert_eq!(
        (program.section.as_str(), program.pe_section.as_str()),
        ("xdp/filter", "xdp~1")
    );
    assert_eq!(
        (program.code_bytes, program.instruction_count),
        (Some(24), 42)
    );
    assert_eq!(program.program_type, Guid::from_u128(PROGRAM_TYPE));
    assert_eq!(program.attach_type, Guid::from_u128(ATTACH_TYPE));
    assert_eq!(program.maps, [0, 1]);
    let helper = |id| HelperReference {
        id,
        name: format!("helper_id_{id}"),
    };
    assert_eq!(program.helpers, [helper(1), helper(2)]);
    assert_eq!(program.info_hash.as_deref(), Some(&[0xAB; 32][..]));
    assert_eq!(program.info_hash_type.as_deref(), Some("SHA256"));
    assert_eq!(module.programs[1].function, program.function + 16);
    assert_eq!(module.maps[0].name, "counters");
    assert_eq!(module.maps[0].definition.max_entries, 16);
    assert_eq!(module.maps[1].definition.pinning, 1);
    assert_eq!(module.initial_values[0].map, "counters");
    assert_eq!(
        module.initial_values[0].values,
        [Some("filter".to_owned()), None]
    );
    assert_eq!(module.globals[0].initial, [1, 2, 3, 4]);
    assert_eq!(module.elf_hash.as_deref(), Some(&[0xCD; 32][..]));
}

#[test]
fn an_ordinary_driver_is_no_native_module() {
    let image = image::link(&common::module()).unwrap();
    assert!(
        native::read(&Pe::parse(image.bytes()).unwrap())
            .unwrap()
            .is_none()
    );
}

/// Every pointer and size of the first program, broken one at a time, is an error that names the
/// field.
#[test]
fn broken_fields_are_named() {
    let good = bytes();
    let start = Pe::parse(&good)
        .unwrap()
        .section("programs")
        .unwrap()
        .raw_offset as usize;
    for (offset, field) in [
        (8, "header"),
        (16, "header"),
        (24, "header"),
        (32, "function"),
        (40, "pe_section_name"),
        (48, "section_name"),
        (56, "program_name"),
        (64, "referenced_map_indices"),
        (80, "helpers"),
        (104, "program_type"),
        (112, "expected_attach_type"),
        (120, "program_info_hash"),
        (128, "program_info_hash"),
        (136, "info_hash_type"),
    ] {
        let mut broken = good.clone();
        broken[start + offset..start + offset + 4].copy_from_slice(&[0xF1, 0xFF, 0xFF, 0xFF]);
        let error = module(&broken).unwrap_err();
        let image::Error::Native {
            section: "programs",
            index: 0,
            field: found,
            ..
        } = error
        else {
            panic!("{offset}: {error}");
        };
        assert_eq!(found, field, "offset {offset}");
        assert_eq!(error.code().0, 422);
    }
}
