//! Native modules built in memory: what a good one does, and that no byte of a bad one hurts.
#![expect(
    unsafe_code,
    reason = "the modules are functions and tables of this process"
)]
#![allow(clippy::unwrap_used, reason = "a test may stop")]
#![cfg(target_arch = "x86_64")]

mod support;

use abi::{
    Platform,
    native::{
        GlobalVariableSectionData, GlobalVariableSectionInfo, HelperFunctionData,
        HelperFunctionEntry, MapData, MapDataV1, MapDefinitionInFile, MapEntry, MapInitialValues,
        MetadataTable, ModuleVersion, ProgramEntry, ProgramRuntimeContext, VERSION_ARRAY_DATA,
    },
};
use ebpfcore::{
    CONTEXT_HEADER_BYTES, Core, Shared, Status,
    helper::NoExtensions,
    native::{Error, Loaded, Module, ModuleMemory, Problem, Typing, instantiate, validate},
};
use std::{cell::Cell, sync::Mutex};
use support::{Random, core};

const OLD: ModuleVersion = ModuleVersion::new(1, 0, 0);
const NEW: ModuleVersion = ModuleVersion::new(1, 5, 0);

/// What the getters of the module under test return.
#[derive(Clone, Copy, Default)]
struct Answers {
    version: ModuleVersion,
    programs: (u64, u64),
    maps: (u64, u64),
    initial: (u64, u64),
    globals: (u64, u64),
}

thread_local! {
    static ANSWERS: Cell<Answers> = Cell::new(Answers::default());
}

unsafe extern "win64" fn version(out: *mut ModuleVersion) {
    // SAFETY: the loader gives a place for the answer.
    unsafe { *out = ANSWERS.get().version };
}

fn answer(out: (*mut u64, *mut u64), value: (u64, u64)) {
    // SAFETY: the loader gives places for the answers.
    unsafe { (*out.0, *out.1) = value };
}

unsafe extern "win64" fn programs(address: *mut u64, count: *mut u64) {
    answer((address, count), ANSWERS.get().programs);
}

unsafe extern "win64" fn maps(address: *mut u64, count: *mut u64) {
    answer((address, count), ANSWERS.get().maps);
}

unsafe extern "win64" fn hash(address: *mut u64, count: *mut u64) {
    answer((address, count), (0, 0));
}

unsafe extern "win64" fn initial(address: *mut u64, count: *mut u64) {
    answer((address, count), ANSWERS.get().initial);
}

unsafe extern "win64" fn globals(address: *mut u64, count: *mut u64) {
    answer((address, count), ANSWERS.get().globals);
}

type Helper = unsafe extern "win64" fn(u64, u64, u64, u64, u64, u64) -> u64;

/// Counts in element 1 of map 0 through the lookup helper, adds the global, and tail-calls slot 1
/// of the program array. The layout of the map data follows the flavour of the module.
unsafe fn count(context: u64, runtime: *const ProgramRuntimeContext, map_stride: u64) -> u64 {
    // SAFETY: the runtime context is as the native module ABI says.
    unsafe {
        let helpers = (*runtime).helper_data as *const HelperFunctionData;
        let map = |index: u64| *(((*runtime).map_data + index * map_stride + 24) as *const u64);
        let lookup: Helper = std::mem::transmute((*helpers).address);
        let key = 1u32;
        let value = lookup(map(0), &raw const key as u64, 0, 0, 0, context) as *mut u64;
        *value += 1;
        let global = (*runtime).global_variable_section_data as *const GlobalVariableSectionData;
        let global = *((*global).address_of_map_value as *const u64);
        let tail_call: Helper = std::mem::transmute((*helpers.add(1)).address);
        let result = tail_call(context, map(1), 1, 0, 0, context);
        if (*helpers.add(1)).tail_call != 0 && result == 0 {
            return 0;
        }
        *value + global
    }
}

unsafe extern "win64" fn old_program(context: u64, runtime: *const ProgramRuntimeContext) -> u64 {
    // SAFETY: as the runtime calls it.
    unsafe { count(context, runtime, size_of::<MapDataV1>() as u64) }
}

unsafe extern "win64" fn new_program(context: u64, runtime: *const ProgramRuntimeContext) -> u64 {
    // SAFETY: as the runtime calls it; array data of version 1.4 and later.
    unsafe {
        let data = (*runtime).map_data as *const MapData;
        assert_ne!((*data).array_data, 0, "map 0 is an array");
        assert_eq!((*data.add(1)).array_data, 0, "map 1 is none");
        count(context, runtime, size_of::<MapData>() as u64)
    }
}

