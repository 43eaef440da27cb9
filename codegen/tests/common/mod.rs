//! Runs modules on this host: maps their sections with separate protections, fills import slots,
//! applies relocations, and calls functions in the Windows convention.
#![allow(dead_code, reason = "each test crate uses a part of this")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "test code")]
#![expect(unsafe_code, reason = "mapping and calling compiled code")]

pub(crate) mod build;
pub(crate) mod reference;

use codegen::{Module, RelocKind, SectionKind, Target};

const PAGE: usize = 4096;

/// A module mapped into this process.
pub(crate) struct Host {
    base: *mut u8,
    length: usize,
    /// Offset of each section from the base.
    sections: Vec<usize>,
    module: Module,
}

impl Host {
    /// Maps a module; `imports` gives the address of each imported function.
    pub(crate) fn new(module: Module, imports: &dyn Fn(&str) -> u64) -> Host {
        let mut length = 0;
        let mut sections = Vec::new();
        for section in &module.sections {
            sections.push(length);
            length += section.data.len().max(1).next_multiple_of(PAGE);
        }
        let slots = length;
        length += (module.imports.len() * 8).max(1).next_multiple_of(PAGE);
        // SAFETY: an anonymous private mapping at an address of the kernel's choice.
        let base = unsafe {
            libc::mmap(
                core::ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert_ne!(base, libc::MAP_FAILED);
        let mut host = Host {
            base: base.cast(),
            length,
            sections,
            module,
        };
        host.fill(slots, imports);
        host.protect();
        host
    }

    fn image(&mut self) -> &mut [u8] {
        // SAFETY: the mapping is ours and lives as long as `self`; used before `protect` only.
        unsafe { core::slice::from_raw_parts_mut(self.base, self.length) }
    }

    fn fill(&mut self, slots: usize, imports: &dyn Fn(&str) -> u64) {
        let base = self.base as i64;
        let symbols: Vec<usize> = (0..self.module.symbols.len())
            .map(|index| self.symbol_offset(index))
            .collect();
        let (module, sections) = (self.module.clone(), self.sections.clone());
        let image = self.image();
        for (section, &at) in module.sections.iter().zip(&sections) {
            image[at..at + section.data.len()].copy_from_slice(&section.data);
        }
        for (number, import) in module.imports.iter().enumerate() {
            let at = slots + number * 8;
            image[at..at + 8].copy_from_slice(&imports(&import.name).to_le_bytes());
        }
        for (section, &start) in module.sections.iter().zip(&sections) {
            for reloc in &section.relocs {
                let target = match reloc.target {
                    Target::Symbol(id) => symbols[id.0 as usize],
                    Target::ImportSlot(slot) => slots + usize::from(slot) * 8,
                };
                let at = start + reloc.offset as usize;
                let target = target as i64 + reloc.addend;
                match reloc.kind {
                    RelocKind::Abs64 => {
                        assert!(matches!(
                            section.kind,
                            SectionKind::Data | SectionKind::ReadOnly
                        ));
                        let address = (base + target).to_le_bytes();
                        image[at..at + 8].copy_from_slice(&address);
                    }
                    RelocKind::Rel32 => {
                        let distance = i32::try_from(target - (at as i64 + 4)).unwrap();
                        image[at..at + 4].copy_from_slice(&distance.to_le_bytes());
                    }
                }
            }
        }
    }

    fn protect(&self) {
        for (section, &at) in self.module.sections.iter().zip(&self.sections) {
            let protection = match section.kind {
                SectionKind::Code | SectionKind::Init => libc::PROT_READ | libc::PROT_EXEC,
                SectionKind::ReadOnly => libc::PROT_READ,
                SectionKind::Data => libc::PROT_READ | libc::PROT_WRITE,
            };
            let length = section.data.len().max(1).next_multiple_of(PAGE);
            // SAFETY: whole pages of our own mapping.
            let result = unsafe { libc::mprotect(self.base.add(at).cast(), length, protection) };
            assert_eq!(result, 0);
        }
    }

    fn symbol_offset(&self, index: usize) -> usize {
        let symbol = &self.module.symbols[index];
        self.sections[usize::from(symbol.section.0)] + symbol.offset as usize
    }

    /// Address of a symbol.
    pub(crate) fn address(&self, name: &str) -> u64 {
        let symbols = &self.module.symbols;
        let at = symbols.iter().position(|symbol| symbol.name == name);
        let at = at.unwrap_or_else(|| panic!("no symbol {name}"));
        self.base as u64 + self.symbol_offset(at) as u64
    }

    /// Bytes at an address inside the module.
    pub(crate) fn bytes(&self, address: u64, length: usize) -> Vec<u8> {
        let at = usize::try_from(address - self.base as u64).unwrap();
        assert!(
            at + length <= self.length,
            "{address:#x} is not in the module"
        );
        // SAFETY: in range, and every section is readable.
        unsafe { core::slice::from_raw_parts(self.base.add(at), length) }.to_vec()
    }

    /// A 64-bit number at an address inside the module.
    pub(crate) fn u64(&self, address: u64) -> u64 {
        u64::from_le_bytes(self.bytes(address, 8).try_into().unwrap())
    }

    /// A zero-terminated string at an address inside the module.
    pub(crate) fn string(&self, address: u64) -> String {
        let bytes = (0..).map(|i| self.bytes(address + i, 1)[0]);
        String::from_utf8(bytes.take_while(|byte| *byte != 0).collect()).unwrap()
    }

    /// Calls a function of up to three arguments.
    pub(crate) fn call(&self, name: &str, arguments: [u64; 3]) -> u64 {
        call(self.address(name), arguments)
    }

    /// Number of the section and offset in it of an address inside the module.
    pub(crate) fn place_of(&self, address: u64) -> Option<(usize, u32)> {
        let at = usize::try_from(address.checked_sub(self.base as u64)?).ok()?;
        let section = self
            .sections
            .partition_point(|&start| start <= at)
            .checked_sub(1)?;
        let offset = at - self.sections[section];
        (offset < self.module.sections[section].data.len()).then_some((section, offset as u32))
    }

    /// The module.
    pub(crate) fn module(&self) -> &Module {
        &self.module
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours and nothing refers to it any more.
        unsafe { libc::munmap(self.base.cast(), self.length) };
    }
}

/// Calls compiled code in the Windows convention.
pub(crate) fn call(address: u64, [a, b, c]: [u64; 3]) -> u64 {
    type Function = extern "win64" fn(u64, u64, u64) -> u64;
    // SAFETY: the address is that of compiled code with at most three integer arguments.
    let function: Function = unsafe { core::mem::transmute(address as usize) };
    function(a, b, c)
}

/// Reads bytes of this process.
pub(crate) fn read_bytes(address: u64, length: usize) -> Vec<u8> {
    // SAFETY: tests pass addresses of live memory that compiled code was given.
    unsafe { core::slice::from_raw_parts(address as *const u8, length) }.to_vec()
}

/// Writes bytes of this process.
pub(crate) fn write_bytes(address: u64, bytes: &[u8]) {
    // SAFETY: as for `read_bytes`; the memory is writable.
    unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), address as *mut u8, bytes.len()) }
}

