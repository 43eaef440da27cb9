//! Links: one program attached to one hook with one parameter, and the hooks themselves.
//!
//! A hook keeps its links in an array that is replaced as a whole, so that a classify callback
//! reads it without a lock; a link keeps its program the same way, so that it can be exchanged
//! while packets flow. Invariants: attaching, detaching and exchanging happen at PASSIVE_LEVEL
//! with no epoch pinned; when they return, no invocation uses what was taken away.
//! Left out: how verdicts of several programs combine, which the hook's owner decides.

use crate::{Core, Guard, Program, Shared, Status, raw::locked::Locked, raw::published::Published};
use abi::program_type::{AttachType, LinkType};
use alloc::vec::Vec;

/// How many programs a hook takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Capacity {
    /// One.
    One,
    /// One for each attach parameter.
    OnePerParameter,
    /// Any number, called in the order of attaching, those for all interfaces or compartments
    /// last.
    Many,
}

/// Most programs at one hook.
pub const LINKS: usize = 64;
/// Longest attach parameter in bytes.
pub const PARAMETER_BYTES: usize = 64;

/// A program at a hook.
pub struct Link {
    id: u32,
    attach_type: &'static AttachType,
    parameter: Vec<u8>,
    scope: u32,
    program: Published<Program>,
}

/// A place in the system that calls programs.
pub struct Hook {
    attach_type: &'static AttachType,
    capacity: Capacity,
    links: Published<Vec<Shared<Link>>>,
    writers: Locked<()>,
}

impl Link {
    /// A link that is not attached yet.
    ///
    /// # Errors
    ///
    /// [`Status::InvalidArgument`] when the program is of another type than the hook calls or the
    /// parameter is not what the hook takes; [`Status::NoMemory`].
    pub fn new(
        core: &Core,
        attach_type: &'static AttachType,
        parameter: &[u8],
        program: Shared<Program>,
    ) -> Result<Shared<Link>, Status> {
        check_type(attach_type, &program)?;
        let scope = scope_of(attach_type, parameter)?;
        Link::with_scope(core, attach_type, (parameter, scope), program)
    }

    /// A link to a hook that gives its parameters a meaning by itself: that of an extension.
    pub(crate) fn outside(
        core: &Core,
        attach_type: &'static AttachType,
        parameter: &[u8],
        program: Shared<Program>,
    ) -> Result<Shared<Link>, Status> {
        check_type(attach_type, &program)?;
        Link::with_scope(core, attach_type, (parameter, 0), program)
    }

    fn with_scope(
        core: &Core,
        attach_type: &'static AttachType,
        (parameter, scope): (&[u8], u32),
        program: Shared<Program>,
    ) -> Result<Shared<Link>, Status> {
        if parameter.len() > PARAMETER_BYTES {
            return Err(Status::InvalidArgument);
        }
        let mut own = Vec::new();
        own.try_reserve_exact(parameter.len())
            .map_err(|_| Status::NoMemory)?;
        own.extend_from_slice(parameter);
        Shared::try_new(Link {
            id: core.take_id(),
            attach_type,
            parameter: own,
            scope,
            program: Published::new(program),
        })
    }

    /// Its id, unique among the objects of the runtime.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Which hook it belongs to.
    #[must_use]
    pub fn attach_type(&self) -> &'static AttachType {
        self.attach_type
    }

    /// The attach parameter: an interface or a compartment, as the hook defines it.
    #[must_use]
    pub fn parameter(&self) -> &[u8] {
        &self.parameter
    }

    /// The interface or compartment that it is for; 0 for all.
    #[inline(always)]
    #[must_use]
    pub fn scope(&self) -> u32 {
        self.scope
    }

    /// Whether it is for what happens on this interface or in this compartment.
    #[inline(always)]
    #[must_use]
    pub fn covers(&self, scope: u32) -> bool {
        self.scope == 0 || self.scope == scope
    }

    /// The program, to call it.
    #[inline(always)]
    pub fn program<'g>(&'g self, pinned: &'g Guard<'_>) -> Option<&'g Program> {
        self.program.get(pinned)
    }

    /// Whether two links are for the same: an absent number means the same as 0.
    fn is_alike(&self, other: &Link) -> bool {
        match self.attach_type.link {
            LinkType::Plain => self.parameter == other.parameter,
            _ => self.scope == other.scope,
        }
    }

    /// Takes the program away: when this returns it is not called any more. IRQL: PASSIVE.
    pub(crate) fn clear(&self, core: &Core) -> Option<Shared<Program>> {
        self.program.replace(core, None)
    }

    /// The program, to keep it.
    #[must_use]
    pub fn share_program(&self, core: &Core) -> Option<Shared<Program>> {
        self.program.share(&core.pin())
    }
}

/// Hooks with interfaces or compartments take their number, or nothing, which means all of them.
fn scope_of(attach_type: &AttachType, parameter: &[u8]) -> Result<u32, Status> {
    if attach_type.link == LinkType::Plain || parameter.is_empty() {
        return Ok(0);
    }
    let number = <[u8; 4]>::try_from(parameter).map_err(|_| Status::InvalidArgument)?;
    Ok(u32::from_le_bytes(number))
}

fn check_type(attach_type: &AttachType, program: &Program) -> Result<(), Status> {
    if attach_type.program_type.is(program.program_type()) {
        Ok(())
    } else {
        Err(Status::InvalidArgument)
    }
}

