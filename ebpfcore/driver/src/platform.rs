//! What the runtime needs of its host, from the kernel.

use crate::import as nt;
use crate::{level, request, reserve, sections};
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};
use ebpfcore::{Platform, RingMemory, Status};
use wdk::nt::DISPATCH_LEVEL;

/// The kernel.
pub(crate) struct Kernel;

/// All groups of processors.
const ALL_GROUPS: u16 = 0xffff;
/// Units of kernel time.
const NS: u64 = 100;
/// State of the random numbers.
static RANDOM: AtomicU64 = AtomicU64::new(0);

/// Writes a line to the debugger's output.
pub(crate) fn print(line: &[u8]) {
    /// `DPFLTR_IHVDRIVER_ID`, and a level that is shown by default.
    const COMPONENT: u32 = 77;
    const LEVEL: u32 = 0;
    let length = line.len().min(512) as u32;
    // SAFETY: the format reads a length and so many bytes.
    unsafe {
        nt::DbgPrintEx(
            COMPONENT,
            LEVEL,
            c"ebpfcore: %.*s\n".as_ptr(),
            length,
            line.as_ptr(),
        )
    };
}

/// As much of a line as fits.
struct Line {
    bytes: [u8; 256],
    length: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let places = self.bytes.iter_mut().skip(self.length);
        for (place, byte) in places.zip(text.bytes()) {
            *place = byte;
            self.length += 1;
        }
        Ok(())
    }
}

/// Writes a line that is put together on the stack, because memory may be short.
pub(crate) fn say(text: fmt::Arguments<'_>) {
    let mut line = Line {
        bytes: [0; 256],
        length: 0,
    };
    // Never fails: what does not fit is cut.
    let _ = line.write_fmt(text);
    print(&line.bytes[..line.length]);
}

/// The primary token of the calling process, while `action` looks at it; none at DISPATCH_LEVEL.
fn with_token<T>(action: impl FnOnce(u64) -> T) -> Option<T> {
    // SAFETY: no obligation.
    if unsafe { nt::KeGetCurrentIrql() } >= DISPATCH_LEVEL {
        return None;
    }
    // SAFETY: the current process exists; the reference is given back below.
    let token = unsafe { nt::PsReferencePrimaryToken(nt::PsGetCurrentProcess()) };
    if token == 0 {
        return None;
    }
    let result = action(token);
    // SAFETY: referenced above.
    unsafe { nt::PsDereferencePrimaryToken(token) };
    Some(result)
}

impl Platform for Kernel {
    fn cpu_count(&self) -> u32 {
        // SAFETY: no obligation.
        unsafe { nt::KeQueryMaximumProcessorCountEx(ALL_GROUPS) }
    }

    fn current_cpu(&self) -> u32 {
        // SAFETY: the argument may be null.
        unsafe { nt::KeGetCurrentProcessorNumberEx(0) }
    }

    fn raise_irql(&self) -> u8 {
        level::raise()
    }

    fn lower_irql(&self, level: u8) {
        level::lower(level);
    }

    fn relax(&self) {
        /// 50 microseconds from now.
        static SHORT: i64 = -500;
        // SAFETY: called at PASSIVE_LEVEL by the runtime's contract; a live number.
        unsafe { nt::KeDelayExecutionThread(0, 0, &raw const SHORT) };
    }

    fn ktime_ns(&self) -> u64 {
        let mut counter = 0;
        // SAFETY: a live variable.
        let time = unsafe { nt::KeQueryUnbiasedInterruptTimePrecise(&raw mut counter) };
        time.saturating_mul(NS)
    }

    fn boot_ns(&self) -> u64 {
        let mut counter = 0;
        // SAFETY: a live variable.
        let time = unsafe { nt::KeQueryInterruptTimePrecise(&raw mut counter) };
        time.saturating_mul(NS)
    }

    /// Time mixed into a sequence that all processors share.
    fn random_u32(&self) -> u32 {
        const ODD: u64 = 0xd134_2543_de82_ef95;
        let turn = RANDOM.fetch_add(ODD, Relaxed);
        // SAFETY: every x64 processor has it.
        let mixed = turn ^ unsafe { core::arch::x86_64::_rdtsc() }.wrapping_mul(ODD);
        let mixed = (mixed ^ (mixed >> 32)).wrapping_mul(ODD);
        ((mixed ^ (mixed >> 29)).wrapping_mul(ODD) >> 32) as u32
    }

    fn pid_tid(&self) -> (u32, u32) {
        // SAFETY: no obligation.
        unsafe {
            (
                nt::PsGetCurrentProcessId() as u32,
                nt::PsGetCurrentThreadId() as u32,
            )
        }
    }

    fn logon_id(&self) -> u64 {
        let id = with_token(|token| {
            let mut id = 0;
            // SAFETY: a referenced token and a live variable.
            match unsafe { nt::SeQueryAuthenticationIdToken(token, &raw mut id) } {
                0.. => id,
                _ => 0,
            }
        });
        id.unwrap_or(0)
    }

    fn is_admin(&self) -> i32 {
        // SAFETY: a referenced token.
        let answer = with_token(|token| unsafe { nt::SeTokenIsAdmin(token) });
        answer.map_or(-1, i32::from)
    }

    fn process_start_key(&self) -> u64 {
        // SAFETY: the current process.
        unsafe { nt::PsGetProcessCreateTimeQuadPart(nt::PsGetCurrentProcess()) as u64 }
    }

    fn thread_create_time(&self) -> i64 {
        // SAFETY: the current thread.
        unsafe { nt::PsGetThreadCreateTime(nt::PsGetCurrentThread()) }
    }

    fn reserve(&self, bytes: usize) -> bool {
        reserve::begin(bytes)
    }

    fn release(&self) {
        reserve::end();
    }

    fn take_ring(&self, bytes: u64) -> Result<Option<RingMemory>, Status> {
        sections::take(bytes).map(Some)
    }

    fn give_ring(&self, id: u64) {
        // SAFETY: from `take_ring`; the runtime gives it back once, when no program uses it.
        unsafe { sections::give(id) };
    }

    fn trace(&self, line: &[u8]) {
        print(line);
    }

    fn complete(&self, ticket: u64, reply: Result<&[u8], Status>) {
        request::finish(ticket, reply);
    }

    fn signal(&self, event: u64) {
        // SAFETY: a referenced event.
        unsafe { nt::KeSetEvent(event, 0, 0) };
    }

    fn forget_event(&self, event: u64) {
        // SAFETY: referenced by `Shell::event`, given up once.
        unsafe { nt::ObfDereferenceObject(event) };
    }
}