unsafe extern "win64" fn last_program(_: u64, _: *const ProgramRuntimeContext) -> u64 {
    77
}

/// A module: its parts, and the memory that the loader may read.
struct Fixture {
    /// Readable memory: address and current content.
    parts: Mutex<Vec<(u64, Vec<u8>)>>,
    code: Vec<u64>,
    table: u64,
    answers: Answers,
}

impl ModuleMemory for Fixture {
    fn read(&self, address: u64, out: &mut [u8]) -> bool {
        let parts = self.parts.lock().unwrap();
        for (start, bytes) in parts.iter() {
            if let Some(offset) = address.checked_sub(*start)
                && let Ok(offset) = usize::try_from(offset)
                && let Some(source) = bytes.get(offset..)
                && let Some(source) = source.get(..out.len())
            {
                out.copy_from_slice(source);
                return true;
            }
        }
        false
    }

    fn is_code(&self, address: u64) -> bool {
        self.code.contains(&address)
    }
}

impl Fixture {
    /// Puts a value at an address of its own; only the loader's reads ever look there.
    fn part<T>(&self, values: &[T]) -> u64 {
        let bytes = std::mem::size_of_val(values);
        // SAFETY: the structures of the ABI have no padding; strings are bytes.
        let bytes = unsafe { std::slice::from_raw_parts(values.as_ptr().cast::<u8>(), bytes) };
        let mut parts = self.parts.lock().unwrap();
        let address = 0x10_0000 + 0x1_0000 * parts.len() as u64;
        parts.push((address, bytes.to_vec()));
        address
    }

    fn text(&self, text: &str) -> u64 {
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        self.part(&bytes)
    }

    fn map(
        &self,
        name: &str,
        map_type: u32,
        [key_size, value_size, max_entries]: [u32; 3],
    ) -> MapEntry {
        MapEntry {
            header: MapEntry::HEADER,
            definition: MapDefinitionInFile {
                map_type,
                key_size,
                value_size,
                max_entries,
                ..Default::default()
            },
            name: self.text(name),
            ..Default::default()
        }
    }

    fn program(&self, name: &str, function: usize, helpers: &[u32]) -> ProgramEntry {
        let entries: Vec<_> = helpers
            .iter()
            .map(|id| HelperFunctionEntry {
                header: HelperFunctionEntry::HEADER,
                helper_id: *id,
                name: self.text("helper"),
                ..Default::default()
            })
            .collect();
        let xdp = abi::program_type::by_name(Platform::Windows, "xdp").unwrap();
        ProgramEntry {
            header: ProgramEntry::HEADER,
            function: function as u64,
            pe_section_name: self.text("xdp"),
            section_name: self.text("xdp"),
            program_name: self.text(name),
            referenced_map_indices: self.part(&[0u16, 1]),
            referenced_map_count: 2,
            helpers: if helpers.is_empty() {
                0
            } else {
                self.part(&entries)
            },
            helper_count: helpers.len() as u16,
            program_type: self.part(&xdp.guid.to_bytes()),
            ..Default::default()
        }
    }

    fn new(version_of: ModuleVersion) -> Fixture {
        let function = if version_of < VERSION_ARRAY_DATA {
            old_program as *const () as usize
        } else {
            new_program as *const () as usize
        };
        let last = last_program as *const () as usize;
        let table = MetadataTable {
            size: size_of::<MetadataTable>() as u64,
            programs: programs as *const () as u64,
            maps: maps as *const () as u64,
            hash: hash as *const () as u64,
            version: version as *const () as u64,
            map_initial_values: initial as *const () as u64,
            global_variable_sections: globals as *const () as u64,
        };
        let mut fixture = Fixture {
            parts: Mutex::default(),
            code: vec![
                function as u64,
                last as u64,
                table.programs,
                table.maps,
                table.hash,
                table.version,
                table.map_initial_values,
                table.global_variable_sections,
            ],
            table: 0,
            answers: Answers::default(),
        };
        fixture.table = fixture.part(&[table]);
        let maps = [
            fixture.map("counters", 2, [4, 8, 2]),
            fixture.map("progs", 3, [4, 4, 3]),
            fixture.map("mod.data", 2, [4, 8, 1]),
        ];
        let entries = [
            fixture.program("first", function, &[1, 5, 0]),
            fixture.program("last", last, &[]),
        ];
        let initial = MapInitialValues {
            header: MapInitialValues::HEADER,
            name: fixture.text("progs"),
            count: 2,
            values: fixture.part(&[0, fixture.text("last")]),
        };
        let global = GlobalVariableSectionInfo {
            header: GlobalVariableSectionInfo::HEADER,
            name: fixture.text("mod.data"),
            size: 8,
            initial_data: fixture.part(&[1000u64]),
        };
        fixture.answers = Answers {
            version: version_of,
            programs: (fixture.programs(&entries, version_of), entries.len() as u64),
            maps: (fixture.part(&maps), maps.len() as u64),
            initial: (fixture.part(&[initial]), 1),
            globals: (fixture.part(&[global]), 1),
        };
        fixture
    }

