//! Bytecode without an ELF file, as a runtime or a test hands it over.
//!
//! Functions are discovered: one starts at slot 0 and one at each target of a local call or
//! function address; each ends where the next begins. Map references name indices of the maps that
//! come along. Platform functions by BTF id cannot be resolved here and are refused.

use crate::{
    error::LoadError,
    form,
    model::{Function, MapDef, Object, Program},
};
use abi::{Platform, ProgramType, diagnostic, limits};
use alloc::{collections::BTreeSet, format, string::String, vec, vec::Vec};
use isa::{CallTarget, Imm64, Insn, InsnIdx, Slot};

/// One program as raw slots, with the maps its instructions refer to by index.
#[derive(Clone, Debug)]
pub struct RawProgram<'a> {
    /// Program name.
    pub name: &'a str,
    /// Whose numbering it uses.
    pub platform: Platform,
    /// Its type.
    pub program_type: &'static ProgramType,
    /// Little-endian instruction slots, 8 bytes each.
    pub bytes: &'a [u8],
    /// Maps; `Imm64::MapFd` and the by-index forms are indices into this list.
    pub maps: Vec<MapDef>,
}

/// Makes an object of one program from raw slots.
///
/// # Errors
/// Bytes that do not decode, references to maps or functions that do not exist.
pub fn from_bytecode(raw: RawProgram<'_>) -> Result<Object, LoadError> {
    let insns = decode(raw.bytes).map_err(|error| error.symbol(raw.name))?;
    let functions = discover(&insns, raw.name);
    let program = Program {
        name: raw.name.into(),
        section: String::new(),
        place: 0,
        unmarked: false,
        program_type: raw.program_type,
        attach_type: None,
        insns,
        functions,
        lines: Vec::new(),
        arguments: None,
        missing: Vec::new(),
    };
    let tables = form::Tables {
        maps: raw.maps.len(),
        btf_functions: 0,
    };
    form::check(&program, tables)?;
    Ok(Object {
        platform: raw.platform,
        name: raw.name.into(),
        maps: raw.maps,
        globals: Vec::new(),
        btf_functions: Vec::new(),
        programs: vec![program],
        license: None,
        version: None,
        sha256: [0; 32],
        unlinked: Vec::new(),
        notes: Vec::new(),
        kernel: None,
    })
}

fn decode(bytes: &[u8]) -> Result<Vec<Insn>, LoadError> {
    let limit = limits::PROGRAM_SLOTS as usize;
    if bytes.is_empty() || !bytes.len().is_multiple_of(Slot::BYTES) {
        let text = format!("{} bytes are not a number of 8-byte slots", bytes.len());
        return Err(LoadError::new(diagnostic::BYTECODE_MALFORMED, text));
    }
    if bytes.len() / Slot::BYTES > limit {
        let text = format!("{} slots, the limit is {limit}", bytes.len() / Slot::BYTES);
        return Err(LoadError::new(diagnostic::BYTECODE_LIMIT, text));
    }
    let insns = isa::decode::program(bytes).map_err(|(at, error)| {
        LoadError::new(diagnostic::BYTECODE_MALFORMED, format!("{at}: {error}"))
            .offset(u64::from(at.0) * 8)
    })?;
    Ok(insns.into_iter().map(by_descriptor).collect())
}

/// Both ways to name a map mean the same here: an index into the maps that came along.
fn by_descriptor(insn: Insn) -> Insn {
    match insn {
        Insn::LoadImm64 { dst, imm } => {
            let imm = match imm {
                Imm64::MapIdx(index) => Imm64::MapFd(index),
                Imm64::MapIdxValue { index, offset } => Imm64::MapValue { fd: index, offset },
                other => other,
            };
            Insn::LoadImm64 { dst, imm }
        }
        other => other,
    }
}

