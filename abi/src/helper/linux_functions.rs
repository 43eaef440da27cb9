//! Functions of the Linux kernel that programs call by name, after its pages on kfuncs.
//!
//! They are described like helpers, but have no number. A function that is not here may be called
//! all the same, with numbers and the context alone.

use super::{
    ArgKind::*,
    DynptrKind, Helper,
    ReturnKind::{self, Integer, KernelCast, KernelContext, ReadOnlySliceOrNull, SliceOrNull},
};
use crate::program_type::{Platform, ProgramType};

/// Program types whose context is an skb.
const SKB: &[u32] = &[1, 3, 4, 8, 10, 11, 12, 14, 19];
/// XDP.
const XDP: &[u32] = &[6];
/// Every program type.
const ANY: &[u32] = &[];

/// A function, and the numbers of the program types that may call it.
type Row = (&'static [u32], Helper);

#[rustfmt::skip] // one row, one line
static FUNCTIONS: &[Row] = &[
    row(SKB, "bpf_dynptr_from_skb", Integer, &[Context, Anything, DynptrOut(DynptrKind::Skb)]),
    row(XDP, "bpf_dynptr_from_xdp", Integer, &[Context, Anything, DynptrOut(DynptrKind::Xdp)]),
    row(ANY, "bpf_dynptr_slice", ReadOnlySliceOrNull, &[Dynptr, Anything, BufferOrNull, ConstAllocSize]),
    row(ANY, "bpf_dynptr_slice_rdwr", SliceOrNull, &[Dynptr, Anything, BufferOrNull, ConstAllocSize]),
    row(ANY, "bpf_dynptr_adjust", Integer, &[Dynptr, Anything, Anything]),
    row(ANY, "bpf_dynptr_is_null", Integer, &[Dynptr]),
    row(ANY, "bpf_dynptr_is_rdonly", Integer, &[Dynptr]),
    row(ANY, "bpf_dynptr_size", Integer, &[Dynptr]),
    row(ANY, "bpf_dynptr_clone", Integer, &[Dynptr, DynptrCopy]),
    row(ANY, "bpf_dynptr_copy", Integer, &[Dynptr, Anything, Dynptr, Anything, Anything]),
    row(ANY, "bpf_cast_to_kern_ctx", KernelContext, &[Context]),
    row(ANY, "bpf_rdonly_cast", KernelCast, &[Address, KernelType]),
    row(ANY, "bpf_dynptr_memset", Integer, &[Dynptr, Anything, Anything, Anything]),
];

const fn row(
    types: &'static [u32],
    name: &'static str,
    ret: ReturnKind,
    args: &'static [super::ArgKind],
) -> Row {
    (types, Helper::new(0, name, ret, args))
}

/// The prototype of a function that a platform resolves by name, if it is known.
#[must_use]
pub fn function(platform: Platform, name: &str) -> Option<&'static Helper> {
    Some(&find(platform, name)?.1)
}

/// May programs of a type call a function whose prototype is known?
#[must_use]
pub fn may_call(program_type: &ProgramType, name: &str) -> bool {
    find(program_type.platform, name)
        .is_some_and(|(types, _)| types.is_empty() || types.contains(&program_type.number))
}

fn find(platform: Platform, name: &str) -> Option<&'static Row> {
    let known = platform == Platform::Linux;
    FUNCTIONS.iter().find(|(_, row)| known && row.name == name)
}
