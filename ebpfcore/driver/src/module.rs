//! The provider that native modules attach to, and their images in memory.
//!
//! A module's image is known by its headers: the kernel tells where the image of an address begins,
//! and its sections say what may be read and what is code. Sections that the loader throws away
//! after the start are not looked at. The file of the image and the service behind it are found by
//! [`crate::origin`].

use crate::import as nt;
use crate::level::Passive;
use crate::origin::{self, Service};
use crate::platform::say;
use crate::runtime;
use crate::status::check;
use abi::native::nmr::{
    Characteristics, MODULE_ID_EBPFCORE, ModuleId, NPI_NATIVE_MODULE, RegistrationInstance,
};
use core::sync::atomic::{AtomicU64, Ordering};
use ebpfcore::control::{Arrival, Detached};
use ebpfcore::native::ModuleMemory;
use wdk::nt as wdm;

static PROVIDER: AtomicU64 = AtomicU64::new(0);
static NPI: abi::Guid = NPI_NATIVE_MODULE;
static MODULE: ModuleId = ModuleId::new(MODULE_ID_EBPFCORE);

/// Registers the provider; modules that wait for it attach at once.
pub(crate) fn start(_: &Passive) -> Result<(), i32> {
    let instance = RegistrationInstance {
        size: size_of::<RegistrationInstance>() as u16,
        npi_id: (&raw const NPI).expose_provenance() as u64,
        module_id: (&raw const MODULE).expose_provenance() as u64,
        ..RegistrationInstance::default()
    };
    let characteristics = Characteristics {
        length: size_of::<Characteristics>() as u16,
        attach: (attach as *const ()).expose_provenance() as u64,
        detach: (detach as *const ()).expose_provenance() as u64,
        cleanup: (cleanup as *const ()).expose_provenance() as u64,
        instance,
        ..Characteristics::default()
    };
    let mut handle = 0;
    // SAFETY: the registrar copies what it needs except the ids, which are static.
    check(unsafe { nt::NmrRegisterProvider(&raw const characteristics, 0, &raw mut handle) })?;
    PROVIDER.store(handle, Ordering::Release);
    Ok(())
}

/// Takes the provider back and waits until no module is attached.
pub(crate) fn stop(_: &Passive) {
    let handle = PROVIDER.swap(0, Ordering::AcqRel);
    // SAFETY: from `start`; given up once; PASSIVE_LEVEL.
    unsafe {
        if nt::NmrDeregisterProvider(handle) == wdm::STATUS_PENDING {
            nt::NmrWaitForProviderDeregisterComplete(handle);
        }
    }
}

/// `ProviderAttachClient`.
///
/// # Safety
/// 1. Called by the registrar: addresses of the client's structures and of two variables.
unsafe extern "system" fn attach(
    binding: u64,
    _context: u64,
    client: *const RegistrationInstance,
    _client_context: u64,
    table: u64,
    own_context: *mut u64,
    own_dispatch: *mut u64,
) -> i32 {
    let (Some(control), Some(image)) = (runtime::control(), Image::of(table)) else {
        return wdm::STATUS_INVALID_PARAMETER;
    };
    // SAFETY: obligation 1.
    let module_id = unsafe { (*client).module_id } as usize;
    if module_id == 0 {
        return wdm::STATUS_INVALID_PARAMETER;
    }
    // SAFETY: obligation 1.
    let module_id = unsafe { *core::ptr::with_exposed_provenance::<ModuleId>(module_id) };
    // SAFETY: the registrar attaches at PASSIVE_LEVEL.
    let passive = unsafe { Passive::assume() };
    let file = origin::file_of(&passive, image.base).unwrap_or_default();
    let arrival = Arrival {
        binding,
        module_id: module_id.guid,
        table,
        memory: &image,
        file_hash: origin::hash(&passive, &file),
        settings: &Service::of(&passive, &file, module_id.guid),
    };
    // SAFETY: the image of a driver that the system loaded; it stays until detaching completes.
    if let Err(error) = unsafe { control.attach_module(&arrival) } {
        say(format_args!("a module is refused: {error}"));
        return wdm::STATUS_INVALID_PARAMETER;
    }
    // SAFETY: obligation 1.
    unsafe {
        *own_context = binding;
        *own_dispatch = 0;
    }
    wdm::STATUS_SUCCESS
}

