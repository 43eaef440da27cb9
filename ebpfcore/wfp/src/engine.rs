//! Registration: a session with the filter engine, a callout for each layer of each hook, filters
//! while a hook has programs.
//!
//! Order of stopping: filters go, flows are given back, callouts are unregistered (which waits for
//! calls that run), then handles go. After that nothing calls into the engine, so it can be freed.

use crate::{
    api::{Api, NotifyFn},
    classify::{classify, flow_delete, notify},
    flows::Flows,
};
use abi::Guid;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use ebpfcore::{
    Core, Hook, Shared, Status,
    hooks::{Layer, Point, table::TABLE},
    raw::locked::Locked,
};
use wdk::{
    classify::{AF_LINK, INJECTION_TYPE_L2},
    fwp::{
        ACTION_CALLOUT_TERMINATING, ACTION_CALLOUT_UNKNOWN, Callout, ManagedCallout, ManagedFilter,
        SESSION_DYNAMIC, Session, Sublayer, layer, layer_numbered,
    },
};

/// `RPC_C_AUTHN_WINNT`.
const AUTHENTICATION: u32 = 10;
/// The sublayer of all filters.
const SUBLAYER: Guid = Guid::from_u128(0x6f3c_a1d0_52e8_4b7a_9c41_0d2b_e7f8_5a10);
/// Who redirects.
static PROVIDER: Guid = Guid::from_u128(0x6f3c_a1d1_52e8_4b7a_9c41_0d2b_e7f8_5a10);
/// The first of the callouts; their number is added to its first field.
const CALLOUT: Guid = Guid::from_u128(0x6f3c_a200_52e8_4b7a_9c41_0d2b_e7f8_5a10);
/// `eBPF` in UTF-16, terminated.
static NAME: [u16; 5] = [0x65, 0x42, 0x50, 0x46, 0];

/// One hook at one layer.
pub(crate) struct Site {
    pub(crate) engine: *const Engine,
    pub(crate) layer: u16,
    /// Its place in the hooks' table; `None` for the layer that frames are sent through.
    pub(crate) row: Option<usize>,
    pub(crate) key: Guid,
    pub(crate) callout: u32,
    /// Number of its filter while it has one, or 0.
    filter: AtomicU64,
}

/// The hooks in the filtering platform.
pub struct Engine {
    pub(crate) api: Api,
    pub(crate) core: Shared<Core>,
    pub(crate) hooks: &'static [Hook],
    pub(crate) injection: u64,
    pub(crate) redirect: u64,
    pub(crate) flows: Flows,
    /// Flows that begin are not noted any more.
    pub(crate) stops: AtomicBool,
    refreshing: Locked<()>,
    session: u64,
    sites: Vec<Site>,
}

// SAFETY: sites point at the engine that owns them, whose address does not change; everything that
// changes is atomic or behind a lock.
unsafe impl Send for Engine {}
// SAFETY: as above.
unsafe impl Sync for Engine {}

/// What is registered, so that it can be undone in any state.
struct Started {
    engine: Shared<Engine>,
}

fn status(code: i32) -> Result<(), Status> {
    if code >= 0 {
        Ok(())
    } else {
        Err(Status::Failed)
    }
}

/// The number of a layer.
fn number(layer: Layer) -> u16 {
    match layer {
        Layer::InboundMacFrameNative => layer::InboundMacFrameNative,
        Layer::AleResourceAssignmentV4 => layer::AleResourceAssignmentV4,
        Layer::AleResourceAssignmentV6 => layer::AleResourceAssignmentV6,
        Layer::AleResourceReleaseV4 => layer::AleResourceReleaseV4,
        Layer::AleResourceReleaseV6 => layer::AleResourceReleaseV6,
        Layer::AleConnectRedirectV4 => layer::AleConnectRedirectV4,
        Layer::AleConnectRedirectV6 => layer::AleConnectRedirectV6,
        Layer::AleAuthConnectV4 => layer::AleAuthConnectV4,
        Layer::AleAuthConnectV6 => layer::AleAuthConnectV6,
        Layer::AleAuthRecvAcceptV4 => layer::AleAuthRecvAcceptV4,
        Layer::AleAuthRecvAcceptV6 => layer::AleAuthRecvAcceptV6,
        Layer::AleAuthListenV4 => layer::AleAuthListenV4,
        Layer::AleAuthListenV6 => layer::AleAuthListenV6,
        Layer::AleFlowEstablishedV4 => layer::AleFlowEstablishedV4,
        Layer::AleFlowEstablishedV6 => layer::AleFlowEstablishedV6,
    }
}

