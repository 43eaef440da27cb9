//! A native module of this process: functions in the Windows calling convention, and tables that
//! only the loader's reads see.
#![allow(dead_code, reason = "each test file uses a part of it")]

use abi::{
    Platform,
    native::{
        GlobalVariableSectionData, GlobalVariableSectionInfo, HelperFunctionData,
        HelperFunctionEntry, MapData, MapDataV1, MapDefinitionInFile, MapEntry, MapInitialValues,
        MetadataTable, ModuleVersion, ProgramEntry, ProgramRuntimeContext, VERSION_ARRAY_DATA,
    },
};
use ebpfcore::helper::NoExtensions;
use ebpfcore::native::{Error, Module, ModuleMemory, Typing, validate};
use std::{cell::Cell, sync::Mutex};

pub(crate) const OLD: ModuleVersion = ModuleVersion::new(1, 0, 0);
pub(crate) const NEW: ModuleVersion = ModuleVersion::new(1, 5, 0);

/// What the getters of the module under test return.
#[derive(Clone, Copy, Default)]
pub(crate) struct Answers {
    pub(crate) version: ModuleVersion,
    pub(crate) programs: (u64, u64),
    pub(crate) maps: (u64, u64),
    pub(crate) initial: (u64, u64),
    pub(crate) globals: (u64, u64),
}

thread_local! {
    pub(crate) static ANSWERS: Cell<Answers> = Cell::new(Answers::default());
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

pub(crate) type Helper = unsafe extern "win64" fn(u64, u64, u64, u64, u64, u64) -> u64;

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
pub(crate) struct Fixture {
    /// Readable memory: address and current content.
    pub(crate) parts: Mutex<Vec<(u64, Vec<u8>)>>,
    pub(crate) code: Vec<u64>,
    pub(crate) table: u64,
    pub(crate) answers: Answers,
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
    pub(crate) fn part<T>(&self, values: &[T]) -> u64 {
        let bytes = std::mem::size_of_val(values);
        // SAFETY: the structures of the ABI have no padding; strings are bytes.
        let bytes = unsafe { std::slice::from_raw_parts(values.as_ptr().cast::<u8>(), bytes) };
        let mut parts = self.parts.lock().unwrap();
        let address = 0x10_0000 + 0x1_0000 * parts.len() as u64;
        parts.push((address, bytes.to_vec()));
        address
    }

    pub(crate) fn text(&self, text: &str) -> u64 {
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        self.part(&bytes)
    }

    pub(crate) fn map(
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

    pub(crate) fn program(&self, name: &str, function: usize, helpers: &[u32]) -> ProgramEntry {
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

    pub(crate) fn new(version_of: ModuleVersion) -> Fixture {
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
    pub(crate) fn programs(&self, entries: &[ProgramEntry], version: ModuleVersion) -> u64 {
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

    pub(crate) fn validate(&self) -> Result<Module, Error> {
        ANSWERS.set(self.answers);
        // SAFETY: the getters are functions of this process.
        unsafe { validate(self.table, self, Typing::Guid(&NoExtensions)) }
    }

    /// Changes `bytes` of the part that holds `address`.
    pub(crate) fn patch(&self, address: u64, bytes: &[u8]) {
        let mut parts = self.parts.lock().unwrap();
        for (start, content) in parts.iter_mut() {
            let offset = address.wrapping_sub(*start) as usize;
            if offset < content.len() {
                content[offset..offset + bytes.len()].copy_from_slice(bytes);
            }
        }
    }
}