/// `ProviderDetachClient`; the context is the binding.
extern "system" fn detach(binding: u64) -> i32 {
    let control = runtime::control();
    match control.map_or(Detached::Now, |control| control.detach_module(binding)) {
        Detached::Now => wdm::STATUS_SUCCESS,
        Detached::Later => wdm::STATUS_PENDING,
    }
}

/// `ProviderCleanupBindingContext`: the context is a number, so there is nothing to free.
extern "system" fn cleanup(_binding: u64) {}

/// A section of an image.
#[derive(Clone, Copy)]
struct Section {
    start: u64,
    bytes: u64,
    flags: u32,
}

/// Sections that an image may have for a module; more is not one.
const SECTIONS: usize = 96;
const EXECUTE: u32 = 0x2000_0000;
const READ: u32 = 0x4000_0000;
const DISCARDABLE: u32 = 0x0200_0000;

/// The image of a driver.
pub(crate) struct Image {
    base: u64,
    sections: [Section; SECTIONS],
    count: usize,
}

/// Reads a number of the headers, which are mapped with the image.
///
/// # Safety
/// 1. The address lies in the headers of a loaded image.
unsafe fn header<T: Copy>(address: u64) -> T {
    // SAFETY: obligation 1.
    unsafe { core::ptr::with_exposed_provenance::<T>(address as usize).read_unaligned() }
}

impl Image {
    /// The image that an address lies in.
    pub(crate) fn of(address: u64) -> Option<Image> {
        const PE: u64 = 0x3c;
        const SECTION_COUNT: u64 = 6;
        const OPTIONAL_BYTES: u64 = 20;
        const OPTIONAL: u64 = 24;
        const SECTION_BYTES: u64 = 40;
        let mut base = 0;
        // SAFETY: a live variable; any address may be asked for.
        if unsafe { nt::RtlPcToFileHeader(address, &raw mut base) } == 0 || base == 0 {
            return None;
        }
        let mut image = Image {
            base,
            sections: [Section {
                start: 0,
                bytes: 0,
                flags: 0,
            }; SECTIONS],
            count: 0,
        };
        // SAFETY: the headers of an image that the system has loaded and checked.
        unsafe {
            let headers = base + u64::from(header::<u32>(base + PE));
            let count = usize::from(header::<u16>(headers + SECTION_COUNT));
            let table = headers + OPTIONAL + u64::from(header::<u16>(headers + OPTIONAL_BYTES));
            if count > SECTIONS {
                return None;
            }
            for (index, section) in (0..).zip(&mut image.sections[..count]) {
                let row = table + index * SECTION_BYTES;
                *section = Section {
                    start: base + u64::from(header::<u32>(row + 12)),
                    bytes: u64::from(header::<u32>(row + 8)),
                    flags: header(row + 36),
                };
            }
            image.count = count;
        }
        Some(image)
    }

    /// The flags of the section in which bytes lie.
    fn flags(&self, address: u64, bytes: u64) -> Option<u32> {
        let inside = |section: &&Section| {
            let offset = address.checked_sub(section.start);
            let end = offset.and_then(|offset| offset.checked_add(bytes));
            end.is_some_and(|end| end <= section.bytes) && section.flags & DISCARDABLE == 0
        };
        let section = self.sections[..self.count].iter().find(inside)?;
        Some(section.flags)
    }
}

impl ModuleMemory for Image {
    fn read(&self, address: u64, out: &mut [u8]) -> bool {
        let flags = self.flags(address, out.len() as u64);
        if flags.is_none_or(|flags| flags & READ == 0) {
            return false;
        }
        let from = core::ptr::with_exposed_provenance::<u8>(address as usize);
        // SAFETY: inside a section of the image that is mapped, readable and not thrown away.
        unsafe { core::ptr::copy_nonoverlapping(from, out.as_mut_ptr(), out.len()) };
        true
    }

    fn is_code(&self, address: u64) -> bool {
        let flags = self.flags(address, 1);
        flags.is_some_and(|flags| flags & EXECUTE != 0)
    }
}