/// Hook and layer of every site. Sending frames needs a filter where they go out, too: without one
/// the platform does not see that they are sent.
fn places() -> impl Iterator<Item = (Option<usize>, u16)> {
    let layers = TABLE.iter().enumerate().flat_map(|(row, hook)| {
        let layers = hook.layers.iter();
        layers.map(move |layer| (Some(row), number(*layer)))
    });
    // Connections over IPv6 to addresses of IPv4 are those of the hook for IPv4: one site asks
    // both.
    let connect4 = TABLE
        .iter()
        .position(|row| row.attach.prefix == "cgroup/connect4");
    layers
        .filter(move |place| *place != (connect4, layer::AleConnectRedirectV6))
        .chain([(None, layer::OutboundMacFrameNative)])
}

impl Engine {
    /// Registers with the platform. `device` is the address of the driver's device object. IRQL:
    /// PASSIVE.
    ///
    /// # Safety
    ///
    /// 1. The functions of the table are what they are named after.
    /// 2. Every program that will ever be attached to the hooks was proved, or comes from an image
    ///    that the system trusts and that stays mapped while it is attached.
    /// 3. [`Engine::stop`] is called before the hooks or the code of this crate go.
    ///
    /// # Errors
    ///
    /// [`Status::NoMemory`], or [`Status::Failed`] when the platform refuses; nothing is registered
    /// then.
    pub unsafe fn start(
        api: Api,
        core: Shared<Core>,
        hooks: &'static [Hook],
        device: u64,
    ) -> Result<Shared<Engine>, Status> {
        let engine = Engine::open(api, core, hooks)?;
        let started = Started { engine };
        // SAFETY: nobody else has the engine yet; its address does not change any more.
        unsafe { started.register(device) }?;
        let started = core::mem::ManuallyDrop::new(started);
        // SAFETY: moved out of a value that is not used or dropped any more.
        Ok(unsafe { core::ptr::read(&raw const started.engine) })
    }

    fn open(
        api: Api,
        core: Shared<Core>,
        hooks: &'static [Hook],
    ) -> Result<Shared<Engine>, Status> {
        let mut sites = Vec::new();
        let count = places().count();
        sites
            .try_reserve_exact(count)
            .map_err(|_| Status::NoMemory)?;
        for (at, (row, layer)) in places().enumerate() {
            let data1 = CALLOUT.data1 + at as u32;
            sites.push(Site {
                engine: core::ptr::null(),
                layer,
                row,
                key: Guid { data1, ..CALLOUT },
                callout: 0,
                filter: AtomicU64::new(0),
            });
        }
        Shared::try_new(Engine {
            api,
            core,
            hooks,
            injection: 0,
            redirect: 0,
            flows: Flows::default(),
            stops: AtomicBool::new(false),
            refreshing: Locked::new(()),
            session: 0,
            sites,
        })
    }

    /// The hook of a row.
    pub(crate) fn point(&self, row: usize) -> Option<Point<'_>> {
        // SAFETY: obligation 2 of `start`.
        unsafe { Point::find(self.hooks, TABLE.get(row)?) }
    }

    /// Adds the filters of hooks that have programs and removes those of hooks that have none. To
    /// be called when programs were attached or detached. IRQL: PASSIVE.
    ///
    /// # Errors
    ///
    /// [`Status::Failed`] when the platform refuses a filter.
    pub fn refresh(&self) -> Result<(), Status> {
        let _refreshing = self.refreshing.lock(self.core.platform());
        for site in &self.sites {
            match (self.is_used(site), site.filter.load(Ordering::Acquire)) {
                (true, 0) => self.add_filter(site)?,
                (false, filter) if filter != 0 => self.remove_filter(site),
                _ => {}
            }
        }
        Ok(())
    }

    /// Whether some program is attached to what a site serves.
    fn is_used(&self, site: &Site) -> bool {
        let run = |row: usize| {
            let point = self.point(row);
            point.is_some_and(|point| !point.hook().is_idle(&self.core))
        };
        let serves = |prefix| TABLE.iter().position(|row| row.attach.prefix == prefix);
        match (site.row, site.layer) {
            (None, _) => serves("xdp").is_some_and(run),
            (Some(row), layer::AleConnectRedirectV6) => {
                run(row) || serves("cgroup/connect4").is_some_and(run)
            }
            (Some(row), _) => run(row),
        }
    }

    fn add_filter(&self, site: &Site) -> Result<(), Status> {
        let layer = layer_numbered(site.layer).ok_or(Status::Failed)?;
        let may_pass_on = matches!(
            site.layer,
            layer::AleConnectRedirectV4 | layer::AleConnectRedirectV6
        );
        let filter = ManagedFilter {
            display: name(),
            layer: layer.key,
            sublayer: SUBLAYER,
            action: if may_pass_on {
                ACTION_CALLOUT_UNKNOWN
            } else {
                ACTION_CALLOUT_TERMINATING
            },
            callout: site.key,
            context: [core::ptr::from_ref(site).expose_provenance() as u64, 0],
            ..ManagedFilter::default()
        };
        let mut id = 0;
        // SAFETY: the session is open; the structure is complete and lives during the call.
        status(unsafe { (self.api.filter_add)(self.session, &raw const filter, 0, &raw mut id) })?;
        site.filter.store(id, Ordering::Release);
        Ok(())
    }

    fn remove_filter(&self, site: &Site) {
        let id = site.filter.swap(0, Ordering::AcqRel);
        if id != 0 {
            // SAFETY: the session is open and the filter is its.
            let _ = unsafe { (self.api.filter_delete)(self.session, id) };
        }
    }

    /// Takes everything back; when it returns, nothing is called any more. IRQL: PASSIVE.
    pub fn stop(engine: Shared<Engine>) {
        drop(Started { engine });
    }

    /// Gives the flows back; the platform reports each as deleted.
    fn end_flows(&self) {
        let platform = self.core.platform();
        while let Some((flow, layer, callout)) = self.flows.any(platform) {
            // SAFETY: the numbers came from the platform. A failure means that the flow is being
            // deleted already.
            let _ = unsafe { (self.api.flow_remove)(flow, layer, callout) };
            platform.relax();
        }
    }
}

