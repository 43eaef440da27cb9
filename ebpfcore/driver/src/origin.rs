//! Where a module comes from: the file of its image, and the service that starts it.
//!
//! The system's list of images names the file of an address; its hash is what an authorisation is
//! compared with. The service is the one whose `ImagePath` means that file and whose
//! `Parameters\NpiModuleId` fits: the module's id, or none at all for an id made from a hash. All at
//! PASSIVE_LEVEL. Left out: services that name the file by a link or a short name (see
//! `ebpfcore::native::same_file`); their modules have no settings.

use crate::import as nt;
use crate::level::Passive;
use crate::text::{string, with_string};
use abi::Guid;
use abi::native::nmr::{MODULE_ID_VALUE, PARAMETERS_SUBKEY};
use alloc::vec::Vec;
use ebpfcore::control::Settings;
use ebpfcore::native::{Sha256, same_file};
use wdk::nt::{self as wdm, IoStatus, ObjectAttributes, UnicodeString};

/// Below it lie the keys of services.
const SERVICES: &str = r"\Registry\Machine\System\CurrentControlSet\Services";
/// Most services that are looked at.
const MOST_SERVICES: u32 = 16_384;
/// Bytes of a registry name or value that is read.
const VALUE_BYTES: usize = 4096;
/// Largest list of images.
const LIST_BYTES: usize = 4 << 20;
/// Bytes of a file that are read at once, and most that a driver file has.
const PIECE_BYTES: usize = 64 << 10;
const FILE_BYTES: usize = 256 << 20;

