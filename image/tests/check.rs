//! Every rule of the checker has a file that breaks it, and no bytes make it panic.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use image::check::{RULES, Verdict};
use image::read::Pe;
use image::{check, checksum};

/// A file to break, with the places that tests break.
struct Patch {
    bytes: Vec<u8>,
}

impl Patch {
    fn nt(&self) -> usize {
        Pe::parse(&self.bytes).unwrap().headers.nt_offset as usize
    }

    fn optional(&self, offset: usize) -> usize {
        self.nt() + 24 + offset
    }

    fn directory(&self, index: usize) -> usize {
        self.optional(112 + index * 8)
    }

    /// Offset of a field in the header of a section.
    fn header(&self, section: &str, field: usize) -> usize {
        let pe = Pe::parse(&self.bytes).unwrap();
        let index = pe
            .sections
            .iter()
            .position(|s| s.name() == section)
            .unwrap();
        self.optional(240 + index * 40 + field)
    }

    /// Offset of a byte of a section's data.
    fn data(&self, section: &str, offset: usize) -> usize {
        let pe = Pe::parse(&self.bytes).unwrap();
        pe.section(section).unwrap().raw_offset as usize + offset
    }

    /// File offset of an RVA.
    fn rva(&self, rva: u32) -> usize {
        let pe = Pe::parse(&self.bytes).unwrap();
        let section = pe.section_at(rva).unwrap();
        (rva - section.rva + section.raw_offset) as usize
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.bytes[at..at + 4].try_into().unwrap())
    }

    fn put(&mut self, at: usize, value: u32) {
        self.bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    fn or(&mut self, at: usize, bits: u32) {
        self.put(at, self.u32(at) | bits);
    }

    fn clear(&mut self, at: usize, bits: u32) {
        self.put(at, self.u32(at) & !bits);
    }

    fn section_rva(&self, section: &str) -> u32 {
        Pe::parse(&self.bytes)
            .unwrap()
            .section(section)
            .unwrap()
            .rva
    }
}

const SECTION_FLAGS: usize = 36;
const VIRTUAL_SIZE: usize = 8;
const RAW_SIZE: usize = 16;
const WRITE: u32 = 0x8000_0000;
const DISCARDABLE: u32 = 0x0200_0000;
const EXECUTE: u32 = 0x2000_0000;
/// DllCharacteristics shares its word with the subsystem.
const SUBSYSTEM: usize = 68;

struct Mutation {
    rule: &'static str,
    expected: Verdict,
    base: &'static str,
    apply: fn(&mut Patch),
}

macro_rules! mutations {
    ($($rule:literal $expected:ident $base:literal |$p:ident| $body:expr;)*) => {
        const MUTATIONS: &[Mutation] = &[$(Mutation {
            rule: $rule, expected: Verdict::$expected, base: $base,
            apply: |$p: &mut Patch| { $body; },
        },)*];
    };
}

