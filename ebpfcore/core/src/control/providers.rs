//! Extensions as they come and go: who provides which program types and functions, and the programs
//! at their hooks.
//!
//! A provider offers itself in two steps, because the system may still refuse: [`Control::offer`]
//! reads and checks it, [`Control::accept`] makes it known. When it withdraws, the programs that may
//! call its functions are taken from all hooks and program arrays; the shell keeps the driver until
//! no such program is left, as with native modules. Hooks of extensions are reached through
//! [`Outlet`]s: a program that is attached to a hook that the runtime does not have gets one, and
//! the shell looks for its provider.
//!
//! Invariant: the runtime's own hooks and the types of their programs are not taken from extensions.
//! Left out: a module that attached before the extension that describes its program types (types
//! that no table has) is refused.

use super::{Control, Detached, objects::State};
use crate::{
    Link, Program, Shared, Status,
    extension::{self, Functions, Offer, Outlet, ProgramData, Target},
    helper::Extensions,
    interpreter::Callee,
    native::{Error, Item, Problem, Usage},
    raw::{
        forever::Forever,
        helpers::{HelperFn, function_at},
    },
};
use abi::{
    AttachType, Guid, Helper, ProgramType,
    native::nmr::{NPI_BTF_FUNCTION, NPI_PROGRAM_INFORMATION},
    program_type,
};
use alloc::vec::Vec;

/// Providers at the same time.
const PROVIDERS: usize = 256;
/// Rows of types that extensions described, of each kind.
const TYPES: usize = 256;

/// What became of a provider.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It was checked; nobody may use it yet.
    Offered,
    /// Programs may use it.
    Attached,
    /// It withdraws, but programs use it.
    Leaving,
}

/// A provider.
struct Provider {
    binding: u64,
    module_id: Guid,
    stage: Stage,
    usage: Shared<Usage>,
    what: What,
}

enum What {
    /// A program type, and the functions by number.
    Type(&'static ProgramType, ProgramData),
    Functions(Functions),
}

/// All providers, and the rows that were made for them.
#[derive(Default)]
pub(super) struct Providers {
    list: Vec<Provider>,
    outlets: Vec<Plug>,
    types: Vec<&'static ProgramType>,
    attach_types: Vec<&'static AttachType>,
    forever: Forever,
}

/// An outlet that has a program.
#[derive(Clone)]
struct Plug {
    link: Shared<Link>,
    outlet: Shared<Outlet>,
    /// The shell's number for its client.
    registration: u64,
}

impl What {
    fn npi(&self) -> Guid {
        match self {
            What::Type(..) => NPI_PROGRAM_INFORMATION,
            What::Functions(_) => NPI_BTF_FUNCTION,
        }
    }
}

impl Providers {
    fn attached(&self, npi: Guid, module: Guid) -> Option<&Provider> {
        self.list.iter().find(|provider| {
            let is_meant = provider.module_id == module && provider.what.npi() == npi;
            is_meant && provider.stage == Stage::Attached
        })
    }

    fn of_binding(&mut self, binding: u64) -> Option<&mut Provider> {
        let mut list = self.list.iter_mut();
        list.find(|provider| provider.binding == binding)
    }

    /// A provider that withdrew and is not used any more.
    pub(super) fn take_gone(&mut self) -> Option<u64> {
        let is_gone =
            |provider: &Provider| provider.stage == Stage::Leaving && provider.usage.is_unique();
        let position = self.list.iter().position(is_gone)?;
        Some(self.list.swap_remove(position).binding)
    }

    fn insert(&mut self, offer: &Offer<'_>, what: What) -> Result<(), Status> {
        let same = |other: &Provider| {
            other.binding == offer.binding
                || (other.module_id == offer.module_id && other.what.npi() == what.npi())
        };
        if self.list.iter().any(same) {
            return Err(Status::ObjectAlreadyExists);
        }
        if self.list.len() >= PROVIDERS {
            return Err(Status::OutOfSpace);
        }
        self.list.try_reserve(1).map_err(|_| Status::NoMemory)?;
        self.list.push(Provider {
            binding: offer.binding,
            module_id: offer.module_id,
            stage: Stage::Offered,
            usage: Usage::new()?,
            what,
        });
        Ok(())
    }

    fn describe(&mut self, data: &ProgramData) -> Result<&'static ProgramType, Status> {
        if self.types.len() >= TYPES {
            return Err(Status::OutOfSpace);
        }
        self.types.try_reserve(1).map_err(|_| Status::NoMemory)?;
        let row = extension::describe(data, &self.types, &mut self.forever)?;
        if !self.types.iter().any(|known| core::ptr::eq(*known, row)) {
            self.types.push(row);
        }
        Ok(row)
    }

