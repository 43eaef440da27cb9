//! Helpers of the conformance suite, and running its programs.
#![expect(unsafe_code, reason = "runs programs and receives addresses from them")]

use crate::raw::memory::Memory;
use abi::ArgKind::{Anything, ConstSizeOrZero, WritableMem};
use abi::{Helper, ProgramType, ReturnKind::Integer};
use ebpfcore::helper::Extensions;
use ebpfcore::interpreter::{Callee, Region, RegionKind, Trap};
use ebpfcore::raw::context::Extra;
use ebpfcore::raw::helpers::HelperFn;
use ebpfcore::raw::{read_bytes, write_bytes};
use ebpfcore::{CONTEXT_HEADER_BYTES, Core, Program};

/// Operations that an interpreted program may spend on loops.
const BUDGET: u64 = 100_000_000;
/// Longest string compared.
const STRING_BYTES: u64 = 1 << 20;

/// The helpers with what the interpreter checks of their arguments.
#[rustfmt::skip] // one row, one line
static HELPERS: &[(Helper, HelperFn)] = &[
    (Helper::new(0, "gather_bytes", Integer, &[Anything, Anything, Anything, Anything, Anything]), gather_bytes),
    (Helper::new(1, "memfrob", Integer, &[WritableMem, ConstSizeOrZero]), memfrob),
    (Helper::new(2, "zero", Integer, &[]), zero),
    (Helper::new(3, "sqrti", Integer, &[Anything]), sqrti),
    (Helper::new(4, "strcmp", Integer, &[Anything, Anything]), strcmp),
    (Helper::new(5, "unwind", Integer, &[Anything]), unwind),
];
/// The helper that ends the program when its result is 0.
const UNWIND: u32 = 5;

/// The suite's helpers and no others.
pub(crate) struct SuiteExtensions;

impl Extensions for SuiteExtensions {
    fn helper(&self, _: &'static ProgramType, _: &Helper) -> Option<HelperFn> {
        None
    }

    fn by_number(&self, _: &'static ProgramType, id: u32) -> Option<Callee> {
        let (helper, function) = HELPERS.iter().find(|(helper, _)| helper.id == id)?;
        Some(Callee {
            function: *function,
            helper: Some(helper),
            tail_call: id == UNWIND,
        })
    }
}

/// Runs a program on the bytes behind the header in a memory.
pub(crate) fn invoke(
    core: &Core,
    program: &Program,
    memory: &mut Memory,
    len: usize,
) -> Result<u64, Trap> {
    let start = memory.address(CONTEXT_HEADER_BYTES);
    let region = Region {
        start,
        size: len as u64,
        kind: RegionKind::ReadWrite,
    };
    let extra = Extra {
        r2: len as u64,
        regions: &[region],
        budget: BUDGET,
    };
    // SAFETY: the header is in front of the bytes, the region is the bytes, and the memory is
    // borrowed meanwhile. That native code does what it should is the caller's wish: suites are
    // run without a proof.
    unsafe { core.enter().invoke_with(program, start, extra) }
}

/// The calling convention between programs and the runtime.
macro_rules! helpers {
    ($($(#[$meta:meta])* fn $name:ident($($arg:ident),*) $body:block)*) => {
        $(
            $(#[$meta])*
            #[cfg(target_arch = "x86_64")]
            unsafe extern "win64" fn $name($($arg: u64),*) -> u64 $body
            $(#[$meta])*
            #[cfg(not(target_arch = "x86_64"))]
            unsafe extern "C" fn $name($($arg: u64),*) -> u64 $body
        )*
    };
}

helpers! {
    fn gather_bytes(a, b, c, d, e, _context) {
        [a, b, c, d, e].into_iter().fold(0, |all, byte| (all << 8) | (byte & 0xff))
    }

    fn memfrob(start, len, _c, _d, _e, _context) {
        let mut bytes = vec![0; len as u32 as usize];
        // SAFETY: checked memory of the interpreter; a wish of native code.
        unsafe { read_bytes(start, &mut bytes) };
        bytes.iter_mut().for_each(|byte| *byte ^= 42);
        // SAFETY: as above.
        unsafe { write_bytes(start, &bytes) };
        start
    }

    fn zero(_a, _b, _c, _d, _e, _context) { 0 }

    fn sqrti(number, _b, _c, _d, _e, _context) { number.isqrt() }

    /// Difference of the first different bytes, as `int`.
    fn strcmp(a, b, _c, _d, _e, _context) {
        let byte = |address: u64| {
            let mut byte = [0];
            // SAFETY: terminated strings, as the suite passes them.
            unsafe { read_bytes(address, &mut byte) };
            byte[0]
        };
        for at in 0..STRING_BYTES {
            let (x, y) = (byte(a + at), byte(b + at));
            if x != y || x == 0 {
                return (i64::from(x) - i64::from(y)) as u64;
            }
        }
        0
    }

    fn unwind(result, _b, _c, _d, _e, _context) { result }
}