#[rustfmt::skip] // one mutation, one row
mutations! {
    "machine" Fail "driver" |p| { let at = p.nt() + 4; p.put(at, 0x0007_014C) };
    "characteristics" Fail "driver" |p| { let at = p.nt() + 22; p.bytes[at] |= 1 };
    "characteristics" Fail "driver" |p| { let at = p.nt() + 22; p.bytes[at] &= !2 };
    "subsystem" Fail "driver" |p| { let at = p.optional(SUBSYSTEM); p.bytes[at] = 2 };
    "os-version" Fail "driver" |p| { let at = p.optional(48); p.bytes[at] = 11 };
    "nx-compat" Fail "driver" |p| { let at = p.optional(SUBSYSTEM); p.clear(at, 0x100 << 16) };
    "dynamic-base" Warn "driver" |p| { let at = p.optional(SUBSYSTEM); p.clear(at, 0x40 << 16) };
    "dynamic-base" Warn "driver" |p| { let at = p.optional(SUBSYSTEM); p.clear(at, 0x20 << 16) };
    "force-integrity" Warn "driver" |p| { let at = p.optional(SUBSYSTEM); p.clear(at, 0x80 << 16) };
    "headers-size" Fail "driver" |p| { let at = p.optional(60); p.put(at, 0x2000) };
    "image-size" Fail "driver" |p| { let at = p.optional(56); p.put(at, 0x1_0000) };
    "image-size" Fail "driver" |p| { let at = p.optional(56); p.put(at, 0x7FFF) };
    "section-alignment" Fail "driver" |p| { let at = p.optional(32); p.put(at, 0x200) };
    "section-addresses" Fail "driver" |p| { let at = p.header(".data", 12); p.or(at, 0x200) };
    "section-addresses" Fail "driver" |p| { let at = p.header(".text", VIRTUAL_SIZE); p.put(at, 0x1001) };
    "section-addresses" Warn "driver" |p| { let at = p.header(".reloc", 12); p.put(at, 0x9000) };
    "section-data" Fail "driver" |p| { let at = p.header(".reloc", RAW_SIZE); p.put(at, 0x2000) };
    "section-data" Fail "driver" |p| { let at = p.header(".data", RAW_SIZE); p.put(at, 0x1FF) };
    "section-data" Fail "driver" |p| { let at = p.header(".data", 20); p.put(at, 0x600) };
    "section-data" Fail "driver" |p| { let at = p.optional(36); p.put(at, 0x20) };
    "section-wx" Fail "driver" |p| { let at = p.header(".text", SECTION_FLAGS); p.or(at, WRITE) };
    "discardable-last" Warn "driver" |p| { let at = p.header(".data", SECTION_FLAGS); p.or(at, DISCARDABLE) };
    "entry-point" Fail "driver" |p| { let at = p.optional(16); p.put(at, 0x3000) };
    "entry-point" Fail "driver" |p| { let at = p.optional(16); p.put(at, 0) };
    "entry-point" Fail "driver" |p| { let at = p.optional(16); p.put(at, 0xFFFF_0000) };
    "iat-not-executable" Fail "driver" |p| { let at = p.header(".rdata", SECTION_FLAGS); p.or(at, EXECUTE) };
    "iat-not-executable" Fail "driver" |p| { let rva = p.section_rva(".text"); let at = p.directory(12); p.put(at, rva) };
    "reloc-kinds" Fail "driver" |p| { let at = p.data(".reloc", 8); p.bytes[at + 1] = 0x30 };
    "reloc-kinds" Fail "driver" |p| { let at = p.data(".reloc", 0); p.put(at, 0x0F00_0000) };
    "reloc-kinds" Fail "driver" |p| { let at = p.data(".reloc", 4); p.put(at, 7) };
    "reloc-kinds" Fail "driver" |p| { let at = p.data(".reloc", 8); p.bytes[at + 2] = 4 };
    "reloc-not-code" Warn "driver" |p| { let rva = p.section_rva(".text"); let at = p.data(".reloc", 0); p.put(at, rva) };
    "reloc-straddle" Warn "driver" |p| { let at = p.data(".reloc", 8); p.bytes[at] = 0xFC; p.bytes[at + 1] = 0xAF };
    "pdata-order" Fail "driver" |p| { let at = p.data(".pdata", 0); p.put(at, 0x6000) };
    "pdata-order" Fail "driver" |p| { let at = p.directory(3) + 4; p.put(at, 13) };
    "pdata-code" Fail "driver" |p| { let at = p.data(".pdata", 0); p.put(at, 0x500); p.put(at + 4, 0x600) };
    "unwind-info" Fail "driver" |p| { let at = p.rva(p.u32(p.data(".pdata", 8))); p.bytes[at] = 7 };
    "unwind-info" Fail "driver" |p| { let at = p.rva(p.u32(p.data(".pdata", 8))); p.bytes[at + 2] = 3; p.bytes[at + 6] = 9; p.bytes[at + 7] = 7 };
    "unwind-info" Fail "driver" |p| { let at = p.rva(p.u32(p.data(".pdata", 8))); p.bytes[at + 1] = 200 };
    "unwind-info" Fail "driver" |p| { let at = p.data(".pdata", 8); p.or(at, 2) };
    "unwind-info" Fail "driver" |p| { let at = p.data(".pdata", 8); p.put(at, 0xFFFF_FFF0) };
    "unwind-info" Fail "driver" |p| { let at = p.header(".rdata", SECTION_FLAGS); p.or(at, WRITE) };
    "unwind-info" Fail "driver" |p| { let at = p.header(".rdata", SECTION_FLAGS); p.or(at, DISCARDABLE) };
    // A chain that points at itself must end.
    "unwind-info" Fail "driver" |p| { let info = p.u32(p.data(".pdata", 8)); let at = p.rva(info);
        p.bytes[at..at + 4].copy_from_slice(&[0x21, 0, 0, 0]); p.put(at + 4, 0x1000); p.put(at + 8, 0x1019); p.put(at + 12, info); };
    "cfg-table" Fail "driver" |p| { let at = p.optional(SUBSYSTEM); p.or(at, 0x4000 << 16) };
    "cet-compat" Warn "driver" |p| { let at = p.rva(p.u32(p.directory(6))); p.put(at + 12, 2) };
    "cet-compat" Warn "driver" |p| { let at = p.u32(p.rva(p.u32(p.directory(6))) + 24) as usize; p.put(at, 0) };
    "cet-compat" Fail "driver" |p| { let at = p.directory(6) + 4; p.put(at, 57) };
    "imports-readable" Fail "driver" |p| { let at = p.rva(p.u32(p.directory(1))); p.put(at + 12, 0xFFFF_FF00) };
    "imports-readable" Fail "driver" |p| { let at = p.rva(p.u32(p.directory(1))); p.put(at, 0xFFFF_FFF8) };
    "imports-known" Warn "driver" |p| { let at = find(&p.bytes, b"DbgPrint"); p.bytes[at + 7] = b'x' };
    "imports-nx" Warn "driver" |p| { let at = find(&p.bytes, b"NmrRegisterClient"); p.bytes[at..at + 15].copy_from_slice(b"ExAllocatePool\0") };
    "checksum" Fail "driver" |p| { let at = checksum::field(&p.bytes).unwrap(); p.put(at, 0) };
    "no-tls" Fail "driver" |p| { let at = p.directory(9); p.put(at, 0x2000); p.put(at + 4, 40) };
    "no-bound-imports" Fail "driver" |p| { let at = p.directory(11); p.put(at, 0x2000); p.put(at + 4, 40) };
    "no-delay-imports" Fail "driver" |p| { let at = p.directory(13); p.put(at, 0x2000); p.put(at + 4, 40) };
    "no-clr" Fail "driver" |p| { let at = p.directory(14); p.put(at, 0x2000); p.put(at + 4, 72) };
    "reproducible" Warn "driver" |p| { let at = p.nt() + 8; p.put(at, 1) };
    "reproducible" NotApplicable "driver" |p| { let at = p.rva(p.u32(p.directory(6))); p.put(at + 28 + 12, 2) };
    "certificate-table" Fail "driver" |p| { let at = p.directory(4); p.put(at, 0x404); p.put(at + 4, 16) };
    "certificate-table" Fail "driver" |p| { let at = p.directory(4); p.put(at, 0x00FF_FFF8); p.put(at + 4, 16) };
    "certificate-table" Fail "driver" |p| { let (at, end) = (p.directory(4), p.bytes.len() as u32);
        p.bytes.extend([16, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]); p.put(at, end); p.put(at + 4, 16); };
    "native-metadata" Fail "native" |p| { let at = p.data("programs", 16); p.put(at, 120) };
    "native-strings" Fail "native" |p| { let data = 0x4000_0000 | p.section_rva(".data"); let at = p.data("programs", 56); p.put(at, data) };
    "native-guids" Fail "native" |p| { let rdata = 0x4000_0000 | p.section_rva(".rdata"); let at = p.data("programs", 104); p.put(at, rdata) };
    "native-program-count" Fail "native" |p| { let at = p.header("programs", VIRTUAL_SIZE); p.put(at, 3 * 144) };
    "native-order" Fail "native" |p| { let at = p.header(".rdata", 0); p.bytes[at + 1] = b'q' };
    "native-code-size" Fail "native" |p| { let at = p.header("xdp~1", VIRTUAL_SIZE); p.put(at, 0x201) };
}