    /// Program entries as that version writes them: 144 or 160 bytes.
    fn programs(&self, entries: &[ProgramEntry], version: ModuleVersion) -> u64 {
        if version >= ModuleVersion::new(1, 5, 0) {
            return self.part(entries);
        }
        let mut bytes = Vec::new();
        for entry in entries {
            let entry = ProgramEntry {
                header: ProgramEntry::HEADER_WITHOUT_BTF,
                ..*entry
            };
            // SAFETY: a plain structure without padding.
            let all: [u8; 160] = unsafe { std::mem::transmute(entry) };
            bytes.extend_from_slice(&all[..ProgramEntry::SIZE_WITHOUT_BTF]);
        }
        self.part(&bytes)
    }

    fn validate(&self) -> Result<Module, Error> {
        ANSWERS.set(self.answers);
        // SAFETY: the getters are functions of this process.
        unsafe { validate(self.table, self, Typing::Guid) }
    }

    /// Changes `bytes` of the part that holds `address`.
    fn patch(&self, address: u64, bytes: &[u8]) {
        let mut parts = self.parts.lock().unwrap();
        for (start, content) in parts.iter_mut() {
            let offset = address.wrapping_sub(*start) as usize;
            if offset < content.len() {
                content[offset..offset + bytes.len()].copy_from_slice(bytes);
            }
        }
    }
}

fn load(core: &Shared<Core>, fixture: &Fixture) -> Result<Loaded, Error> {
    instantiate(core, &fixture.validate()?, &NoExtensions)
}

fn invoke(core: &Core, loaded: &Loaded, program: usize) -> u64 {
    let mut context = [0u64; CONTEXT_HEADER_BYTES / 8 + 4];
    let address = context.as_mut_ptr() as u64 + CONTEXT_HEADER_BYTES as u64;
    // SAFETY: an XDP context with empty packet.
    unsafe { core.enter().invoke(&loaded.programs[program], address) }.unwrap()
}

#[test]
fn modules_of_old_and_new_layout_run() {
    for version in [OLD, ModuleVersion::new(1, 4, 0), NEW] {
        let (core, _) = core();
        let fixture = Fixture::new(version);
        let loaded = load(&core, &fixture).unwrap();
        assert_eq!(loaded.maps.len(), 3);
        for _ in 0..3 {
            assert_eq!(invoke(&core, &loaded, 0), 77, "the tail call ran");
        }
        // Without the program in the array the first one goes on.
        loaded.maps[1].set_program(1, None).unwrap();
        assert_eq!(invoke(&core, &loaded, 0), 1004);
        let mut value = [0; 8];
        loaded.maps[0]
            .lookup(&1u32.to_ne_bytes(), &mut value)
            .unwrap();
        assert_eq!(u64::from_ne_bytes(value), 4);
    }
}

#[test]
fn what_a_module_says_is_copied() {
    let fixture = Fixture::new(NEW);
    let module = fixture.validate().unwrap();
    assert_eq!(module.version, NEW);
    assert_eq!(module.programs[0].name, "first");
    assert_eq!(module.programs[0].helpers, [1, 5, 0]);
    assert_eq!(module.programs[0].maps, [0, 1]);
    assert_eq!(module.maps[2].definition.name, "mod.data");
    assert_eq!(module.globals[0].data, 1000u64.to_ne_bytes());
    assert_eq!(module.initial[0].values, [None, Some("last".into())]);
}

