//! Maps the sample driver, runs it, and reads the protections from the system.

#[path = "../../../../../image/tests/common/mod.rs"]
mod common;

use super::*;
use std::sync::atomic::AtomicU32;

static CALLS: AtomicU32 = AtomicU32::new(0);

extern "win64" fn imported() -> u64 {
    CALLS.fetch_add(1, Ordering::Relaxed);
    5
}

fn bytes() -> Vec<u8> {
    image::link(&common::module()).unwrap().into_bytes()
}

fn mapped(bytes: &[u8]) -> Result<Mapping, MapError> {
    Mapping::new(&Pe::parse(bytes).unwrap(), |_| {
        Some(imported as *const () as u64)
    })
}

fn call(address: u64) -> u64 {
    // SAFETY: the tests pass addresses of functions of the sample module, which take nothing.
    let function: extern "win64" fn() -> u64 = unsafe { std::mem::transmute(address) };
    function()
}

#[test]
fn the_sample_runs() {
    let bytes = bytes();
    let mapping = mapped(&bytes).unwrap();
    let pe = Pe::parse(&bytes).unwrap();
    let text = mapping.address(pe.section(".text").unwrap().rva).unwrap();
    // `work` calls an import and returns what the relocated pointer points at.
    let before = CALLS.load(Ordering::Relaxed);
    assert_eq!(call(text), 0x1122_3344_5566_7788);
    assert!(CALLS.load(Ordering::Relaxed) > before);
}

#[test]
fn relocated_pointers_are_right() {
    let bytes = bytes();
    let mapping = mapped(&bytes).unwrap();
    let pe = Pe::parse(&bytes).unwrap();
    let data = mapping.address(pe.section(".data").unwrap().rva).unwrap();
    assert_eq!(mapping.read_u64(data), Some(data + 8));
    assert_eq!(mapping.read_u64(data + 8), Some(0x1122_3344_5566_7788));
    let leaf = mapping.read_u64(data + 16).unwrap();
    assert_eq!(call(leaf), 7);
    let rdata = mapping.address(pe.section(".rdata").unwrap().rva).unwrap();
    assert_eq!(
        mapping.string(rdata, 64).as_deref(),
        Some("a string constant")
    );
    assert_eq!(mapping.string(rdata, 5), None);
}

/// The protections of the pages of a mapping as the system sees them.
fn system_view(mapping: &Mapping) -> Vec<(u64, String)> {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let (start, end) = (
        mapping.base() - 0x1000,
        mapping.base() + mapping.len_bytes() as u64 + 0x1000,
    );
    let mut pages = Vec::new();
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (Some(range), Some(bits)) = (words.next(), words.next()) else {
            continue;
        };
        let Some((from, to)) = range.split_once('-') else {
            continue;
        };
        let number = |text: &str| u64::from_str_radix(text, 16).unwrap();
        let (from, to) = (number(from).max(start), number(to).min(end));
        pages.extend(
            (from..to)
                .step_by(PAGE_BYTES)
                .map(|page| (page, bits.to_owned())),
        );
    }
    pages
}

fn expected(protection: Protection) -> &'static str {
    match protection {
        Protection::None => "---p",
        Protection::Read => "r--p",
        Protection::ReadWrite => "rw-p",
        Protection::ReadExecute => "r-xp",
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_system_protects_each_page() {
    let mut mapping = mapped(&bytes()).unwrap();
    for discarded in [false, true] {
        if discarded {
            mapping.discard().unwrap();
            assert_eq!(mapping.protection(mapping.entry()), Protection::None);
            assert_eq!(mapping.read(mapping.entry(), 1), None);
        }
        let pages = system_view(&mapping);
        assert_eq!(
            pages.len(),
            mapping.len_bytes() / PAGE_BYTES + 2,
            "with both guard pages"
        );
        for (page, bits) in pages {
            assert_eq!(bits, expected(mapping.protection(page)), "page {page:#x}");
        }
    }
}

#[test]
fn reads_stay_inside() {
    let mapping = mapped(&bytes()).unwrap();
    let end = mapping.base() + mapping.len_bytes() as u64;
    assert_eq!(mapping.read(mapping.base() - 1, 1), None);
    assert_eq!(mapping.read(end, 1), None);
    assert_eq!(mapping.read(end - 4, 8), None);
    assert_eq!(mapping.read(mapping.base(), usize::MAX), None);
    assert_eq!(mapping.read_u64(u64::MAX), None);
    assert_eq!(mapping.read(mapping.base(), 2).as_deref(), Some(&b"MZ"[..]));
}

#[test]
fn missing_imports_are_all_named() {
    let bytes = bytes();
    let error = Mapping::new(&Pe::parse(&bytes).unwrap(), |_| None).unwrap_err();
    let MapError::Imports(names) = &error else {
        panic!("{error}")
    };
    assert_eq!(names.len(), 3);
    assert!(error.to_string().contains("NETIO.SYS!NmrRegisterClient"));
}

#[test]
fn what_hvci_refuses_is_not_mapped() {
    let good = bytes();
    let pe = Pe::parse(&good).unwrap();
    let header = pe.headers.nt_offset as usize + 24 + 240;
    // Characteristics of the first section: writable code.
    let mut wx = good.clone();
    wx[header + 39] |= 0x80;
    let error = mapped(&wx).unwrap_err();
    assert!(
        matches!(
            error,
            MapError::Unsuitable {
                rule: "section-wx",
                ..
            }
        ),
        "{error}"
    );
    let mut other = good.clone();
    other[pe.headers.nt_offset as usize + 4] = 0x4C;
    assert!(matches!(mapped(&other).unwrap_err(), MapError::Machine(_)));
}

#[test]
fn damaged_images_are_refused_or_mapped_but_never_crash() {
    let good = bytes();
    let mut state = 1u64;
    for _ in 0..3000 {
        let mut broken = good.clone();
        for _ in 0..3 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let at = (state >> 33) as usize % broken.len();
            broken[at] = (state >> 25) as u8;
        }
        if let Ok(pe) = Pe::parse(&broken) {
            let _ = Mapping::new(&pe, |_| Some(imported as *const () as u64));
        }
    }
}