    /// The row of a hook: that of the tables, or one for what its provider says.
    fn attach_type(
        &mut self,
        outlet: &Outlet,
        program_type: &'static ProgramType,
    ) -> Result<&'static AttachType, Status> {
        let said = outlet.hook().ok_or(Status::ExtensionFailedToLoad)?;
        let guid = outlet.attach_type();
        let known = program_type::attach_by_guid(guid);
        let made = self.attach_types.iter().copied();
        let mut all = known.into_iter().chain(made);
        let is_meant = |row: &&AttachType| {
            row.guid == guid && row.number == said.number && row.program_type.is(program_type)
        };
        if let Some(row) = all.find(is_meant) {
            return Ok(row);
        }
        if self.attach_types.len() >= TYPES {
            return Err(Status::OutOfSpace);
        }
        let room = self.attach_types.try_reserve(1);
        room.map_err(|_| Status::NoMemory)?;
        let row = self.forever.keep_one(AttachType {
            prefix: "",
            program_type,
            guid,
            number: said.number,
            link: said.link,
            read_only: &[],
            return_range: None,
        })?;
        self.attach_types.push(row);
        Ok(row)
    }
}

impl Control {
    /// Reads and checks a provider.
    pub(crate) fn examine(&self, offer: &Offer<'_>) -> Result<(), Error> {
        let (memory, id) = (offer.memory, offer.module_id);
        let done = if offer.npi == NPI_PROGRAM_INFORMATION {
            let is_own = |hook: &crate::Hook| hook.attach_type().program_type.guid == id;
            if self.hooks.iter().any(is_own) {
                return Err(failed(Status::ObjectAlreadyExists));
            }
            let data = extension::program_data(memory, offer.data, id)?;
            let mut state = self.lock();
            let providers = &mut state.providers;
            let row = providers.describe(&data);
            row.and_then(|row| providers.insert(offer, What::Type(row, data)))
        } else if offer.npi == NPI_BTF_FUNCTION {
            let functions = extension::functions(memory, offer.data, id)?;
            let what = What::Functions(functions);
            self.lock().providers.insert(offer, what)
        } else {
            Err(Status::OperationNotSupported)
        };
        done.map_err(failed)
    }

    /// The system let a provider attach that was offered: programs may use it from now on.
    pub fn accept(&self, binding: u64) {
        if let Some(provider) = self.lock().providers.of_binding(binding) {
            provider.stage = Stage::Attached;
        }
    }

    /// A provider withdraws: programs that use it are not called any more when this returns.
    /// IRQL: PASSIVE.
    pub fn withdraw(&self, binding: u64) -> Detached {
        let usage = match self.lock().providers.of_binding(binding) {
            Some(provider) => {
                provider.stage = Stage::Offered;
                provider.usage.clone()
            }
            None => return Detached::Now,
        };
        self.silence(&usage);
        drop(usage);
        let mut state = self.lock();
        let providers = &mut state.providers;
        match providers.of_binding(binding) {
            Some(provider) => provider.stage = Stage::Leaving,
            None => return Detached::Now,
        }
        let list = &mut providers.list;
        let before = list.len();
        list.retain(|provider| provider.binding != binding || !provider.usage.is_unique());
        match list.len() < before {
            true => Detached::Now,
            false => Detached::Later,
        }
    }

    /// Rows that extensions described, for whoever ends the runtime to free when nothing of it is
    /// left. Without that they stay.
    #[must_use]
    pub fn take_rows(&self) -> Forever {
        let mut state = self.lock();
        let providers = &mut state.providers;
        providers.types = Vec::new();
        providers.attach_types = Vec::new();
        core::mem::take(&mut providers.forever)
    }