/// The name of everything that is registered.
fn name() -> [u64; 2] {
    [NAME.as_ptr().expose_provenance() as u64, 0]
}

impl Started {
    /// Safety: nobody else uses the engine.
    unsafe fn register(&self, device: u64) -> Result<(), Status> {
        let address = self.engine.address();
        // SAFETY: the caller's obligation.
        let engine = unsafe { &mut *crate::values::pointer::<Engine>(address) };
        let api = engine.api;
        let session = Session {
            display: name(),
            flags: SESSION_DYNAMIC,
            ..Session::default()
        };
        // SAFETY: obligation 1 of `start`, here and below: structures are complete and live during
        // the calls, results are places for what the functions give.
        unsafe {
            let opened = (api.engine_open)(
                0,
                AUTHENTICATION,
                0,
                &raw const session,
                &raw mut engine.session,
            );
            status(opened)?;
            let sublayer = Sublayer {
                key: SUBLAYER,
                display: name(),
                ..Sublayer::default()
            };
            status((api.sublayer_add)(engine.session, &raw const sublayer, 0))?;
            let injection = &raw mut engine.injection;
            status((api.injection_create)(
                AF_LINK,
                INJECTION_TYPE_L2,
                injection,
            ))?;
            let redirect = &raw mut engine.redirect;
            status((api.redirect_create)(&raw const PROVIDER, 0, redirect))?;
        }
        for site in &mut engine.sites {
            site.engine = crate::values::pointer(address);
            // SAFETY: as above.
            unsafe { register_site(&api, engine.session, site, device) }?;
        }
        Ok(())
    }
}

/// Safety: obligation 1 of [`Engine::start`].
unsafe fn register_site(
    api: &Api,
    session: u64,
    site: &mut Site,
    device: u64,
) -> Result<(), Status> {
    let layer = layer_numbered(site.layer).ok_or(Status::Failed)?;
    let callout = Callout {
        key: site.key,
        classify: (classify as *const ()).expose_provenance() as u64,
        notify: (notify as NotifyFn as *const ()).expose_provenance() as u64,
        flow_delete: (flow_delete as *const ()).expose_provenance() as u64,
        ..Callout::default()
    };
    let managed = ManagedCallout {
        key: site.key,
        display: name(),
        layer: layer.key,
        ..ManagedCallout::default()
    };
    // SAFETY: the caller's obligation.
    unsafe {
        status((api.callout_register)(
            device,
            &raw const callout,
            &raw mut site.callout,
        ))?;
        status((api.callout_add)(
            session,
            &raw const managed,
            0,
            core::ptr::null_mut(),
        ))
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let engine = &*self.engine;
        let api = engine.api;
        engine.stops.store(true, Ordering::SeqCst);
        for site in &engine.sites {
            engine.remove_filter(site);
        }
        // Classifications that began before see `stops` or are over after this.
        engine.core.epoch().synchronize(engine.core.platform());
        engine.end_flows();
        // SAFETY: what was registered is taken back once; numbers are 0 where nothing was.
        unsafe {
            for site in engine.sites.iter().filter(|site| site.callout != 0) {
                let _ = (api.callout_unregister)(site.callout);
            }
            if engine.redirect != 0 {
                (api.redirect_destroy)(engine.redirect);
            }
            if engine.injection != 0 {
                let _ = (api.injection_destroy)(engine.injection);
            }
            if engine.session != 0 {
                let _ = (api.engine_close)(engine.session);
            }
        }
    }
}