impl Hook {
    /// A hook without programs.
    #[must_use]
    pub const fn new(attach_type: &'static AttachType, capacity: Capacity) -> Hook {
        Hook {
            attach_type,
            capacity,
            links: Published::empty(),
            writers: Locked::new(()),
        }
    }

    /// Which hook it is.
    #[must_use]
    pub fn attach_type(&self) -> &'static AttachType {
        self.attach_type
    }

    /// The links, to call their programs in this order. IRQL: any.
    #[inline(always)]
    pub fn links<'g>(&'g self, pinned: &'g Guard<'_>) -> &'g [Shared<Link>] {
        self.links.get(pinned).map_or(&[], |links| links)
    }

    /// Whether nobody is attached.
    #[must_use]
    pub fn is_idle(&self, core: &Core) -> bool {
        let pinned = core.pin();
        let mut links = self.links(&pinned).iter();
        links.all(|link| link.program(&pinned).is_none())
    }

    /// Attaches a link: the hook calls its program from now on. IRQL: PASSIVE.
    ///
    /// # Errors
    ///
    /// [`Status::InvalidArgument`] for a link of another hook or one that was detached; [`Status::ObjectAlreadyExists`] when
    /// the hook takes no more programs (with this parameter) or has this link;
    /// [`Status::OutOfSpace`] beyond [`LINKS`]; [`Status::NoMemory`].
    pub fn attach(&self, core: &Core, link: &Shared<Link>) -> Result<(), Status> {
        let is_ours = self.attach_type.is(link.attach_type);
        if !is_ours || link.program(&core.pin()).is_none() {
            return Err(Status::InvalidArgument);
        }
        let _writing = self.writers.lock(core.platform());
        let mut links = self.copy(core, 1)?;
        let clashes = |other: &Shared<Link>| match self.capacity {
            Capacity::One => true,
            Capacity::OnePerParameter => other.is_alike(link),
            Capacity::Many => other.id == link.id,
        };
        if links.iter().any(clashes) {
            return Err(Status::ObjectAlreadyExists);
        }
        if links.len() >= LINKS {
            return Err(Status::OutOfSpace);
        }
        // Who asked for this interface or compartment comes before who asked for all.
        let wide = links.iter().position(|other| other.scope == 0);
        let at = wide.filter(|_| link.scope != 0).unwrap_or(links.len());
        links.insert(at, Shared::clone(link));
        self.links.replace(core, Some(Shared::try_new(links)?));
        Ok(())
    }

    /// Detaches a link: when this returns, its program is not called any more. IRQL: PASSIVE.
    ///
    /// Works without memory too: a link without a program is called by nobody, and its place in the
    /// array is given up when another link comes or goes. The last link needs no array.
    ///
    /// # Errors
    ///
    /// [`Status::ObjectNotFound`] when it is not attached here.
    pub fn detach(&self, core: &Core, link: &Link) -> Result<(), Status> {
        let _writing = self.writers.lock(core.platform());
        self.check_attached(core, link)?;
        link.program.replace(core, None);
        if !self.has_programs(core) {
            self.links.replace(core, None);
        } else if let Ok(rest) = self.copy(core, 0)
            && let Ok(rest) = Shared::try_new(rest)
        {
            self.links.replace(core, Some(rest));
        }
        Ok(())
    }

    /// Exchanges the program of an attached link while the hook calls it; gives the old one.
    /// IRQL: PASSIVE.
    ///
    /// # Errors
    ///
    /// [`Status::InvalidArgument`] when the program is of another type than the hook calls,
    /// [`Status::ObjectNotFound`] when the link is not attached here.
    pub fn exchange(
        &self,
        core: &Core,
        link: &Link,
        program: Shared<Program>,
    ) -> Result<Option<Shared<Program>>, Status> {
        check_type(self.attach_type, &program)?;
        let _writing = self.writers.lock(core.platform());
        self.check_attached(core, link)?;
        Ok(link.program.replace(core, Some(program)))
    }

    /// A link is attached while it is in the array and has a program.
    fn check_attached(&self, core: &Core, link: &Link) -> Result<(), Status> {
        let pinned = core.pin();
        let mut links = self.links(&pinned).iter();
        let is_here = links.any(|other| other.id == link.id) && link.program(&pinned).is_some();
        is_here.then_some(()).ok_or(Status::ObjectNotFound)
    }

    /// The link with a program, and with a parameter when one is given.
    #[must_use]
    pub fn find(
        &self,
        core: &Core,
        program: Option<u32>,
        parameter: Option<&[u8]>,
    ) -> Option<Shared<Link>> {
        let pinned = core.pin();
        let is_meant = |link: &&Shared<Link>| {
            let of = |id| {
                link.program(&pinned)
                    .is_some_and(|program| program.id() == id)
            };
            program.is_none_or(of) && parameter.is_none_or(|wanted| link.parameter == wanted)
        };
        self.links(&pinned).iter().find(is_meant).cloned()
    }

    fn has_programs(&self, core: &Core) -> bool {
        let pinned = core.pin();
        let mut links = self.links(&pinned).iter();
        links.any(|link| link.program(&pinned).is_some())
    }

    /// The links that have a program, with room for some more.
    fn copy(&self, core: &Core, more: usize) -> Result<Vec<Shared<Link>>, Status> {
        let pinned = core.pin();
        let now = self.links(&pinned);
        let mut copy = Vec::new();
        copy.try_reserve_exact(now.len() + more)
            .map_err(|_| Status::NoMemory)?;
        let attached = now.iter().filter(|link| link.program(&pinned).is_some());
        copy.extend(attached.map(Shared::clone));
        Ok(copy)
    }
}