/// The tables a runtime gives to a program.
pub(crate) struct Runtime {
    helpers: Vec<u64>,
    maps: Vec<u64>,
    globals: Vec<u64>,
    functions: Vec<u64>,
    context: Vec<u64>,
}

/// A helper as compiled code calls it: r1 to r5 and the context.
pub(crate) type Helper = extern "win64" fn(u64, u64, u64, u64, u64, u64) -> u64;

impl Runtime {
    /// Tables in the layout of the native module ABI: `helpers` with their tail-call flag, maps
    /// as (address, array data) with the given stride, addresses of globals, BTF functions.
    pub(crate) fn new(
        helpers: &[(Helper, bool)],
        (maps, map_stride): (&[(u64, u64)], usize),
        globals: &[u64],
        functions: &[Helper],
    ) -> Runtime {
        let entry = |address: u64| [0xdead, 0xdead, 0xdead, address];
        let mut runtime = Runtime {
            helpers: Vec::new(),
            maps: Vec::new(),
            globals: globals.iter().flat_map(|&address| entry(address)).collect(),
            functions: functions
                .iter()
                .flat_map(|&f| entry(f as usize as u64))
                .collect(),
            context: Vec::new(),
        };
        for &(function, tail_call) in helpers {
            runtime.helpers.extend(entry(function as usize as u64));
            runtime.helpers.push(u64::from(tail_call));
        }
        for &(address, data) in maps {
            runtime.maps.extend(entry(address));
            runtime.maps.extend((map_stride == 40).then_some(data));
        }
        runtime.context = vec![0xdead, 0xdead, 0xdead];
        let pointer = |table: &[u64]| table.as_ptr() as u64;
        let tables = [
            pointer(&runtime.helpers),
            pointer(&runtime.maps),
            pointer(&runtime.globals),
            pointer(&runtime.functions),
        ];
        runtime.context.extend(tables);
        runtime
    }

    /// No helpers, no maps.
    pub(crate) fn empty() -> Runtime {
        Runtime::new(&[], (&[], 32), &[], &[])
    }

    /// Address of the `program_runtime_context_t`.
    pub(crate) fn address(&self) -> u64 {
        self.context.as_ptr() as u64
    }
}
