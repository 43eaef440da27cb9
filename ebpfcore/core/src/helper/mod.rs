//! The helpers of the runtime: which function serves which row of `abi::helper`.
//!
//! The functions are in `raw::helpers`; what they compute on bytes is here, in safe code. Rows
//! without a function are refused when a program is loaded, with the reason of [`REFUSED`].

pub mod format;

use crate::{
    Shared, interpreter::Callee, native::Usage, raw::helpers as raw, raw::helpers::HelperFn,
};
use abi::{Guid, Helper, Platform, ProgramType};

/// Functions by name of the row. Names mean the same on both platforms; numbers do not.
#[rustfmt::skip] // one row, one line
static FUNCTIONS: &[(&str, HelperFn)] = &[
    ("bpf_map_lookup_elem", raw::map_lookup_elem),
    ("bpf_map_update_elem", raw::map_update_elem),
    ("bpf_map_delete_elem", raw::map_delete_elem),
    ("bpf_map_lookup_and_delete_elem", raw::map_lookup_and_delete_elem),
    ("bpf_map_lookup_percpu_elem", raw::map_lookup_percpu_elem),
    ("bpf_tail_call", raw::tail_call),
    ("bpf_get_prandom_u32", raw::get_prandom_u32),
    ("bpf_ktime_get_boot_ns", raw::ktime_get_boot_ns),
    ("bpf_ktime_get_boot_ms", raw::ktime_get_boot_ms),
    ("bpf_ktime_get_ns", raw::ktime_get_ns),
    ("bpf_ktime_get_ms", raw::ktime_get_ms),
    ("bpf_ktime_get_coarse_ns", raw::ktime_get_ns),
    ("bpf_get_smp_processor_id", raw::get_smp_processor_id),
    ("bpf_get_current_pid_tgid", raw::get_current_pid_tgid),
    ("bpf_get_current_uid_gid", raw::get_current_uid_gid),
    ("bpf_get_current_logon_id", raw::get_current_logon_id),
    ("bpf_is_current_admin", raw::is_current_admin),
    ("bpf_get_current_process_start_key", raw::get_current_process_start_key),
    ("bpf_get_current_thread_create_time", raw::get_current_thread_create_time),
    ("bpf_csum_diff", raw::csum_diff),
    ("bpf_ringbuf_output", raw::ringbuf_output),
    ("bpf_ringbuf_reserve", raw::ringbuf_reserve),
    ("bpf_ringbuf_submit", raw::ringbuf_submit),
    ("bpf_ringbuf_discard", raw::ringbuf_discard),
    ("bpf_ringbuf_query", raw::ringbuf_query),
    ("bpf_trace_printk2", raw::trace_printk2),
    ("bpf_trace_printk3", raw::trace_printk3),
    ("bpf_trace_printk4", raw::trace_printk4),
    ("bpf_trace_printk5", raw::trace_printk5),
    ("bpf_trace_printk", raw::trace_printk),
    ("bpf_map_push_elem", raw::map_push_elem),
    ("bpf_map_pop_elem", raw::map_pop_elem),
    ("bpf_map_peek_elem", raw::map_peek_elem),
    ("bpf_memcpy", raw::memcpy),
    ("bpf_memmove", raw::memcpy),
    ("bpf_memcmp", raw::memcmp),
    ("bpf_memset", raw::memset),
    ("bpf_strncpy_s", raw::strncpy_s),
    ("bpf_strncat_s", raw::strncat_s),
    ("bpf_strnlen_s", raw::strnlen_s),
    ("bpf_perf_event_output", raw::perf_event_output),
];

/// Functions for one platform only, because the name is shared and the meaning is not.
#[rustfmt::skip] // one row, one line
static OF_PLATFORM: &[(Platform, &str, HelperFn)] = &[
    (Platform::Linux, "bpf_redirect_map", raw::redirect_map),
];

/// General helpers of Windows that the runtime itself does not have, and why.
#[rustfmt::skip] // one row, one line
pub static REFUSED: &[(&str, &str)] = &[
    ("bpf_get_socket_cookie", "only program types with sockets provide it"),
    ("bpf_redirect_map", "only XDP providers that redirect provide it"),
];

