//! The hooks that the runtime itself provides: frames and socket operations.
//!
//! [`table::TABLE`] has one row for each: where in the network stack it sits, which programs it
//! takes, what their results mean. A shell turns what its network stack says into the records of
//! [`frame`], [`bind`], [`socket`] and [`flow`], pins an epoch with [`crate::Core::enter`], and
//! does the [`Action`] that comes back.
//!
//! Invariants: contexts lie on the stack of the caller; nothing allocates or waits, at any IRQL up
//! to DISPATCH; without programs everything passes; a program that is stopped or returns a number
//! without a meaning does not let a frame or a connection through. Left out: how frames are
//! cloned and sent, which needs the network stack.

pub mod bind;
pub mod flow;
pub mod frame;
pub mod socket;
pub mod table;

pub use crate::raw::hook::{Caller, Frame, Point, REDIRECT_CONTEXT_BYTES, RedirectContext};
pub use table::{Action, Direction, Kind, Layer, Row};

use crate::{
    Hook, Status, helper::Extensions, interpreter::Trap, raw::helpers::HelperFn, raw::hook,
};
use abi::{Helper, ProgramType};
use alloc::vec::Vec;
use core::ops::ControlFlow;

/// The hooks of the table, in its order, without programs.
///
/// # Errors
///
/// [`Status::NoMemory`].
pub fn make() -> Result<Vec<Hook>, Status> {
    let mut hooks = Vec::new();
    hooks
        .try_reserve_exact(table::TABLE.len())
        .map_err(|_| Status::NoMemory)?;
    hooks.extend(
        table::TABLE
            .iter()
            .map(|row| Hook::new(row.attach, row.capacity)),
    );
    Ok(hooks)
}

/// What the programs of a hook decided so far.
///
/// The strongest action counts. A program that blocks, absorbs or sends ends the round, because
/// nothing that a later one says could matter.
struct Tally {
    row: &'static Row,
    action: Action,
}

impl Tally {
    #[inline(always)]
    fn new(row: &'static Row) -> Tally {
        Tally {
            row,
            action: Action::Permit,
        }
    }

    #[inline(always)]
    fn note(&mut self, result: Result<u64, Trap>) -> ControlFlow<()> {
        let action = match result {
            Ok(value) => self.row.meaning(value),
            Err(_) => self.row.stopped,
        };
        self.action = self.action.max(action);
        if self.action.is_final() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    }
}

/// The functions that programs of these hooks may call beside the general ones.
pub struct HookHelpers;

/// Functions by name of the program type and of the row.
#[rustfmt::skip] // one row, one line
static FUNCTIONS: &[(&str, &str, HelperFn)] = &[
    ("xdp", "bpf_xdp_adjust_head", hook::xdp_adjust_head),
    ("sock_addr", "bpf_get_current_pid_tgid", hook::socket_pid_tgid),
    ("sock_addr", "bpf_get_current_logon_id", hook::socket_logon_id),
    ("sock_addr", "bpf_is_current_admin", hook::socket_is_admin),
    ("sock_addr", "bpf_get_socket_cookie", hook::socket_cookie),
    ("sock_addr", "bpf_sock_addr_set_redirect_context", hook::set_redirect_context),
    ("sock_addr", "bpf_sock_addr_get_network_context", hook::network_context),
    ("sockops", "bpf_get_current_pid_tgid", hook::socket_pid_tgid),
    ("sockops", "bpf_sock_ops_get_flow_id", hook::flow_id),
];

impl Extensions for HookHelpers {
    fn helper(&self, program_type: &'static ProgramType, helper: &Helper) -> Option<HelperFn> {
        if program_type.platform != abi::Platform::Windows {
            return None;
        }
        let mut rows = FUNCTIONS.iter();
        let (_, _, function) =
            rows.find(|row| row.0 == program_type.name && row.1 == helper.name)?;
        Some(*function)
    }
}
