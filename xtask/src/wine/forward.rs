//! Images that forward every export to another module.
//!
//! They give the stand-ins the names of the kernel's modules: `netio.sys` forwards to `tkernel.dll`,
//! `ntoskrnl.exe` to it and to the copy of Wine's own. Their only code is an entry point that
//! answers `STATUS_UNSUCCESSFUL`: the loader takes it for success of a library, and the kernel,
//! should it start one as a driver, for failure. What is left out: relocations; nothing moves.

/// One export: its name, and the module and name it leads to (`module.name`).
pub(super) struct Forward {
    pub(super) name: String,
    pub(super) target: String,
}

const PAGE: usize = 0x1000;
const FILE_ALIGN: usize = 0x200;
const TEXT_AT: usize = PAGE;
const EXPORTS_AT: usize = 2 * PAGE;
const HEADER_BYTES: usize = 0x400;
const OPTIONAL_BYTES: u16 = 0xf0;
const DIRECTORY_BYTES: usize = 40;
/// `mov eax, 0xc0000001; ret`.
const ENTRY: [u8; 6] = [0xb8, 0x01, 0x00, 0x00, 0xc0, 0xc3];

/// The image of a module.
pub(super) fn image(module: &str, mut forwards: Vec<Forward>) -> Vec<u8> {
    // Loaders search the names by halves.
    forwards.sort_by(|left, right| left.name.cmp(&right.name));
    let exports = exports(module, &forwards);
    let mut image = headers(exports.len());
    image.resize(HEADER_BYTES, 0);
    image.extend(ENTRY);
    image.resize(HEADER_BYTES + FILE_ALIGN, 0);
    image.extend(&exports);
    image.resize(image.len().next_multiple_of(FILE_ALIGN), 0);
    image
}

/// Little-endian bytes, one number after the other.
#[derive(Default)]
struct Bytes(Vec<u8>);

impl Bytes {
    fn u16(&mut self, values: &[u16]) -> &mut Bytes {
        values
            .iter()
            .for_each(|value| self.0.extend(value.to_le_bytes()));
        self
    }

    fn u32(&mut self, values: &[usize]) -> &mut Bytes {
        values
            .iter()
            .for_each(|value| self.0.extend((*value as u32).to_le_bytes()));
        self
    }

    fn u64(&mut self, values: &[u64]) -> &mut Bytes {
        values
            .iter()
            .for_each(|value| self.0.extend(value.to_le_bytes()));
        self
    }
}

/// Headers up to and with the section table (PE/COFF, sections 2 to 4).
fn headers(exports_len: usize) -> Vec<u8> {
    const MACHINE_X64: u16 = 0x8664;
    /// Executable, large addresses, library.
    const CHARACTERISTICS: u16 = 0x2022;
    const NATIVE: u16 = 1;
    /// No execution of data.
    const DLL_CHARACTERISTICS: u16 = 0x100;
    let exports_raw = exports_len.next_multiple_of(FILE_ALIGN);
    let image_len = EXPORTS_AT + exports_len.next_multiple_of(PAGE);
    let mut bytes = Bytes(vec![0; 0x40]);
    bytes.0[..2].copy_from_slice(b"MZ");
    bytes.0[0x3c] = 0x40;
    bytes.0.extend(b"PE\0\0");
    bytes
        .u16(&[MACHINE_X64, 2])
        .u32(&[0, 0, 0])
        .u16(&[OPTIONAL_BYTES, CHARACTERISTICS]);
    bytes
        .u16(&[0x20b, 0])
        .u32(&[FILE_ALIGN, exports_raw, 0, TEXT_AT, TEXT_AT]);
    bytes
        .u64(&[0x1_8000_0000])
        .u32(&[PAGE, FILE_ALIGN])
        .u16(&[10, 0, 10, 0, 10, 0, 0, 0]);
    bytes
        .u32(&[image_len, HEADER_BYTES, 0])
        .u16(&[NATIVE, DLL_CHARACTERISTICS]);
    bytes
        .u64(&[0x10_0000, 0x1000, 0x10_0000, 0x1000])
        .u32(&[0, 16]);
    bytes.u32(&[EXPORTS_AT, exports_len]);
    bytes.u64(&[0; 15]);
    let mut section = |name: &[u8; 8], place: [usize; 4], flags: usize| {
        bytes.0.extend(name);
        bytes.u32(&place).u32(&[0, 0, 0, flags]);
    };
    let text = [ENTRY.len(), TEXT_AT, FILE_ALIGN, HEADER_BYTES];
    section(b".text\0\0\0", text, 0x6000_0020);
    let exports = [
        exports_len,
        EXPORTS_AT,
        exports_raw,
        HEADER_BYTES + FILE_ALIGN,
    ];
    section(b".rdata\0\0", exports, 0x4000_0040);
    bytes.0
}

/// The export section: directory, addresses, names, ordinals, strings. An address that lies in this
/// section is a forwarder.
fn exports(module: &str, forwards: &[Forward]) -> Vec<u8> {
    let count = forwards.len();
    let addresses = DIRECTORY_BYTES;
    let names = addresses + count * 4;
    let ordinals = names + count * 4;
    let strings_at = ordinals + count * 2;
    let mut strings = Vec::new();
    let mut place = |text: &str| {
        let at = EXPORTS_AT + strings_at + strings.len();
        strings.extend(text.bytes().chain([0]));
        at
    };
    let module = place(module);
    let targets: Vec<usize> = forwards
        .iter()
        .map(|forward| place(&forward.target))
        .collect();
    let places: Vec<usize> = forwards
        .iter()
        .map(|forward| place(&forward.name))
        .collect();
    let mut bytes = Bytes::default();
    bytes.u32(&[0, 0, 0, module, 1, count, count]);
    bytes.u32(&[addresses, names, ordinals].map(|at| EXPORTS_AT + at));
    bytes.u32(&targets).u32(&places);
    for ordinal in 0..count {
        bytes.u16(&[ordinal as u16]);
    }
    bytes.0.extend(strings);
    bytes.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use object::read::pe::{ExportTarget, PeFile64};

    #[test]
    fn a_reader_finds_the_forwards() {
        let forward = |name: &str, target: &str| Forward {
            name: name.into(),
            target: target.into(),
        };
        let forwards = vec![forward("b", "there.b"), forward("a", "there.other")];
        let image = image("x.sys", forwards);
        let file = PeFile64::parse(&*image).unwrap();
        let table = file.export_table().unwrap().unwrap();
        let found: Vec<_> = table.exports().unwrap();
        let names: Vec<_> = found.iter().map(|export| export.name.unwrap()).collect();
        assert_eq!(names, [b"a", b"b"]);
        let targets: Vec<_> = found.iter().map(|export| &export.target).collect();
        let expected = [&b"other"[..], b"b"];
        for (target, expected) in targets.iter().zip(expected) {
            assert!(
                matches!(target, ExportTarget::ForwardByName(b"there", name) if *name == expected)
            );
        }
    }
}