/// The runtime's own function for a row.
#[must_use]
pub fn function(platform: Platform, helper: &Helper) -> Option<HelperFn> {
    let own = OF_PLATFORM
        .iter()
        .find(|(of, name, _)| *of == platform && *name == helper.name)
        .map(|(_, _, function)| *function);
    own.or_else(|| {
        FUNCTIONS
            .iter()
            .find(|(name, _)| *name == helper.name)
            .map(|(_, function)| *function)
    })
}

/// Functions that extensions provide: those of single program types, and overrides of general
/// ones.
pub trait Extensions: Sync {
    /// The function for a row of a program type, if this extension has one.
    fn helper(&self, program_type: &'static ProgramType, helper: &Helper) -> Option<HelperFn>;

    /// The function for a number that has no row: test suites with helpers of their own. Asked
    /// before the tables are.
    fn by_number(&self, program_type: &'static ProgramType, id: u32) -> Option<Callee> {
        let _ = (program_type, id);
        None
    }

    /// The platform function of a name and module.
    fn btf_function(&self, name: &str, module: Guid) -> Option<HelperFn> {
        let _ = (name, module);
        None
    }

    /// The row of a program type that an extension describes.
    fn program_type(&self, guid: Guid) -> Option<&'static ProgramType> {
        let _ = guid;
        None
    }

    /// What programs hold while they may call functions of a provider: one of program information
    /// or of functions, by its interface and id. It is taken before functions are looked up.
    fn usage(&self, npi: Guid, module: Guid) -> Option<Shared<Usage>> {
        let _ = (npi, module);
        None
    }
}

/// The program type of a GUID: as an extension describes it, else as the tables do.
#[must_use]
pub fn program_type(guid: Guid, extensions: &dyn Extensions) -> Option<&'static ProgramType> {
    let described = extensions.program_type(guid);
    described.or_else(|| abi::program_type::by_guid(guid))
}

/// No extension.
pub struct NoExtensions;

impl Extensions for NoExtensions {
    fn helper(&self, _: &'static ProgramType, _: &Helper) -> Option<HelperFn> {
        None
    }
}

/// What a program of a type calls by a number: the extension's function, else the runtime's own.
#[must_use]
pub fn resolve(
    program_type: &'static ProgramType,
    id: u32,
    extensions: &dyn Extensions,
) -> Option<Callee> {
    if let Some(callee) = extensions.by_number(program_type, id) {
        return Some(callee);
    }
    let helper = abi::helper::lookup(program_type, id)?;
    let function = extensions
        .helper(program_type, helper)
        .or_else(|| function(program_type.platform, helper))?;
    Some(Callee {
        function,
        helper: Some(helper),
        tail_call: helper.name == "bpf_tail_call",
    })
}

/// One's complement difference of two buffers and a seed, as 16-bit words, folded to 32 bits.
pub(crate) fn checksum_difference(from: &[u8], to: &[u8], seed: u32) -> u32 {
    let word = |pair: &[u8]| match *pair {
        [low, high] => u16::from_ne_bytes([low, high]),
        _ => 0,
    };
    let added = to.chunks_exact(2).map(|pair| u64::from(word(pair)));
    let removed = from.chunks_exact(2).map(|pair| u64::from(!word(pair)));
    let mut sum = u64::from(seed) + added.sum::<u64>() + removed.sum::<u64>();
    while sum >> 32 != 0 {
        sum = (sum & u64::from(u32::MAX)) + (sum >> 32);
    }
    sum as u32
}

/// Bytes before the first NUL, or all.
pub(crate) fn string_length(text: &[u8]) -> usize {
    text.iter()
        .position(|byte| *byte == 0)
        .unwrap_or(text.len())
}

/// Copies `source`, up to its first NUL, behind the first `used` bytes of `target` and terminates
/// it. What does not fit empties the target and fails, as `strncpy_s` does.
pub(crate) fn string_copy(target: &mut [u8], used: usize, source: &[u8]) -> i32 {
    const EINVAL: i32 = -22;
    let source = &source[..string_length(source)];
    let fits = used
        .checked_add(source.len())
        .is_some_and(|end| end < target.len());
    if !fits {
        if let Some(first) = target.first_mut() {
            *first = 0;
        }
        return EINVAL;
    }
    target[used..used + source.len()].copy_from_slice(source);
    target[used + source.len()] = 0;
    0
}