fn buffer(bytes: usize) -> Option<Vec<u8>> {
    let mut buffer = Vec::new();
    buffer.try_reserve_exact(bytes).ok()?;
    buffer.resize(bytes, 0);
    Some(buffer)
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// UTF-16 text up to its end or a zero.
fn units(bytes: &[u8]) -> Option<Vec<u16>> {
    let mut units = Vec::new();
    units.try_reserve_exact(bytes.len() / 2).ok()?;
    let all = bytes.as_chunks().0.iter();
    units.extend(
        all.map(|pair| u16::from_le_bytes(*pair))
            .take_while(|unit| *unit != 0),
    );
    Some(units)
}

/// A handle of the kernel, closed in the end.
struct Owned(u64);

impl Drop for Owned {
    fn drop(&mut self) {
        // SAFETY: this value owns the handle.
        unsafe { nt::ZwClose(self.0) };
    }
}

fn attributes(root: u64, name: *const UnicodeString) -> ObjectAttributes {
    ObjectAttributes {
        length: size_of::<ObjectAttributes>() as u32,
        root,
        name: name.expose_provenance() as u64,
        attributes: wdm::OBJ_CASE_INSENSITIVE | wdm::OBJ_KERNEL_HANDLE,
        ..ObjectAttributes::default()
    }
}

/// The name of the file of the image that begins at an address.
pub(crate) fn file_of(_: &Passive, base: u64) -> Option<Vec<u16>> {
    /// `SystemModuleInformation`: a count, then rows with the address at 16 and the name at 40.
    const MODULES: u32 = 11;
    const FIRST: usize = 8;
    const ROW: usize = 296;
    let mut needed = 0;
    // SAFETY: a live variable; nothing is written to a buffer of no bytes.
    unsafe { nt::ZwQuerySystemInformation(MODULES, core::ptr::null_mut(), 0, &raw mut needed) };
    // Some room for drivers that start meanwhile.
    let bytes = (needed as usize).checked_add(16 * ROW)?;
    let mut list = buffer(bytes.min(LIST_BYTES))?;
    let (place, length) = (list.as_mut_ptr().cast(), list.len() as u32);
    // SAFETY: a live buffer of this length.
    let status =
        unsafe { nt::ZwQuerySystemInformation(MODULES, place, length, core::ptr::null_mut()) };
    if status < 0 {
        return None;
    }
    let count = u32::from_le_bytes(number(&list, 0)?) as usize;
    let mut rows = list.get(FIRST..)?.chunks_exact(ROW).take(count);
    let row = rows.find(|row| number(row, 16).map(u64::from_le_bytes) == Some(base))?;
    wide(row.get(40..)?)
}

/// Text of the system's code page, up to a zero, as UTF-16.
fn wide(text: &[u8]) -> Option<Vec<u16>> {
    let text = text.split(|byte| *byte == 0).next()?;
    let mut bytes = buffer(text.len() * 2)?;
    let (mut written, room) = (0, bytes.len() as u32);
    let place = bytes.as_mut_ptr().cast();
    // SAFETY: a live buffer of this length, and text of that.
    let status = unsafe {
        let (variable, from) = (&raw mut written, text.as_ptr());
        nt::RtlMultiByteToUnicodeN(place, room, variable, from, text.len() as u32)
    };
    if status < 0 {
        return None;
    }
    units(bytes.get(..written as usize)?)
}

/// SHA-256 of a file.
pub(crate) fn hash(_: &Passive, name: &[u16]) -> Option<[u8; 32]> {
    let file = open(name)?;
    let mut piece = buffer(PIECE_BYTES)?;
    let (mut hash, mut length) = (Sha256::new(), 0usize);
    loop {
        let mut status = IoStatus::default();
        let (block, place) = (&raw mut status, piece.as_mut_ptr());
        // SAFETY: an open file, live variables and a buffer of this length; the file is read in
        // order and the call waits.
        let read = unsafe {
            nt::ZwReadFile(
                file.0,
                0,
                0,
                0,
                block,
                place,
                PIECE_BYTES as u32,
                core::ptr::null(),
                0,
            )
        };
        let bytes = match read {
            wdm::STATUS_END_OF_FILE => 0,
            0 => status.information as usize,
            _ => return None,
        };
        if bytes == 0 {
            return (length != 0).then(|| hash.finish());
        }
        hash.update(piece.get(..bytes)?);
        length += bytes;
        if length > FILE_BYTES {
            return None;
        }
    }
}

/// Opens a file to read it from the beginning.
fn open(name: &[u16]) -> Option<Owned> {
    /// `GENERIC_READ`, `SYNCHRONIZE`.
    const ACCESS: u32 = 0x8010_0000;
    /// Others may read it, and rename or delete it as far as running drivers can be.
    const SHARE: u32 = 5;
    const FILE_OPEN: u32 = 1;
    /// Synchronous without alerts; no folder.
    const OPTIONS: u32 = 0x60;
    let name = string(name);
    let attributes = attributes(0, &raw const name);
    let (mut handle, mut status) = (0, IoStatus::default());
    let (variable, block) = (&raw mut handle, &raw mut status);
    let attributes = &raw const attributes;
    // SAFETY: live structures.
    let opened = unsafe {
        nt::ZwCreateFile(
            variable, ACCESS, attributes, block, 0, 0, SHARE, FILE_OPEN, OPTIONS, 0, 0,
        )
    };
    (opened >= 0).then_some(Owned(handle))
}

/// An open registry key.
struct Key(Owned);

impl Key {
    fn open(root: u64, name: *const UnicodeString) -> Option<Key> {
        const KEY_READ: u32 = 0x0002_0019;
        let attributes = attributes(root, name);
        let mut handle = 0;
        // SAFETY: live structures; the name outlives the call.
        let opened = unsafe { nt::ZwOpenKey(&raw mut handle, KEY_READ, &raw const attributes) };
        (opened >= 0).then_some(Key(Owned(handle)))
    }

    fn below(&self, name: &str) -> Option<Key> {
        with_string(name, |name| Key::open(self.0.0, name))
    }

    /// Type and bytes of a value.
    fn value(&self, name: &str) -> Option<(u32, Vec<u8>)> {
        /// `KeyValuePartialInformation`: type at 4, length at 8, then the bytes.
        const PARTIAL: u32 = 2;
        const FIXED: usize = 12;
        let mut bytes = buffer(VALUE_BYTES)?;
        let mut needed = 0;
        let place = bytes.as_mut_ptr();
        // SAFETY: an open key, a live name, buffer and variable.
        let status = with_string(name, |name| unsafe {
            let needed = &raw mut needed;
            nt::ZwQueryValueKey(self.0.0, name, PARTIAL, place, VALUE_BYTES as u32, needed)
        });
        if status < 0 {
            return None;
        }
        let kind = u32::from_le_bytes(number(&bytes, 4)?);
        let length = u32::from_le_bytes(number(&bytes, 8)?) as usize;
        bytes.drain(..FIXED);
        bytes.truncate(length);
        Some((kind, bytes))
    }

    /// The key below with this index.
    fn nth(&self, index: u32) -> Option<Key> {
        /// `KeyBasicInformation`: length of the name at 12, then the name.
        const BASIC: u32 = 0;
        const NAME: usize = 16;
        let mut bytes = buffer(VALUE_BYTES)?;
        let (mut needed, place) = (0, bytes.as_mut_ptr());
        // SAFETY: an open key, a live buffer and variable.
        let status = unsafe {
            let needed = &raw mut needed;
            nt::ZwEnumerateKey(self.0.0, index, BASIC, place, VALUE_BYTES as u32, needed)
        };
        if status < 0 {
            return None;
        }
        let length = u32::from_le_bytes(number(&bytes, 12)?) as usize;
        let units = units(bytes.get(NAME..NAME.checked_add(length)?)?)?;
        let name = string(&units);
        Key::open(self.0.0, &raw const name)
    }
}

/// The numbers below `Parameters` of a module's service.
pub(crate) struct Service {
    parameters: Option<Key>,
}

impl Service {
    /// The service of a module; one without settings when it is not found.
    pub(crate) fn of(_: &Passive, file: &[u16], id: Guid) -> Service {
        let none = Service { parameters: None };
        let Some(services) = with_string(SERVICES, |name| Key::open(0, name)) else {
            return none;
        };
        for index in 0..MOST_SERVICES {
            let Some(key) = services.nth(index) else {
                break;
            };
            let parameters = key.below(PARAMETERS_SUBKEY);
            if is_file(&key, file) && fits(parameters.as_ref(), id) {
                return Service { parameters };
            }
        }
        none
    }
}

fn is_file(service: &Key, file: &[u16]) -> bool {
    let path = service
        .value("ImagePath")
        .and_then(|(_, bytes)| units(&bytes));
    path.is_some_and(|path| same_file(file, &path))
}

/// Whether a service starts its driver with an id.
fn fits(parameters: Option<&Key>, id: Guid) -> bool {
    match parameters.and_then(|key| key.value(MODULE_ID_VALUE)) {
        Some((_, own)) => own == id.to_bytes(),
        None => abi::native::is_module_id_of_hash(id),
    }
}

impl Settings for Service {
    fn number(&self, name: &str) -> Option<u32> {
        const REG_DWORD: u32 = 4;
        let (kind, bytes) = self.parameters.as_ref()?.value(name)?;
        let bytes = <[u8; 4]>::try_from(bytes).ok()?;
        (kind == REG_DWORD).then(|| u32::from_le_bytes(bytes))
    }
}
