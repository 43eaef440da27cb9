//! Target of native modules: the tables of a driver, damaged in memory.
//!
//! An input names a driver, says what its getters return, and lists changes to its data. What must
//! hold: reading ends, takes bounded memory, and what it accepts is sound: indices lead to
//! something, functions lie in code, strings are short; maps and programs of a module that was
//! accepted can be made or are refused. What is left out: calling the getters, which are code.

use crate::{device::MACHINE, outcome, seeds};
use abi::native::{MapEntry, ModuleVersion, ProgramEntry};
use ebpfcore::helper::NoExtensions;
use ebpfcore::native::{Array, Module, ModuleMemory, Tables, Typing, instantiate, parse};
use ebpfcore::{Core, hooks::HookHelpers};
use image::read::{Pe, Section};
use std::sync::OnceLock;

/// Bytes of a change: place in the data, and the value of a byte.
const CHANGE: usize = 4;
/// Largest maps that are made.
const MAP_BYTES: u64 = 1 << 20;

/// A driver as it lies in memory at the address it prefers.
struct Driver {
    sections: Vec<(u64, Vec<u8>, bool)>,
    tables: Tables,
}

/// The same with changes.
struct Damaged<'a> {
    driver: &'a Driver,
    changes: Vec<(u64, u8)>,
}

impl ModuleMemory for Damaged<'_> {
    fn read(&self, address: u64, out: &mut [u8]) -> bool {
        let Some((start, bytes, _)) = self.driver.section(address) else {
            return false;
        };
        let from = usize::try_from(address - start).unwrap_or(usize::MAX);
        let end = from.checked_add(out.len());
        let Some(source) = end.and_then(|end| bytes.get(from..end)) else {
            return false;
        };
        out.copy_from_slice(source);
        for (at, value) in &self.changes {
            let offset = at
                .checked_sub(address)
                .and_then(|at| usize::try_from(at).ok());
            if let Some(byte) = offset.and_then(|offset| out.get_mut(offset)) {
                *byte = *value;
            }
        }
        true
    }

    fn is_code(&self, address: u64) -> bool {
        let section = self.driver.section(address);
        section.is_some_and(|(_, _, is_code)| *is_code)
    }
}

impl Driver {
    fn new(file: &[u8]) -> Option<Driver> {
        let pe = Pe::parse(file).ok()?;
        let base = pe.headers.image_base;
        let start = |section: &Section| base.saturating_add(u64::from(section.rva));
        let loaded = |section: &Section| {
            let mut bytes = pe.contents(section).to_vec();
            bytes.resize(usize::try_from(section.virtual_size).unwrap_or(0), 0);
            (start(section), bytes, section.is_executable())
        };
        let kept = pe
            .sections
            .iter()
            .filter(|section| !section.is_discardable());
        let array = |name: &str, stride: usize| {
            let section = pe.section(name);
            section.map_or_else(Array::default, |section| Array {
                address: start(section),
                count: u64::from(section.virtual_size) / stride as u64,
            })
        };
        Some(Driver {
            sections: kept.map(loaded).collect(),
            tables: Tables {
                version: ModuleVersion::new(1, 0, 0),
                programs: array("programs", ProgramEntry::SIZE_WITHOUT_BTF),
                maps: array("maps", size_of::<MapEntry>()),
                initial: array("map_init", 48),
                globals: array("global_v", 48),
                hash: Array::default(),
            },
        })
    }

    fn section(&self, address: u64) -> Option<&(u64, Vec<u8>, bool)> {
        self.sections.iter().find(|(start, bytes, _)| {
            let offset = address.checked_sub(*start);
            offset.is_some_and(|offset| offset < bytes.len() as u64)
        })
    }

    /// The address of a byte that is not code, counted over all sections.
    fn data(&self, mut at: u64) -> Option<u64> {
        for (start, bytes, _) in self.sections.iter().filter(|(_, _, is_code)| !is_code) {
            match at.checked_sub(bytes.len() as u64) {
                Some(rest) => at = rest,
                None => return start.checked_add(at),
            }
        }
        None
    }
}

/// The drivers of the examples.
fn drivers() -> &'static [Driver] {
    static DRIVERS: OnceLock<Vec<Driver>> = OnceLock::new();
    DRIVERS.get_or_init(|| {
        let files = seeds::images().unwrap_or_default();
        files.iter().filter_map(|file| Driver::new(file)).collect()
    })
}

