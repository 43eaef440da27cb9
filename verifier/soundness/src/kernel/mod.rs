//! The Linux kernel's verifier as a second judge.
//!
//! A program is loaded for real: its maps are created, constants written and frozen, and the
//! kernel's answer is the verdict. What cannot be asked that way (types that need the kernel's own
//! type information, map types and functions this kernel lacks) is not judged. Needs root.
//! Nothing is attached or run, and every descriptor is closed again.

mod btf;
mod raw;

use abi::{MapKind, Platform};
use isa::{CallTarget, Imm64, Insn};
use program::{MapDef, MapId, Object, Program, ProgramId};
use raw::{Load, MapAttr};
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};

/// What the kernel says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It loads the program.
    Accepted,
    /// It refuses the program, with this log.
    Refused(String),
    /// It was not asked or could not judge, with the reason.
    NotJudged(String),
}

/// Entries of a map are cut to this: verdicts do not depend on them, memory does.
const MAX_ENTRIES: u32 = 1024;
/// Bytes of log; of a longer one the kernel keeps the end.
const LOG_BYTES: usize = 1 << 20;
/// `BPF_F_NO_PREALLOC`
const NO_PREALLOC: u32 = 1;
/// `BPF_F_RDONLY_PROG`
const READ_ONLY: u32 = 1 << 7;
/// Flags that a verdict may depend on, and that need nothing else: those two, `BPF_F_WRONLY_PROG`,
/// `BPF_F_INNER_MAP`.
const FLAGS: u32 = NO_PREALLOC | READ_ONLY | 1 << 8 | 1 << 12;
/// Where the kernel shows its type information.
const KERNEL_TYPES: &str = "/sys/kernel/btf/vmlinux";
/// `BPF_MAP_TYPE_USER_RINGBUF`, whose size is one of pages.
const USER_RING: u32 = 31;
/// Program types that are checked against the kernel's own types: tracing, struct_ops, ext, lsm.
const NEED_KERNEL_TYPES: [u32; 4] = [26, 27, 28, 29];

/// The maps of one object, created in the kernel.
pub struct Judge<'a> {
    object: &'a Object,
    maps: Vec<Result<OwnedFd, String>>,
    /// The kernel's type information, where an object calls its functions.
    types: Option<Vec<u8>>,
}

/// Can this process ask the kernel at all? The reason when it cannot.
///
/// # Errors
///
/// What the kernel says to a program that does nothing.
pub fn available() -> Result<(), String> {
    let insns = isa::asm::assemble("r0 = 0\nexit").map_err(|error| error.to_string())?;
    let bytes = isa::encode::program(&insns).map_err(|error| error.to_string())?;
    let load = Load {
        program_type: abi::program_type::linux::SOCKET_FILTER.number,
        attach_type: 0,
        insns: &bytes,
        functions: None,
    };
    raw::load_program(&load, &mut [])
        .map(drop)
        .map_err(|error| format!("bpf(2) is not usable here: {error}"))
}

/// The running kernel's version: `6.18`.
#[must_use]
pub fn version() -> Option<String> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").ok()?;
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some(format!("{}.{}", numbers.next()?, numbers.next()?))
}

