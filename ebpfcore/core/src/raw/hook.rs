//! Calling the programs of a hook on a context that lies on the caller's stack, and the functions
//! that such programs may call beside the general ones.
//!
//! The third word in front of the context points at a [`Caller`]: what helpers tell about the
//! socket operation at hand. It is 0 in contexts that others make (test runs), and helpers then
//! answer as they do when the network stack does not know. Nothing here allocates or waits.
//!
//! Invariants: a [`Point`] is made by who vouches for the programs of its hook, a [`Frame`] by who
//! vouches for its memory; with both, calling is safe.
#![expect(unsafe_code, reason = "passes addresses to programs and back")]

use super::{
    addresses::{pointer, write_bytes},
    context::Run,
    execute::access,
    helpers::{core_of, program_abi},
};
use crate::{CONTEXT_HEADER_BYTES, Hook, hooks::Row, interpreter::Trap};
use abi::{
    ProgramType,
    context::structures::{BindMd, BpfSockAddr, BpfSockOps, NetworkContext, XdpMd},
    program_type::windows,
};
use core::{cell::Cell, marker::PhantomData, ops::ControlFlow};
use isa::Size;

/// Which word in front of a context points at the [`Caller`].
const CALLER_WORD: u64 = 2;
/// Longest redirect context.
pub const REDIRECT_CONTEXT_BYTES: usize = 512;
/// -1, as helpers that return 64 bits report failure.
const FAILED: u64 = u64::MAX;

/// A context structure and the program type that takes it.
///
/// # Safety
///
/// The structure has the layout of [`HookContext::program_type`]'s context.
pub(crate) unsafe trait HookContext: Copy {
    /// The program type.
    fn program_type() -> &'static ProgramType;
}

/// Contexts without pointers: any content will do.
pub(crate) trait Plain: HookContext {}

/// Ties structures to program types; `abi` compares the layouts.
macro_rules! contexts {
    ($($context:ty: $program_type:path,)*) => {
        $(
            // SAFETY: `abi::context::structures` compares the structure with the row.
            unsafe impl HookContext for $context {
                fn program_type() -> &'static ProgramType {
                    &$program_type
                }
            }
            const _: () = assert!(size_of::<$context>() == $program_type.context.size as usize);
        )*
    };
}

contexts! {
    XdpMd: windows::XDP,
    BindMd: windows::BIND,
    BpfSockAddr: windows::SOCK_ADDR,
    BpfSockOps: windows::SOCKOPS,
}

impl Plain for BpfSockAddr {}
impl Plain for BpfSockOps {}

/// A hook with its row, and the promise that its programs may run.
#[derive(Clone, Copy)]
pub struct Point<'a> {
    row: &'static Row,
    hook: &'a Hook,
}

impl<'a> Point<'a> {
    /// The hook among others that a row describes.
    ///
    /// # Safety
    ///
    /// Every program that will ever be attached was proved, or comes from an image that the system
    /// trusts and that stays mapped while it is attached.
    #[must_use]
    pub unsafe fn find(hooks: &'a [Hook], row: &'static Row) -> Option<Point<'a>> {
        let mut all = hooks.iter();
        let hook = all.find(|hook| hook.attach_type().is(row.attach))?;
        Some(Point { row, hook })
    }

    /// Its row.
    #[inline(always)]
    #[must_use]
    pub fn row(self) -> &'static Row {
        self.row
    }

    /// The hook.
    #[must_use]
    pub fn hook(self) -> &'a Hook {
        self.hook
    }
}

/// A frame in one piece, which programs may read and write.
pub struct Frame<'a> {
    data: u64,
    length: u32,
    interface: u32,
    bytes: PhantomData<&'a mut [u8]>,
}