/// Function boundaries; wrong targets are left for the check of form to report.
fn discover(insns: &[Insn], name: &str) -> Vec<Function> {
    let len = InsnIdx(u32::try_from(insns.len()).unwrap_or(u32::MAX));
    let mut starts = BTreeSet::from([InsnIdx(0)]);
    for (index, insn) in (0u32..).zip(insns) {
        let offset = match *insn {
            Insn::Call(CallTarget::Local(offset)) => offset,
            Insn::LoadImm64 {
                imm: Imm64::Code(offset),
                ..
            } => offset,
            _ => continue,
        };
        starts.extend(InsnIdx(index).jump(offset).filter(|start| *start < len));
    }
    let ends = starts.iter().skip(1).copied().chain([len]);
    starts
        .iter()
        .zip(ends)
        .map(|(&start, end)| Function {
            name: if start.0 == 0 {
                name.into()
            } else {
                format!("subprogram_{}", start.0)
            },
            section: String::new(),
            start,
            end,
            global: false,
            contract: None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::program_type;

    const EXIT: u64 = 0x9500_0000_0000_0000;
    const MOV_R0: u64 = 0xb700_0000_0000_0000;

    fn load(slots: &[u64]) -> Result<Object, LoadError> {
        let bytes: Vec<u8> = slots.iter().flat_map(|slot| slot.to_be_bytes()).collect();
        from_bytecode(RawProgram {
            name: "raw",
            platform: Platform::Windows,
            program_type: program_type::WINDOWS[0],
            bytes: &bytes,
            maps: Vec::new(),
        })
    }

    /// `lddw r1` of a kind, then two more instructions.
    fn lddw(src: u64) -> [u64; 4] {
        [0x1801_0000_0000_0000 | src << 52, 0, MOV_R0, EXIT]
    }

    /// A call of a kind with a small immediate, then the end.
    fn call(src: u64, imm: u64) -> [u64; 2] {
        [0x8500_0000_0000_0000 | src << 52 | imm << 24, EXIT]
    }

    #[test]
    fn functions_start_where_calls_lead() {
        let object = load(&[call(1, 2)[0], MOV_R0, EXIT, MOV_R0, EXIT]).unwrap();
        let functions = &object.programs[0].functions;
        assert_eq!(functions.len(), 2);
        assert_eq!(functions[1].start, InsnIdx(3));
        assert_eq!(functions[0].end, functions[1].start);
        assert_eq!(functions[1].name, "subprogram_3");
    }

    #[test]
    fn references_must_exist() {
        let code = |slots: &[u64]| load(slots).unwrap_err().code();
        for map in [1, 2, 5, 6] {
            assert_eq!(
                code(&lddw(map)),
                diagnostic::BYTECODE_REFERENCE,
                "src {map}"
            );
        }
        // Past the end, far away, platform functions.
        for slots in [call(1, 1), call(1, 0x7f), call(2, 0)] {
            assert_eq!(code(&slots), diagnostic::BYTECODE_REFERENCE, "{slots:x?}");
        }
        // The callee would start inside an `lddw`.
        let torn = [call(1, 1)[0], lddw(0)[0], 0, EXIT];
        assert_eq!(code(&torn), diagnostic::BYTECODE_REFERENCE);
        assert!(load(&call(0, 1)).is_ok());
        assert!(load(&lddw(0)).is_ok());
    }

    #[test]
    fn bytes_must_be_slots() {
        let code = |bytes: &[u8]| {
            let raw = RawProgram {
                name: "raw",
                platform: Platform::Linux,
                program_type: program_type::LINUX[0],
                bytes,
                maps: Vec::new(),
            };
            from_bytecode(raw).unwrap_err().code()
        };
        assert_eq!(code(&[]), diagnostic::BYTECODE_MALFORMED);
        assert_eq!(
            code(&[0x95, 0, 0, 0, 0, 0, 0]),
            diagnostic::BYTECODE_MALFORMED
        );
        assert_eq!(code(&[0xff; 8]), diagnostic::BYTECODE_MALFORMED);
        let many = vec![0u8; 8 * (limits::PROGRAM_SLOTS as usize + 1)];
        assert_eq!(code(&many), diagnostic::BYTECODE_LIMIT);
    }
}
