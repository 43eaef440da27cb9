//! Outlets: what the hook of an extension calls.
//!
//! A program that is attached to the hook of an extension gets an outlet, for which the shell
//! registers a client of the interface of hooks. The provider of the hook attaches to it, learns the
//! parameter of the attachment ([`Outlet::data`]), and calls the functions of [`Outlet::dispatch`]
//! with the outlet's address. Invariant: the address is used by the extension only while it is
//! attached, and whoever registered the client keeps the outlet until it is deregistered.
//!
//! An extension that goes leaves the outlet behind, and finds it again when it comes back. Left out:
//! what the verdict means, which the extension decides.

use super::parse::{HookData, hook_data};
use crate::{
    Core, Link, Shared, Status,
    link::PARAMETER_BYTES,
    native::{Error, Item, ModuleMemory, Problem},
    raw::{locked::Locked, outlet, published::Published},
};
use abi::{
    Guid, ProgramType,
    native::{
        extension::{ExtensionData, InvokeDispatch},
        nmr::ModuleId,
    },
};
use alloc::vec::Vec;

/// What a program is attached to.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Attach type: the id of the hook's provider.
    pub attach_type: Guid,
    /// The parameter of the attachment.
    pub parameter: &'a [u8],
    /// Flags of the program.
    pub flags: u64,
}

/// A place where the hook of an extension finds a program.
pub struct Outlet {
    core: Shared<Core>,
    module: ModuleId,
    attach_type: Guid,
    program_type: Guid,
    parameter: Vec<u8>,
    data: ExtensionData,
    dispatch: InvokeDispatch,
    link: Published<Link>,
    /// What the hook that attached says of itself.
    hook: Locked<Option<HookData>>,
}

impl Outlet {
    /// An outlet without a program.
    pub(crate) fn new(
        core: &Shared<Core>,
        target: &Target<'_>,
        program_type: &ProgramType,
    ) -> Result<Shared<Outlet>, Status> {
        if target.parameter.len() > PARAMETER_BYTES {
            return Err(Status::InvalidArgument);
        }
        let mut parameter = Vec::new();
        let room = parameter.try_reserve_exact(target.parameter.len());
        room.map_err(|_| Status::NoMemory)?;
        parameter.extend_from_slice(target.parameter);
        let mut id = [0; 16];
        for word in id.as_chunks_mut::<4>().0 {
            *word = core.platform().random_u32().to_le_bytes();
        }
        // The vector does not change any more, so its memory stays where it is.
        let data = ExtensionData {
            header: ExtensionData::HEADER,
            data: match parameter.len() {
                0 => 0,
                _ => parameter.as_ptr().expose_provenance() as u64,
            },
            data_size: parameter.len() as u64,
            prog_attach_flags: target.flags,
        };
        Shared::try_new(Outlet {
            core: Shared::clone(core),
            module: ModuleId::new(Guid::from_bytes(id)),
            attach_type: target.attach_type,
            program_type: program_type.guid,
            parameter,
            data,
            dispatch: outlet::dispatch(),
            link: Published::empty(),
            hook: Locked::new(None),
        })
    }

    /// The id that the client of this outlet registers under.
    #[must_use]
    pub fn module(&self) -> &ModuleId {
        &self.module
    }

    /// The hook: the id of the provider that may attach.
    #[must_use]
    pub fn attach_type(&self) -> Guid {
        self.attach_type
    }

    /// The parameter of the attachment.
    #[must_use]
    pub fn parameter(&self) -> &[u8] {
        &self.parameter
    }

    /// What the client says of itself: the specific characteristics of its registration.
    #[must_use]
    pub fn data(&self) -> &ExtensionData {
        &self.data
    }

    /// The functions that the hook calls, with the address of this outlet.
    #[must_use]
    pub fn dispatch(&self) -> &InvokeDispatch {
        &self.dispatch
    }

    /// A provider of the hook would attach; `data` is the address of what it says of itself.
    /// IRQL: PASSIVE.
    ///
    /// # Errors
    ///
    /// What is wrong with that; [`Status::ObjectAlreadyExists`] when a provider is attached.
    pub fn admit(&self, memory: &dyn ModuleMemory, data: u64) -> Result<(), Error> {
        let said = hook_data(memory, data)?;
        let refused = |problem| Err(Error::new(Item::Provider("hook"), problem));
        if said.program_type != self.program_type {
            return refused(Problem::ProgramType(said.program_type));
        }
        let mut hook = self.hook.lock(self.core.platform());
        if hook.is_some() {
            return refused(Problem::Status(Status::ObjectAlreadyExists));
        }
        *hook = Some(said);
        Ok(())
    }

    /// The provider has gone, or did not attach after all: when this returns no program runs for it.
    /// IRQL: PASSIVE, no epoch pinned.
    pub fn leave(&self) {
        *self.hook.lock(self.core.platform()) = None;
        self.core.epoch().synchronize(self.core.platform());
    }

    /// Whether a provider is attached.
    #[must_use]
    pub fn is_attached(&self) -> bool {
        self.hook().is_some()
    }

    /// What the hook that is attached says of itself.
    pub(crate) fn hook(&self) -> Option<HookData> {
        *self.hook.lock(self.core.platform())
    }

    /// Where the program is.
    pub(crate) fn link(&self) -> &Published<Link> {
        &self.link
    }

    pub(crate) fn core(&self) -> &Core {
        &self.core
    }
}
