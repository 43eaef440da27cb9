//! bpf(2), one command per function.
//!
//! The attribute structures are those of the kernel's public interface (`bpf(2)`, `linux/bpf.h`),
//! cut off after the last field used here: the kernel takes what is missing as zero.

#![expect(
    unsafe_code,
    reason = "the system call takes addresses of the attribute and of the buffers that it names"
)]

use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

const MAP_CREATE: i64 = 0;
const MAP_UPDATE_ELEM: i64 = 2;
const PROG_LOAD: i64 = 5;
const BTF_LOAD: i64 = 18;
const MAP_FREEZE: i64 = 22;

/// `BPF_MAP_CREATE`
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(super) struct MapAttr {
    pub(super) map_type: u32,
    pub(super) key_size: u32,
    pub(super) value_size: u32,
    pub(super) max_entries: u32,
    pub(super) map_flags: u32,
    pub(super) inner_map_fd: u32,
    pub(super) numa_node: u32,
    pub(super) map_name: [u8; 16],
    pub(super) map_ifindex: u32,
    pub(super) btf_fd: u32,
    pub(super) btf_key_type_id: u32,
    pub(super) btf_value_type_id: u32,
}

#[repr(C)]
#[derive(Default)]
struct ElementAttr {
    map_fd: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
#[derive(Default)]
struct ProgramAttr {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
    prog_btf_fd: u32,
    func_info_rec_size: u32,
    func_info: u64,
    func_info_cnt: u32,
    padding: u32,
}

#[repr(C)]
#[derive(Default)]
struct BtfAttr {
    btf: u64,
    log_buf: u64,
    btf_size: u32,
    padding: u32,
}

/// What a program is loaded with.
pub(super) struct Load<'a> {
    pub(super) program_type: u32,
    pub(super) attach_type: u32,
    /// Slots of 8 bytes.
    pub(super) insns: &'a [u8],
    /// With functions: type information and one record of two words for each of them.
    pub(super) functions: Option<(&'a OwnedFd, &'a [[u32; 2]])>,
}

fn bpf<T>(command: i64, attr: &mut T) -> io::Result<i32> {
    // SAFETY: `attr` is a structure of the command, as long as is said; each address in it is 0 or
    // that of a buffer which the caller borrows for the duration of the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attr, size_of::<T>()) };
    i32::try_from(result)
        .ok()
        .filter(|result| *result >= 0)
        .ok_or_else(io::Error::last_os_error)
}

fn descriptor<T>(command: i64, attr: &mut T) -> io::Result<OwnedFd> {
    let fd = bpf(command, attr)?;
    // SAFETY: the command returned a new descriptor that nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn address<T>(buffer: &[T]) -> u64 {
    buffer.as_ptr().addr() as u64
}

fn count(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// Creates a map.
pub(super) fn create_map(mut attr: MapAttr) -> io::Result<OwnedFd> {
    descriptor(MAP_CREATE, &mut attr)
}

/// Sets element 0 of an array.
pub(super) fn set_first(map: &OwnedFd, value: &[u8]) -> io::Result<()> {
    let key = [0u32];
    let mut attr = ElementAttr {
        map_fd: map.as_raw_fd() as u32,
        key: address(&key),
        value: address(value),
        ..ElementAttr::default()
    };
    bpf(MAP_UPDATE_ELEM, &mut attr).map(drop)
}

/// From now on user mode cannot change the map.
pub(super) fn freeze(map: &OwnedFd) -> io::Result<()> {
    bpf(MAP_FREEZE, &mut [map.as_raw_fd() as u32]).map(drop)
}

/// Loads type information.
pub(super) fn load_btf(bytes: &[u8]) -> io::Result<OwnedFd> {
    let mut attr = BtfAttr {
        btf: address(bytes),
        btf_size: count(bytes.len()),
        ..BtfAttr::default()
    };
    descriptor(BTF_LOAD, &mut attr)
}

/// Loads a program; the log goes to `log` unless that is empty.
pub(super) fn load_program(load: &Load<'_>, log: &mut [u8]) -> io::Result<OwnedFd> {
    let license = b"GPL\0";
    let mut attr = ProgramAttr {
        prog_type: load.program_type,
        insn_cnt: count(load.insns.len() / 8),
        insns: address(load.insns),
        license: address(license),
        expected_attach_type: load.attach_type,
        ..ProgramAttr::default()
    };
    if let Some((btf, functions)) = load.functions {
        attr.prog_btf_fd = btf.as_raw_fd() as u32;
        attr.func_info_rec_size = 8;
        attr.func_info = address(functions);
        attr.func_info_cnt = count(functions.len());
    }
    if !log.is_empty() {
        attr.log_level = 1;
        attr.log_size = count(log.len());
        attr.log_buf = log.as_mut_ptr().addr() as u64;
    }
    descriptor(PROG_LOAD, &mut attr)
}