fn find(bytes: &[u8], text: &[u8]) -> usize {
    bytes
        .windows(text.len())
        .position(|window| window == text)
        .unwrap()
}

fn sample(native: bool) -> Vec<u8> {
    let module = if native {
        common::native::module()
    } else {
        common::module()
    };
    image::link(&module).unwrap().into_bytes()
}

#[test]
fn each_mutation_breaks_its_rule() {
    for mutation in MUTATIONS {
        let mut patch = Patch {
            bytes: sample(mutation.base == "native"),
        };
        (mutation.apply)(&mut patch);
        if mutation.rule != "checksum" {
            checksum::update(&mut patch.bytes);
        }
        let report = check(&patch.bytes).unwrap();
        let row = report.row(mutation.rule).unwrap();
        assert_eq!(
            row.verdict, mutation.expected,
            "{}: {}",
            mutation.rule, row.detail
        );
        assert!(!row.detail.is_empty(), "{}", mutation.rule);
    }
}

#[test]
fn every_rule_has_a_mutation_and_its_own_id() {
    for (index, rule) in RULES.iter().enumerate() {
        assert!(
            MUTATIONS.iter().any(|mutation| mutation.rule == rule.id),
            "{}",
            rule.id
        );
        assert!(
            RULES[..index].iter().all(|other| other.id != rule.id),
            "{} twice",
            rule.id
        );
    }
}