    /// The functions and types of the runtime's shell and of extensions.
    pub(crate) fn linked(&self) -> Linked<'_> {
        Linked(self)
    }

    /// Attaches a program to the hook of an extension; the link is not in the registry yet.
    pub(super) fn plug(
        &self,
        program: Shared<Program>,
        target: &Target<'_>,
    ) -> Result<Shared<Link>, Status> {
        let outlet = Outlet::new(&self.core, target, program.program_type())?;
        let registration = self.shell.open_hook(&outlet)?;
        let plugged = self.plug_into(program, &outlet, registration);
        plugged.inspect_err(|_| self.shell.close_hook(registration))
    }

    fn plug_into(
        &self,
        program: Shared<Program>,
        outlet: &Shared<Outlet>,
        registration: u64,
    ) -> Result<Shared<Link>, Status> {
        let row = {
            let mut state = self.lock();
            let providers = &mut state.providers;
            if providers.outlets.len() >= super::objects::OBJECTS {
                return Err(Status::OutOfSpace);
            }
            providers.attach_type(outlet, program.program_type())?
        };
        let link = Link::outside(&self.core, row, outlet.parameter(), program)?;
        {
            let mut state = self.lock();
            let outlets = &mut state.providers.outlets;
            outlets.try_reserve(1).map_err(|_| Status::NoMemory)?;
            outlets.push(Plug {
                link: link.clone(),
                outlet: outlet.clone(),
                registration,
            });
        }
        outlet.link().replace(&self.core, Some(link.clone()));
        Ok(link)
    }

    /// Takes the program from a link at the hook of an extension; `None` when it is not at one.
    /// The hook may find the link again without a program, until it is pulled.
    pub(super) fn mute(&self, link: &Link) -> Option<()> {
        let plug = self.lock().providers.plug(link.id())?;
        plug.link.clear(&self.core);
        Some(())
    }

    /// Detaches a link from the hook of an extension; `None` when it is not at one.
    pub(super) fn pull(&self, link: &Link) -> Option<()> {
        let plug = {
            let mut state = self.lock();
            let outlets = &mut state.providers.outlets;
            let is_meant = |plug: &Plug| plug.link.id() == link.id();
            let position = outlets.iter().position(is_meant)?;
            outlets.swap_remove(position)
        };
        self.shell.close_hook(plug.registration);
        plug.link.clear(&self.core);
        plug.outlet.link().replace(&self.core, None);
        Some(())
    }

    /// The link at the hook of an extension with a program, and with a parameter when one is given.
    pub(super) fn plugged(
        &self,
        attach_type: Guid,
        program: Option<u32>,
        parameter: Option<&[u8]>,
    ) -> Option<Shared<Link>> {
        let state = self.lock();
        let pinned = self.core.pin();
        let is_meant = |plug: &&Plug| {
            let of = plug.link.program(&pinned).map(Program::id);
            plug.outlet.attach_type() == attach_type
                && program.is_none_or(|id| of == Some(id))
                && parameter.is_none_or(|wanted| plug.link.parameter() == wanted)
        };
        let plug = state.providers.outlets.iter().find(is_meant)?;
        Some(plug.link.clone())
    }
}

impl Providers {
    fn plug(&self, link: u32) -> Option<Plug> {
        let is_meant = |plug: &&Plug| plug.link.id() == link;
        self.outlets.iter().find(is_meant).cloned()
    }
}

impl State {
    fn functions_of(&self, program_type: &ProgramType) -> Option<&ProgramData> {
        let provider = self
            .providers
            .attached(NPI_PROGRAM_INFORMATION, program_type.guid)?;
        match &provider.what {
            What::Type(_, data) => Some(data),
            What::Functions(_) => None,
        }
    }
}

/// What programs may call: functions of the shell, of providers, and of the runtime.
pub(crate) struct Linked<'a>(&'a Control);

impl Extensions for Linked<'_> {
    fn helper(&self, program_type: &'static ProgramType, helper: &Helper) -> Option<HelperFn> {
        let address = {
            let state = self.0.lock();
            let data = state.functions_of(program_type);
            let function = data.and_then(|data| data.helpers.iter().find(|f| f.id == helper.id));
            function.map(|function| function.address)
        };
        match address {
            Some(address) if address != 0 => function_at(address),
            _ => self.0.extensions.helper(program_type, helper),
        }
    }

    fn by_number(&self, program_type: &'static ProgramType, id: u32) -> Option<Callee> {
        self.0.extensions.by_number(program_type, id)
    }

    fn btf_function(&self, name: &str, module: Guid) -> Option<HelperFn> {
        let address = {
            let state = self.0.lock();
            let provider = state.providers.attached(NPI_BTF_FUNCTION, module);
            provider.and_then(|provider| match &provider.what {
                What::Functions(functions) => {
                    let mut list = functions.list.iter();
                    list.find(|function| function.name == name)
                        .map(|function| function.address)
                }
                What::Type(..) => None,
            })
        };
        match address {
            Some(address) => function_at(address),
            None => self.0.extensions.btf_function(name, module),
        }
    }

    fn program_type(&self, guid: Guid) -> Option<&'static ProgramType> {
        let state = self.0.lock();
        let provider = state.providers.attached(NPI_PROGRAM_INFORMATION, guid)?;
        match &provider.what {
            What::Type(row, _) => Some(row),
            What::Functions(_) => None,
        }
    }

    fn usage(&self, npi: Guid, module: Guid) -> Option<Shared<Usage>> {
        let state = self.0.lock();
        let provider = state.providers.attached(npi, module)?;
        Some(provider.usage.clone())
    }
}

fn failed(status: Status) -> Error {
    Error::new(Item::Provider("an interface"), Problem::Status(status))
}