impl<'a> Frame<'a> {
    /// A frame at an address, and the interface that it came in through.
    ///
    /// # Safety
    ///
    /// The bytes are readable and writable for `'a`.
    #[inline(always)]
    #[must_use]
    pub unsafe fn new(data: u64, length: u32, interface: u32) -> Frame<'a> {
        Frame {
            data,
            length,
            interface,
            bytes: PhantomData,
        }
    }

    /// A frame in a buffer; what is beyond 4 GiB is not seen.
    #[inline(always)]
    #[must_use]
    pub fn of(bytes: &'a mut [u8], interface: u32) -> Frame<'a> {
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let data = bytes.as_mut_ptr().expose_provenance() as u64;
        // SAFETY: the bytes are borrowed for `'a`.
        unsafe { Frame::new(data, length, interface) }
    }

    /// Interface that it came in through.
    #[inline(always)]
    #[must_use]
    pub fn interface(&self) -> u32 {
        self.interface
    }
}

/// A context with the words in front of it. What it points at outlives it.
#[repr(C, align(16))]
pub(crate) struct Framed<'a, C> {
    header: [u64; CONTEXT_HEADER_BYTES / 8],
    context: C,
    target: PhantomData<&'a [u8]>,
}

impl<C: HookContext> Framed<'_, C> {
    #[inline(always)]
    fn over(context: C) -> Self {
        Framed {
            header: [0; CONTEXT_HEADER_BYTES / 8],
            context,
            target: PhantomData,
        }
    }
}

impl<C: Plain> Framed<'_, C> {
    /// A context, ready to be passed to programs.
    #[inline(always)]
    pub(crate) fn new(context: C) -> Self {
        Framed::over(context)
    }
}

impl<'a> Framed<'a, XdpMd> {
    /// The context of a frame.
    #[inline(always)]
    pub(crate) fn frame(frame: &'a mut Frame<'_>) -> Self {
        Framed::over(XdpMd {
            data: frame.data,
            data_end: frame.data + u64::from(frame.length),
            data_meta: frame.data,
            ingress_ifindex: frame.interface,
            reserved: 0,
        })
    }
}

impl<'a> Framed<'a, BindMd> {
    /// The context of a local address; programs of its type may only read the application id.
    pub(crate) fn bind(context: BindMd, app_id: &'a [u8]) -> Self {
        let start = app_id.as_ptr().expose_provenance() as u64;
        Framed::over(BindMd {
            app_id_start: start,
            app_id_end: start + app_id.len() as u64,
            ..context
        })
    }
}

/// What a program of a hook may ask about who does the operation.
#[derive(Default)]
pub struct Caller<'a> {
    /// Process.
    pub process_id: u32,
    /// Logon session, 0 when there is no token.
    pub logon_id: u64,
    /// 1 for an administrator, 0 for another user, -1 when there is no token.
    pub is_admin: i32,
    /// Number of the socket, 0 where it does not have one yet.
    pub socket_cookie: u64,
    /// Number of the flow, 0 where there is none.
    pub flow_id: u64,
    /// Where the connection goes, if that is known.
    pub network: Option<NetworkContext>,
    /// Room for what a program leaves for the target of a redirection; only connections that may
    /// be redirected have it.
    pub redirect: Option<&'a RedirectContext>,
}

/// What a program leaves for the target of a redirection.
pub struct RedirectContext {
    length: Cell<usize>,
    bytes: Cell<[u8; REDIRECT_CONTEXT_BYTES]>,
}

impl Default for RedirectContext {
    fn default() -> Self {
        RedirectContext {
            length: Cell::new(0),
            bytes: Cell::new([0; REDIRECT_CONTEXT_BYTES]),
        }
    }
}

impl RedirectContext {
    /// Copies it out; gives the bytes that count.
    pub fn take<'b>(&self, buffer: &'b mut [u8; REDIRECT_CONTEXT_BYTES]) -> &'b [u8] {
        *buffer = self.bytes.get();
        &buffer[..self.length.get().min(REDIRECT_CONTEXT_BYTES)]
    }

    /// Bytes that a program left.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length.get()
    }

    /// Whether no program left anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Safety: `size` bytes at `address` are readable.
    unsafe fn put(&self, address: u64, size: usize) -> Result<(), ()> {
        let target = self.bytes.as_ptr().cast::<u8>();
        if size == 0 || size > REDIRECT_CONTEXT_BYTES {
            return Err(());
        }
        // SAFETY: it fits; the caller's obligation; a cell may be written through a shared
        // reference and nobody else has one meanwhile.
        unsafe { core::ptr::copy(pointer(address), target, size) };
        self.length.set(size);
        Ok(())
    }
}