#[test]
fn own_images_pass_everything() {
    for native in [false, true] {
        let report = check(&sample(native)).unwrap();
        for row in &report.rows {
            let good = matches!(row.verdict, Verdict::Pass | Verdict::NotApplicable);
            assert!(good, "{}: {}", row.rule.id, row.detail);
            assert!(!native || !row.rule.id.starts_with("native") || row.verdict == Verdict::Pass);
        }
    }
}

#[test]
fn what_is_no_image_is_named() {
    for (bytes, words) in [
        (&b""[..], "an empty file"),
        (b"\x7FELF", "an ELF object"),
        (b"MZ", "a truncated DOS header"),
        (
            b"hello, this is a text and not an image at all, but it is long enough",
            "something else",
        ),
    ] {
        let error = check(bytes).unwrap_err();
        assert_eq!(error.code().0, 420);
        assert!(error.to_string().contains(words), "{error}");
    }
}

/// Reads everything there is to read.
fn read_all(bytes: &[u8]) {
    let Ok(pe) = Pe::parse(bytes) else { return };
    let _ = image::check::check_image(&pe);
    let _ = (
        pe.version(),
        pe.certificates(),
        pe.load_config(),
        image::native::read(&pe),
    );
    for entry in pe.debug().unwrap_or_default() {
        let _ = pe.debug_data(&entry);
    }
}

fn next(state: &mut u64) -> usize {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) as usize
}

#[test]
fn no_bytes_make_it_panic() {
    let interesting = [
        0u32,
        1,
        0x7F,
        0xFFF,
        0x1000,
        0x7FFF_FFFF,
        0x8000_0000,
        0xFFFF_FFF8,
        u32::MAX,
    ];
    let mut state = 1;
    for native in [false, true] {
        let good = sample(native);
        for len in 0..good.len() {
            if len < 0x600 || len % 41 == 0 {
                read_all(&good[..len]);
            }
        }
        // Every byte of headers and tables, then many random places.
        for at in (0..good.len() - 4).filter(|at| *at < 0x500 || at % 4 == 0) {
            let mut broken = good.clone();
            let value = interesting[next(&mut state) % interesting.len()];
            broken[at..at + 4].copy_from_slice(&value.to_le_bytes());
            read_all(&broken);
        }
        for _ in 0..4000 {
            let mut broken = good.clone();
            for _ in 0..1 + next(&mut state) % 6 {
                let at = next(&mut state) % broken.len();
                broken[at] = next(&mut state) as u8;
            }
            read_all(&broken);
        }
    }
}