/// What comes before the changes: which driver, the version, and five differences of the getters'
/// answers to the honest ones.
const HEAD: usize = 1 + 3 + 5 * 2;

/// The target.
pub(crate) fn module(data: &[u8]) -> String {
    let Some((head, changes)) = data.split_first_chunk::<HEAD>() else {
        return "no head".to_owned();
    };
    let drivers = drivers();
    let Some(driver) = drivers.get(usize::from(head[0]) % drivers.len().max(1)) else {
        return "no drivers".to_owned();
    };
    let change = |change: &[u8; CHANGE]| {
        let [low, middle, high, value] = *change;
        let at = driver.data(u64::from(u32::from_le_bytes([low, middle, high, 0])));
        at.map(|at| (at, value))
    };
    let memory = Damaged {
        driver,
        changes: changes.as_chunks().0.iter().filter_map(change).collect(),
    };
    let tables = answers(driver, head);
    match parse(&tables, &memory, Typing::Guid(&NoExtensions)) {
        Ok(module) => accepted(&module, &memory),
        Err(error) => outcome(&error.to_string()),
    }
}

fn answers(driver: &Driver, head: &[u8; HEAD]) -> Tables {
    let [_, major, minor, revision, ..] = *head;
    let mut tables = driver.tables;
    let [major, minor, revision] = [major, minor, revision].map(u32::from);
    tables.version = ModuleVersion {
        major,
        minor,
        revision,
    };
    let arrays = [
        &mut tables.programs,
        &mut tables.maps,
        &mut tables.initial,
        &mut tables.globals,
        &mut tables.hash,
    ];
    let pairs = head.get(4..).unwrap_or(&[]).as_chunks().0;
    for (array, [address, count]) in arrays.into_iter().zip(pairs) {
        let shift = |byte: &u8| i64::from(byte.cast_signed());
        array.address = array.address.wrapping_add_signed(shift(address));
        array.count = array.count.wrapping_add_signed(shift(count));
    }
    tables
}

/// What must hold for a module that was accepted.
fn accepted(module: &Module, memory: &Damaged<'_>) -> String {
    let maps = module.maps.len();
    for program in &module.programs {
        assert!(memory.is_code(program.entry), "{} is no code", program.name);
        let names = [&program.name, &program.section, &program.pe_section];
        assert!(names.iter().all(|name| (1..64).contains(&name.len())));
        assert!(program.maps.iter().all(|map| usize::from(*map) < maps));
    }
    assert!(
        module
            .maps
            .iter()
            .all(|map| map.inner.is_none_or(|inner| inner < maps))
    );
    assert!(module.initial.iter().all(|initial| initial.map < maps));
    assert!(module.globals.iter().all(|global| global.map < maps));
    let bytes = |map: &ebpfcore::native::MapInfo| {
        let definition = &map.definition;
        let element = u64::from(definition.key_size).saturating_add(definition.value_size.into());
        element.saturating_mul(definition.max_entries.into())
    };
    if module.maps.iter().map(bytes).fold(0, u64::saturating_add) > MAP_BYTES {
        return "large maps".to_owned();
    }
    let Ok(core) = Core::new(&MACHINE) else {
        return "no memory".to_owned();
    };
    match instantiate(&core, module, &HookHelpers) {
        Ok(loaded) => {
            assert_eq!(loaded.programs.len(), module.programs.len());
            // Maps of programs refer to programs, which refer to their maps.
            loaded.maps.iter().for_each(|map| map.release_references());
            "made".to_owned()
        }
        Err(error) => outcome(&error.to_string()),
    }
}

/// Every driver as it is, and with a change in each of its first records.
pub(crate) fn seeds() -> Result<Vec<Vec<u8>>, String> {
    let mut all = Vec::new();
    for which in 0..u8::try_from(drivers().len()).unwrap_or(u8::MAX) {
        let mut honest = vec![which, 1, 0, 0];
        honest.resize(HEAD, 0);
        all.push(honest.clone());
        for at in (0u8..240).step_by(8) {
            let mut changed = honest.clone();
            changed.extend([at, 0, 0, 0xff]);
            all.push(changed);
        }
    }
    let made = all.iter().any(|seed| module(seed) == "made");
    made.then_some(all)
        .ok_or_else(|| "no module can be made".to_owned())
}