/// Calls the programs of a hook that cover an interface or compartment, as long as `decide` says
/// so; it sees what each left in the context.
#[inline(always)]
pub(crate) fn call<C: HookContext>(
    run: &mut Run<'_>,
    (point, scope): (Point<'_>, u32),
    framed: &mut Framed<'_, C>,
    caller: Option<&Caller<'_>>,
    mut decide: impl FnMut(Result<u64, Trap>, &C) -> ControlFlow<()>,
) {
    let takes = point.hook.attach_type().program_type;
    if !core::ptr::eq(takes, C::program_type()) {
        debug_assert!(false, "{} hooks have another context", takes.name);
        return;
    }
    framed.header[CALLER_WORD as usize] = caller.map_or(0, |caller| {
        core::ptr::from_ref(caller).expose_provenance() as u64
    });
    let base = core::ptr::from_mut(framed);
    let context = base.expose_provenance() as u64 + CONTEXT_HEADER_BYTES as u64;
    // SAFETY: the context lies behind its header and points at memory that outlives it; whoever
    // made the point vouches for the programs. Between programs nobody but `decide` has a reference
    // to the context.
    unsafe {
        run.invoke_hook((point.hook, scope), context, |_, result| {
            decide(result, &(*base).context)
        });
    }
}

/// Safety: `context` is that of a running program of a hook, or was made by somebody who left the
/// word 0.
unsafe fn caller<'a>(context: u64) -> Option<&'a Caller<'a>> {
    // SAFETY: the words in front of a context are readable; `call` put the address there and the
    // value outlives the call.
    unsafe {
        let word = context - CONTEXT_HEADER_BYTES as u64 + CALLER_WORD * 8;
        let address = access::load(word, Size::Dw);
        pointer(address).cast::<Caller<'a>>().as_ref()
    }
}

program_abi! {
    /// Moving the start of a frame is not possible where the runtime sees it.
    pub(crate) fn xdp_adjust_head(_ctx, _delta, _c, _d, _e, _context) {
        FAILED
    }

    /// The process that does the operation and the thread that runs.
    pub(crate) fn socket_pid_tgid(_a, _b, _c, _d, _e, context) {
        // SAFETY: a running program.
        unsafe {
            let (current, thread) = core_of(context).platform().pid_tid();
            let process = caller(context).map_or(current, |caller| caller.process_id);
            (u64::from(process) << 32) | u64::from(thread)
        }
    }

    pub(crate) fn socket_logon_id(_ctx, _b, _c, _d, _e, context) {
        // SAFETY: a running program.
        unsafe { caller(context) }.map_or(0, |caller| caller.logon_id)
    }

    pub(crate) fn socket_is_admin(_ctx, _b, _c, _d, _e, context) {
        // SAFETY: a running program.
        let answer = unsafe { caller(context) }.map_or(-1, |caller| caller.is_admin);
        u64::from(answer as u32)
    }

    pub(crate) fn socket_cookie(_ctx, _b, _c, _d, _e, context) {
        // SAFETY: a running program.
        unsafe { caller(context) }.map_or(0, |caller| caller.socket_cookie)
    }

    pub(crate) fn flow_id(_ctx, _b, _c, _d, _e, context) {
        // SAFETY: a running program.
        unsafe { caller(context) }.map_or(0, |caller| caller.flow_id)
    }

    pub(crate) fn set_redirect_context(_ctx, data, size, _d, _e, context) {
        // SAFETY: a running program; proved memory of this size.
        unsafe {
            let redirect = caller(context).and_then(|caller| caller.redirect);
            let done = redirect.map(|redirect| redirect.put(data, size as u32 as usize));
            if done == Some(Ok(())) { 0 } else { FAILED }
        }
    }

    pub(crate) fn network_context(_ctx, target, size, _d, _e, context) {
        // SAFETY: a running program; proved memory of this size.
        unsafe {
            let network = caller(context).and_then(|caller| caller.network);
            match network {
                Some(network) if size as u32 as usize >= size_of::<NetworkContext>() => {
                    write_bytes(target, &network.to_bytes());
                    0
                }
                _ => FAILED,
            }
        }
    }
}