impl<'a> Judge<'a> {
    /// Creates the maps of an object.
    #[must_use]
    pub fn new(object: &'a Object) -> Judge<'a> {
        let mut judge = Judge {
            object,
            maps: Vec::new(),
            types: (!object.btf_functions.is_empty())
                .then(|| std::fs::read(KERNEL_TYPES).ok())
                .flatten(),
        };
        for (index, map) in object.maps.iter().enumerate() {
            let made = judge.create(map).and_then(|fd| {
                judge.fill(index, &fd)?;
                Ok(fd)
            });
            judge
                .maps
                .push(made.map_err(|error| format!("map {}: {error}", map.name)));
        }
        judge
    }

    fn create(&self, map: &MapDef) -> io::Result<OwnedFd> {
        let mut attr = MapAttr {
            map_type: map.type_number,
            key_size: map.key_size,
            value_size: map.value_size,
            max_entries: if self.is_direct(map) { 1 } else { entries(map) },
            map_flags: map.flags & FLAGS,
            ..MapAttr::default()
        };
        if map.frozen {
            attr.map_flags |= READ_ONLY;
        }
        if map.kind == MapKind::LpmTrie {
            attr.map_flags |= NO_PREALLOC;
        }
        let inner = map.inner.and_then(|inner| self.object.map(inner));
        let inner = inner.map(|inner| self.create(inner)).transpose()?;
        if let Some(inner) = &inner {
            attr.inner_map_fd = inner.as_raw_fd() as u32;
        }
        let btf = (map.spin_lock.is_some() || map.timer.is_some())
            .then(|| raw::load_btf(&btf::bytes(Some(map))))
            .transpose()?;
        if let Some(btf) = &btf {
            attr.btf_fd = btf.as_raw_fd() as u32;
            attr.btf_key_type_id = btf::key_type(map);
            attr.btf_value_type_id = btf::TYPE_VALUE;
        }
        raw::create_map(attr)
    }

    /// Does a program address the map's value directly? The kernel wants one element then.
    fn is_direct(&self, map: &MapDef) -> bool {
        let names = |insn: &Insn| match insn {
            Insn::LoadImm64 {
                imm: Imm64::MapValue { fd, .. },
                ..
            } => usize::try_from(*fd).is_ok_and(|fd| {
                let named = self.object.maps.get(fd);
                named.is_some_and(|named| core::ptr::eq(named, map))
            }),
            _ => false,
        };
        let programs = self.object.programs.iter();
        map.kind == MapKind::Array && programs.flat_map(|p| &p.insns).any(names)
    }

    fn fill(&self, index: usize, fd: &OwnedFd) -> io::Result<()> {
        let mut sections = self.object.globals.iter();
        if let Some(section) = sections.find(|section| usize::from(section.map.0) == index) {
            raw::set_first(fd, &section.data)?;
        }
        let known = u16::try_from(index).ok().map(MapId);
        match known.and_then(|id| self.object.constants(id)) {
            Some(section) if section.assumed.is_empty() => raw::freeze(fd),
            _ => Ok(()),
        }
    }

    /// Judges one program of the object.
    #[must_use]
    pub fn judge(&self, id: ProgramId) -> Verdict {
        let Some(program) = self.object.programs.get(usize::from(id.0)) else {
            return Verdict::NotJudged("no such program".into());
        };
        match self.prepare(program) {
            Ok(bytes) => load(program, &bytes),
            Err(why) => Verdict::NotJudged(why),
        }
    }

    /// The program's slots with descriptors in place of map numbers.
    fn prepare(&self, program: &Program) -> Result<Vec<u8>, String> {
        if self.object.platform != Platform::Linux {
            return Err("not a program for Linux".into());
        }
        if NEED_KERNEL_TYPES.contains(&program.program_type.number) {
            return Err("the program type needs the kernel's types".into());
        }
        if self.object.kernel.is_some() {
            return Err("numbers the kernel's types in its own way".into());
        }
        let mut insns = program.insns.clone();
        for insn in &mut insns {
            match insn {
                Insn::LoadImm64 { imm, .. } => match imm {
                    Imm64::MapFd(fd) | Imm64::MapValue { fd, .. } => *fd = self.descriptor(*fd)?,
                    Imm64::Var(_) => return Err("uses a platform variable".into()),
                    _ => {}
                },
                Insn::Call(CallTarget::Btf(index)) => *index = self.function(*index)?,
                _ => {}
            }
        }
        isa::encode::program(&insns).map_err(|error| error.to_string())
    }

    /// The kernel's number of a function.
    fn function(&self, index: i32) -> Result<i32, String> {
        let functions = &self.object.btf_functions;
        let known = usize::try_from(index)
            .ok()
            .and_then(|index| functions.get(index));
        let name = known.map_or("", |function| &function.name);
        let id = self
            .types
            .as_deref()
            .and_then(|types| btf::kernel_function(types, name));
        let id = id.and_then(|id| i32::try_from(id).ok());
        id.ok_or_else(|| format!("the kernel has no function {name:?}"))
    }

    fn descriptor(&self, index: i32) -> Result<i32, String> {
        let index = u16::try_from(index).map_err(|_| "no such map".to_owned())?;
        match self.maps.get(usize::from(MapId(index).0)) {
            Some(Ok(fd)) => Ok(fd.as_raw_fd()),
            Some(Err(why)) => Err(why.clone()),
            None => Err("no such map".into()),
        }
    }
}

fn entries(map: &MapDef) -> u32 {
    let kind = match map.type_number {
        USER_RING => MapKind::RingBuf,
        _ => map.kind,
    };
    match kind {
        MapKind::RingBuf if map.max_entries >= 4096 && map.max_entries.is_power_of_two() => {
            map.max_entries.min(1 << 20)
        }
        MapKind::RingBuf => 4096,
        _ => map.max_entries.clamp(1, MAX_ENTRIES),
    }
}

fn load(program: &Program, bytes: &[u8]) -> Verdict {
    let functions: Vec<[u32; 2]> = program
        .functions
        .iter()
        .map(|function| [function.start.0, btf::TYPE_FUNCTION])
        .collect();
    // Callbacks and tail calls of subprograms are refused without type information.
    let types = match (functions.len() > 1).then(|| raw::load_btf(&btf::bytes(None))) {
        Some(Ok(types)) => Some(types),
        Some(Err(error)) => return Verdict::NotJudged(format!("type information: {error}")),
        None => None,
    };
    let load = Load {
        program_type: program.program_type.number,
        attach_type: program.attach_type.map_or(0, |attach| attach.number),
        insns: bytes,
        functions: types.as_ref().map(|types| (types, functions.as_slice())),
    };
    // The verdict is asked without a log: a log that does not fit is an error of its own.
    if raw::load_program(&load, &mut []).is_ok() {
        return Verdict::Accepted;
    }
    let mut log = vec![0; LOG_BYTES];
    match raw::load_program(&load, &mut log) {
        Ok(_) => Verdict::Accepted,
        Err(error) => refused(&error, &log),
    }
}

fn refused(error: &io::Error, log: &[u8]) -> Verdict {
    let end = log.iter().position(|byte| *byte == 0).unwrap_or(log.len());
    let log = String::from_utf8_lossy(&log[..end]).into_owned();
    if log.trim().is_empty() {
        return Verdict::NotJudged(format!("refused before it was verified: {error}"));
    }
    // What this crate says about functions and what the kernel finds can differ in dead code.
    if log.contains("func_info doesn't match") {
        return Verdict::NotJudged("the kernel sees other functions".into());
    }
    Verdict::Refused(log)
}

impl Verdict {
    /// The kernel's last words on the program.
    #[must_use]
    pub fn last_line(&self) -> &str {
        match self {
            Verdict::Accepted => "",
            Verdict::NotJudged(why) => why,
            Verdict::Refused(log) => log
                .lines()
                .rev()
                .find(|line| !is_statistics(line) && !is_state(line))
                .unwrap_or_default(),
        }
    }

    /// The last lines of its log, in order.
    #[must_use]
    pub fn tail(&self, lines: usize) -> Vec<&str> {
        let Verdict::Refused(log) = self else {
            return Vec::new();
        };
        let all: Vec<&str> = log.lines().filter(|line| !is_statistics(line)).collect();
        all[all.len().saturating_sub(lines)..].to_vec()
    }
}

/// The states that follow the words about an endless loop.
fn is_state(line: &str) -> bool {
    line.starts_with("cur state:") || line.starts_with("old state:")
}

fn is_statistics(line: &str) -> bool {
    line.starts_with("processed ") || line.starts_with("mark_precise") || line.trim().is_empty()
}
