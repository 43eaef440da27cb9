//! The images of this process, as its loader knows them.

use testkernel::images::Image;

/// Most images, and longest path in units.
const IMAGES: usize = 512;
const PATH_UNITS: usize = 1024;

/// `MODULEINFO`.
#[derive(Default)]
#[repr(C)]
struct ModuleInfo {
    base: u64,
    size: u32,
    entry: u64,
}

#[link(name = "kernel32.dll", kind = "raw-dylib", modifiers = "+verbatim")]
unsafe extern "system" {
    fn GetCurrentProcess() -> u64;
    fn K32EnumProcessModules(process: u64, modules: *mut u64, bytes: u32, needed: *mut u32) -> i32;
    fn K32GetModuleInformation(process: u64, module: u64, info: *mut ModuleInfo, bytes: u32)
    -> i32;
    fn GetModuleFileNameW(module: u64, path: *mut u16, units: u32) -> u32;
}

/// All of them, with names as the kernel writes them.
pub(crate) fn list() -> Vec<Image> {
    let (mut modules, mut needed) = ([0u64; IMAGES], 0);
    let bytes = size_of_val(&modules) as u32;
    // SAFETY: a live list of this length and a live variable.
    let listed = unsafe {
        let (process, place) = (GetCurrentProcess(), modules.as_mut_ptr());
        K32EnumProcessModules(process, place, bytes, &raw mut needed)
    };
    let count = if listed == 0 { 0 } else { needed as usize / 8 };
    modules
        .iter()
        .take(count)
        .filter_map(|module| image(*module))
        .collect()
}

fn image(module: u64) -> Option<Image> {
    let (mut info, mut path) = (ModuleInfo::default(), [0u16; PATH_UNITS]);
    // SAFETY: a module of this process, which may be gone by now: then both fail.
    let units = unsafe {
        let (process, bytes) = (GetCurrentProcess(), size_of::<ModuleInfo>() as u32);
        if K32GetModuleInformation(process, module, &raw mut info, bytes) == 0 {
            return None;
        }
        GetModuleFileNameW(module, path.as_mut_ptr(), PATH_UNITS as u32)
    };
    let path = String::from_utf16_lossy(&path[..units as usize]);
    Some(Image {
        base: info.base,
        size: info.size,
        name: format!(r"\??\{path}"),
    })
}