#[test]
fn each_rule_is_enforced() {
    type Break = fn(&mut Fixture);
    let cases: [(&str, Break); 16] = [
        ("size is 55", |f| f.patch(f.table, &55u64.to_le_bytes())),
        ("maps is NULL", |f| f.patch(f.table + 16, &[0; 8])),
        ("executable code", |f| {
            f.patch(f.table + 8, &1u64.to_le_bytes());
        }),
        ("0.21.0 or later", |f| {
            f.answers.version = ModuleVersion::new(0, 20, 9);
        }),
        ("count is zero", |f| f.answers.maps.1 = 0),
        ("at most 65536", |f| f.answers.programs.1 = 1 << 40),
        ("does not lie inside", |f| f.answers.programs.1 = 3),
        ("zero is 1", |f| {
            f.patch(f.answers.programs.0, &1u64.to_le_bytes());
        }),
        ("header.version", |f| {
            f.patch(f.answers.programs.0 + 8, &[2]);
        }),
        ("header.size", |f| {
            f.patch(f.answers.programs.0 + 16, &[120]);
        }),
        ("header.total_size", |f| {
            f.patch(f.answers.programs.0 + 24, &[0xff; 8]);
        }),
        ("function = 0x1", |f| {
            f.patch(f.answers.programs.0 + 32, &1u64.to_le_bytes());
        }),
        ("program_name is NULL", |f| {
            f.patch(f.answers.programs.0 + 56, &[0; 8]);
        }),
        ("pinning is 2", |f| {
            f.patch(f.answers.maps.0 + 40 + 20, &[2]);
        }),
        ("type is 99", |f| f.patch(f.answers.maps.0 + 40, &[99])),
        ("size is 7", |f| f.patch(f.answers.globals.0 + 32, &[7])),
    ];
    for (expected, damage) in cases {
        let mut fixture = Fixture::new(NEW);
        damage(&mut fixture);
        let message = fixture.validate().err().map(|error| error.to_string());
        let message = message.unwrap_or_else(|| panic!("accepted: {expected}"));
        assert!(
            message.contains(expected),
            "{message:?} should say {expected:?}"
        );
    }
}

#[test]
fn strings_end_in_bounds() {
    for (text, good) in [
        ("a".repeat(63), true),
        ("a".repeat(64), false),
        ("tab\t".into(), false),
        (String::new(), false),
    ] {
        let fixture = Fixture::new(NEW);
        let name = fixture.text(&text);
        fixture.patch(fixture.answers.programs.0 + 48, &name.to_le_bytes());
        assert_eq!(fixture.validate().is_ok(), good, "{text:?}");
    }
    let fixture = Fixture::new(NEW);
    let endless = fixture.part(b"no terminator");
    fixture.patch(fixture.answers.programs.0 + 48, &endless.to_le_bytes());
    assert!(matches!(
        fixture.validate().unwrap_err().problem,
        Problem::Outside { .. }
    ));
}

#[test]
fn helpers_and_hashes_must_match() {
    let (core, _) = core();
    let fixture = Fixture::new(NEW);
    let helpers = fixture.programs_first_helpers();
    fixture.patch(helpers + 24, &26u32.to_le_bytes());
    let error = load(&core, &fixture).err().unwrap();
    assert_eq!(error.status(), Status::ExtensionFailedToLoad);
    assert!(matches!(error.problem, Problem::NoHelper { id: 26, .. }));
    let fixture = Fixture::new(NEW);
    let (hash, kind) = (fixture.part(&[0u8; 32]), fixture.text("SHA256"));
    let fields = [hash, 32, kind].map(u64::to_le_bytes).concat();
    fixture.patch(fixture.answers.programs.0 + 120, &fields);
    let error = load(&core, &fixture).err().unwrap();
    assert_eq!(error.problem, Problem::InfoHash);
    assert_eq!(error.status(), Status::InvalidArgument);
}

impl Fixture {
    fn programs_first_helpers(&self) -> u64 {
        let mut bytes = [0; 8];
        assert!(self.read(self.answers.programs.0 + 80, &mut bytes));
        u64::from_le_bytes(bytes)
    }
}

#[test]
fn damaged_modules_never_panic() {
    let mut random = Random(11);
    let (core, _) = core();
    let mut accepted = 0;
    for round in 0..4_000 {
        let mut fixture = Fixture::new(if round % 2 == 0 { OLD } else { NEW });
        for _ in 0..=random.below(3) {
            let mut parts = fixture.parts.lock().unwrap();
            let which = random.below(parts.len() as u64) as usize;
            let part = &mut parts[which].1;
            let at = random.below(part.len() as u64) as usize;
            part[at] = match random.below(3) {
                0 => random.next() as u8,
                1 => 0,
                _ => 0xff,
            };
        }
        if random.below(10) == 0 {
            fixture.answers.maps.1 = random.next() >> random.below(64);
        }
        if let Ok(module) = fixture.validate() {
            // Sizes may have become large: only what is reasonable is made.
            let small = module
                .maps
                .iter()
                .all(|map| u64::from(map.definition.max_entries) < 1 << 16);
            if small && instantiate(&core, &module, &NoExtensions).is_ok() {
                accepted += 1;
            }
        }
    }
    assert!(
        accepted > 100,
        "the damage leaves nothing to accept: {accepted}"
    );
}
