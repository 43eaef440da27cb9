//! Helpers that program types bring along, with plausible values that are the same in every run.
//!
//! They find the host's state by an address in the header in front of the context
//! ([`crate::input::HOST_WORD`]). Helpers that would need a network stack (redirecting to sockets,
//! routes, encapsulation) are left out: programs that call them are refused by name.
#![expect(unsafe_code, reason = "receives addresses from programs")]

use super::packet;
use crate::input::HOST_WORD;
use abi::{Helper, Platform, ProgramType};
use ebpfcore::CONTEXT_HEADER_BYTES;
use ebpfcore::helper::Extensions;
use ebpfcore::raw::helpers::HelperFn;
use ebpfcore::raw::{read_bytes, write_bytes};
use std::sync::Mutex;

/// What helpers of program types left behind.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Redirect contexts, in order.
    pub(crate) redirects: Mutex<Vec<Vec<u8>>>,
    /// Events pushed to user mode.
    pub(crate) events: Mutex<Vec<Vec<u8>>>,
}

/// The calling convention between programs and the runtime.
macro_rules! helpers {
    ($($(#[$meta:meta])* fn $name:ident($($arg:ident),*) $body:block)*) => {
        $(
            $(#[$meta])*
            #[cfg(target_arch = "x86_64")]
            pub(super) unsafe extern "win64" fn $name($($arg: u64),*) -> u64 $body
            $(#[$meta])*
            #[cfg(not(target_arch = "x86_64"))]
            pub(super) unsafe extern "C" fn $name($($arg: u64),*) -> u64 $body
        )*
    };
}

pub(super) use helpers;

/// Linux helpers over `__sk_buff`, for each of its program types.
macro_rules! packet_helpers {
    ($($program_type:literal)*) => {
        &[$(
            (Platform::Linux, $program_type, "bpf_skb_load_bytes", packet::load_bytes),
            (Platform::Linux, $program_type, "bpf_skb_store_bytes", packet::store_bytes),
            (Platform::Linux, $program_type, "bpf_l3_csum_replace", packet::l3_csum_replace),
            (Platform::Linux, $program_type, "bpf_l4_csum_replace", packet::l4_csum_replace),
        )*]
    };
}

/// Functions by program type and name, beside [`FUNCTIONS`].
static PACKET_FUNCTIONS: &[Row] = packet_helpers!("socket_filter" "sched_cls" "sched_act");

/// A function of a platform's program type, by the helper's name.
type Row = (Platform, &'static str, &'static str, HelperFn);

/// Functions by program type and name.
#[rustfmt::skip] // one row, one line
static FUNCTIONS: &[Row] = &[
    (Platform::Windows, "xdp", "bpf_xdp_adjust_head", failing),
    (Platform::Windows, "sock_addr", "bpf_get_socket_cookie", socket_cookie),
    (Platform::Windows, "sock_addr", "bpf_sock_addr_set_redirect_context", set_redirect_context),
    (Platform::Windows, "sock_addr", "bpf_sock_addr_get_network_context", network_context),
    (Platform::Windows, "sockops", "bpf_sock_ops_get_flow_id", flow_id),
    (Platform::Windows, "netevent_monitor", "bpf_netevent_push_event", push_event),
    (Platform::Windows, "process", "bpf_process_get_image_path", image_path),
    (Platform::Windows, "process", "bpf_process_get_account_name", account_name),
    (Platform::Windows, "process", "bpf_process_get_account_domain", account_domain),
    (Platform::Windows, "sample", "sample_ebpf_extension_helper_function1", zero),
    (Platform::Windows, "sample", "sample_ebpf_extension_find", find),
    (Platform::Windows, "sample", "sample_ebpf_extension_helper_implicit_1", sample_word_1),
    (Platform::Windows, "sample", "sample_ebpf_extension_helper_implicit_2", sample_word_2),
    (Platform::Linux, "xdp", "bpf_xdp_adjust_head", failing),
    (Platform::Linux, "xdp", "bpf_xdp_adjust_tail", failing),
    (Platform::Linux, "xdp", "bpf_xdp_adjust_meta", failing),
    (Platform::Linux, "xdp", "bpf_redirect", xdp_redirect),
    (Platform::Linux, "sched_cls", "bpf_redirect", tc_redirect),
    (Platform::Linux, "sched_act", "bpf_redirect", tc_redirect),
];

/// All of them.
pub(crate) struct HostExtensions;

impl Extensions for HostExtensions {
    fn helper(&self, program_type: &'static ProgramType, helper: &Helper) -> Option<HelperFn> {
        let fits = |row: &&Row| {
            row.0 == program_type.platform && row.1 == program_type.name && row.2 == helper.name
        };
        let mut rows = FUNCTIONS.iter().chain(PACKET_FUNCTIONS);
        rows.find(fits).map(|row| row.3)
    }
}

/// Safety: `context` is that of a running program on a slot of this crate.
unsafe fn state<'a>(context: u64) -> Option<&'a State> {
    let at = context - CONTEXT_HEADER_BYTES as u64 + HOST_WORD as u64 * 8;
    let mut word = [0; 8];
    // SAFETY: the header in front of every context; the host outlives the run.
    unsafe {
        read_bytes(at, &mut word);
        let pointer = std::ptr::with_exposed_provenance::<State>(u64::from_le_bytes(word) as usize);
        pointer.as_ref()
    }
}

/// Safety: `len` bytes at the address are readable.
unsafe fn bytes(address: u64, len: u64) -> Vec<u8> {
    let mut bytes = vec![0; len as u32 as usize];
    // SAFETY: the caller's obligation.
    unsafe { read_bytes(address, &mut bytes) };
    bytes
}

fn push(list: Option<&Mutex<Vec<Vec<u8>>>>, bytes: Vec<u8>) -> u64 {
    /// A measurement may run millions of times.
    const KEPT: usize = 10_000;
    match list.map(Mutex::lock) {
        Some(Ok(mut list)) => {
            if list.len() < KEPT {
                list.push(bytes);
            }
            0
        }
        _ => FAILED,
    }
}

/// -1.
const FAILED: u64 = u64::MAX;

/// FNV-1a (Fowler, Noll, Vo): a number that stays the same for the same bytes.
fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// Copies a text in UTF-16 with its terminator; the result is its bytes, or negative.
///
/// Safety: `len` bytes at `target` are writable.
unsafe fn give_text(text: &str, target: u64, len: u64) -> u64 {
    let bytes: Vec<u8> = text
        .encode_utf16()
        .chain([0])
        .flat_map(u16::to_le_bytes)
        .collect();
    if bytes.len() > len as u32 as usize {
        return FAILED;
    }
    // SAFETY: it fits, and the caller's obligation.
    unsafe { write_bytes(target, &bytes) };
    bytes.len() as u64
}

helpers! {
    fn failing(_a, _b, _c, _d, _e, _context) { FAILED }

    fn zero(_a, _b, _c, _d, _e, _context) { 0 }

    /// XDP_REDIRECT.
    fn xdp_redirect(_a, _b, _c, _d, _e, _context) { 4 }

    /// TC_ACT_REDIRECT.
    fn tc_redirect(_a, _b, _c, _d, _e, _context) { 7 }

    /// One number per connection: source and destination.
    fn socket_cookie(_ctx, _b, _c, _d, _e, context) {
        // SAFETY: family, addresses and ports of a proved `bpf_sock_addr_t`.
        fingerprint(&unsafe { bytes(context, 44) })
    }

    fn set_redirect_context(_ctx, data, size, _d, _e, context) {
        // SAFETY: proved memory of this size; a running program.
        unsafe { push(state(context).map(|state| &state.redirects), bytes(data, size)) }
    }

    /// Version 1, Ethernet, no tunnel, next hop 7, sub-interface 0.
    fn network_context(_ctx, target, size, _d, _e, _context) {
        let mut structure = [0; 32];
        structure[0] = 1;
        structure[4] = 6;
        structure[16] = 7;
        if (size as u32) < structure.len() as u32 {
            return FAILED;
        }
        // SAFETY: proved memory of this size.
        unsafe { write_bytes(target, &structure) };
        0
    }

    /// One number per flow: everything behind the operation.
    fn flow_id(_ctx, _b, _c, _d, _e, context) {
        // SAFETY: the rest of a proved `bpf_sock_ops_t`.
        fingerprint(&unsafe { bytes(context + 4, 49) })
    }

    /// Keeps the event, which the context's packet pointers enclose.
    fn push_event(_ctx, _b, _c, _d, _e, context) {
        // SAFETY: pointers at 8 and 16 of a proved `netevent_event_md_t`; a running program.
        unsafe {
            let pointers = bytes(context + 8, 16);
            let pointer = |at: usize| {
                let word = pointers[at..at + 8].try_into();
                word.map_or(0, u64::from_le_bytes)
            };
            let (start, end) = (pointer(0), pointer(8));
            push(state(context).map(|state| &state.events), bytes(start, end - start))
        }
    }

    fn image_path(_ctx, target, size, _d, _e, _context) {
        // SAFETY: proved memory of this size.
        unsafe { give_text(r"\Device\HarddiskVolume1\Windows\System32\svchost.exe", target, size) }
    }

    fn account_name(_ctx, target, size, _d, _e, _context) {
        // SAFETY: proved memory of this size.
        unsafe { give_text("SYSTEM", target, size) }
    }

    fn account_domain(_ctx, target, size, _d, _e, _context) {
        // SAFETY: proved memory of this size.
        unsafe { give_text("NT AUTHORITY", target, size) }
    }

    /// Offset of the second text in the first, or -1.
    fn find(text, text_size, part, part_size, _e, _context) {
        // SAFETY: proved memory of these sizes.
        let (text, part) = unsafe { (bytes(text, text_size), bytes(part, part_size)) };
        let end = |bytes: &[u8]| bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        let (text, part) = (&text[..end(&text)], &part[..end(&part)]);
        if part.is_empty() {
            return 0;
        }
        let found = text.windows(part.len()).position(|window| window == part);
        found.map_or(FAILED, |at| at as u64)
    }

    fn sample_word_1(_a, _b, _c, _d, _e, context) {
        // SAFETY: a field of a proved `sample_program_context_t`.
        word(&unsafe { bytes(context + 24, 4) })
    }

    fn sample_word_2(_a, _b, _c, _d, _e, context) {
        // SAFETY: a field of a proved `sample_program_context_t`.
        word(&unsafe { bytes(context + 28, 4) })
    }
}

fn word(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |word, byte| (word << 8) | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_a_helper_of_its_program_type() {
        for (platform, program_type, name, _) in FUNCTIONS.iter().chain(PACKET_FUNCTIONS) {
            let program_type = abi::program_type::by_name(*platform, program_type).unwrap();
            let general = abi::helper::general(*platform);
            let mut rows = program_type.helpers.iter().chain(general);
            assert!(rows.any(|row| row.name == *name), "{name}");
        }
    }
}
