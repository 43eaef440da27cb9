//! The functions that the platform calls. IRQL: any; no memory is taken but where the crate says so.

use crate::{
    api::NotifyFn,
    engine::{Engine, Site},
    packet::{self, Bytes},
    record,
    values::{Values, pointer},
};
use core::sync::atomic::Ordering;
use ebpfcore::{
    Run,
    hooks::{
        Action, Frame, Kind, Point, REDIRECT_CONTEXT_BYTES, RedirectContext, bind,
        flow::{deleted, established},
        frame,
        socket::{self, Endpoint, Family},
        table::TABLE,
    },
};
use wdk::{
    classify::{
        ConnectRequest, METADATA_REDIRECT_RECORDS, STATE_BY_SELF, STATE_PREVIOUSLY_BY_SELF,
    },
    fwp::{
        ACTION_BLOCK, ACTION_CONTINUE, ACTION_PERMIT, ClassifyOut, Filter, IncomingMetadata,
        IncomingValues, METADATA_FLOW, OUT_FLAG_ABSORB, RIGHT_ACTION_WRITE, layer,
    },
    ndis::{NetBuffer, NetBufferList},
};

/// `NonPagedPoolNx`.
const NON_PAGED_POOL_NX: u32 = 512;
/// `eBPF`.
const POOL_TAG: u32 = u32::from_le_bytes(*b"eBPF");

/// Declares functions with the calling convention of the kernel on every host.
macro_rules! kernel_fns {
    ($($(#[$meta:meta])* fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $result:ty)? $body:block)*) => {
        $(
            $(#[$meta])*
            #[cfg(all(target_arch = "x86_64", not(windows)))]
            pub(crate) unsafe extern "win64" fn $name($($arg: $ty),*) $(-> $result)? $body
            $(#[$meta])*
            #[cfg(any(windows, not(target_arch = "x86_64")))]
            pub(crate) unsafe extern "system" fn $name($($arg: $ty),*) $(-> $result)? $body
        )*
    };
}

/// One classification.
struct Event<'a> {
    engine: &'a Engine,
    site: &'a Site,
    values: Values<'a>,
    metadata: &'a IncomingMetadata,
    data: u64,
    context: u64,
    filter: &'a Filter,
}

kernel_fns! {
    /// `FWPS_CALLOUT_CLASSIFY_FN1` of all callouts; the filter's context is the [`Site`].
    fn classify(
        values: *const IncomingValues,
        metadata: *const IncomingMetadata,
        data: u64,
        context: u64,
        filter: *const Filter,
        _flow: u64,
        out: *mut ClassifyOut,
    ) {
        // SAFETY: the platform hands over valid structures; the context is that of a filter of an
        // engine, which outlives its callouts.
        unsafe {
            let out = &mut *out;
            // Somebody of higher weight decided, and nobody may change it.
            if out.rights & RIGHT_ACTION_WRITE == 0 {
                return;
            }
            let site = &*pointer::<Site>((*filter).context);
            let Some(values) = Values::new(&*values) else {
                return;
            };
            let event = Event {
                engine: &*site.engine,
                site,
                values,
                metadata: &*metadata,
                data,
                context,
                filter: &*filter,
            };
            event.decide(out);
        }
    }

    /// `FWPS_CALLOUT_NOTIFY_FN1`: filters are only the engine's own.
    fn notify(_kind: u32, _key: u64, _filter: u64) -> i32 {
        0
    }

    /// `FWPS_CALLOUT_FLOW_DELETE_NOTIFY_FN0`; the context is that of [`Event::flow`].
    fn flow_delete(_layer: u16, _callout: u32, context: u64) {
        // SAFETY: the platform gives back what it was given, once; the engine outlives its callouts.
        unsafe { flow_is_over(context) }
    }

    /// `FWPS_INJECT_COMPLETE0`: the clone was sent; the context is the engine.
    fn sent(context: u64, clone: *mut NetBufferList, is_dispatch: u8) {
        // SAFETY: the platform gives back what it was given; destroying the injection handle waits
        // for this.
        unsafe {
            let engine = &*pointer::<Engine>(context);
            (engine.api.clone_free)(clone, u32::from(is_dispatch));
        }
    }
}

/// Only there so that the type of the function is checked.
const _: NotifyFn = notify;

/// Tells the platform what to do.
fn apply(action: Action, out: &mut ClassifyOut) {
    out.action = match action {
        Action::Permit | Action::PermitHard => ACTION_PERMIT,
        Action::Transmit | Action::Absorb | Action::Block => ACTION_BLOCK,
    };
    if matches!(action, Action::Transmit | Action::Absorb) {
        out.flags |= OUT_FLAG_ABSORB;
    }
    if action != Action::Permit {
        out.rights &= !RIGHT_ACTION_WRITE;
    }
}

/// Runs `work` in an epoch, on one processor.
fn with_run<T>(engine: &Engine, work: impl FnOnce(&mut Run<'_>) -> T) -> T {
    let platform = engine.core.platform();
    let level = platform.raise_irql();
    let result = work(&mut engine.core.enter());
    platform.lower_irql(level);
    result
}

impl Event<'_> {
    fn decide(&self, out: &mut ClassifyOut) {
        let row = self
            .site
            .row
            .and_then(|row| Some((TABLE.get(row)?, self.engine.point(row)?)));
        let Some((row, point)) = row else {
            // Frames that go out: the filter is there so that they can be sent at all.
            out.action = ACTION_PERMIT;
            return;
        };
        match row.kind {
            Kind::Frame => apply(self.frames(point), out),
            Kind::Bind => apply(self.bind(point), out),
            Kind::Socket(_) => apply(self.socket(point), out),
            Kind::Flow => apply(self.flow(point), out),
            Kind::Connect => self.connect(out),
        }
    }

    fn bind(&self, point: Point<'_>) -> Action {
        let record = record::bind(&self.values, self.metadata, self.site.layer);
        with_run(self.engine, |run| bind::classify(run, point, &record))
    }

    fn socket(&self, point: Point<'_>) -> Action {
        let record = record::socket(&self.values, self.site.layer);
        let caller = record::caller(&self.values, self.metadata);
        with_run(self.engine, |run| {
            socket::authorize(run, point, &record, &caller)
        })
    }

    fn flow(&self, point: Point<'_>) -> Action {
        let record = record::flow(&self.values, self.metadata, self.site.layer);
        with_run(self.engine, |run| {
            let action = established(run, point, &record);
            let is_kept = action != Action::Block && self.metadata.present & METADATA_FLOW != 0;
            if is_kept && !self.engine.stops.load(Ordering::SeqCst) {
                self.keep(&record);
            }
            action
        })
    }

    /// Remembers a flow, to tell programs when it is over. Without memory nobody is told.
    fn keep(&self, record: &ebpfcore::hooks::flow::Flow) {
        let engine = self.engine;
        let platform = engine.core.platform();
        let id = (self.metadata.flow, self.site.layer, self.site.callout);
        let kept = crate::flows::Kept {
            flow: *record,
            engine: core::ptr::from_ref(engine),
            id,
        };
        let Ok(address) = engine.flows.add(platform, kept) else {
            return;
        };
        // SAFETY: numbers of the platform, and an address that lives until it is given back.
        let done = unsafe { (engine.api.flow_associate)(id.0, id.1, id.2, address) };
        if done < 0 {
            // SAFETY: the platform did not take it.
            drop(unsafe { engine.flows.take(platform, address) });
        }
    }

    fn frames(&self, point: Point<'_>) -> Action {
        // SAFETY: the layer's data is a list of network buffers.
        let Some(list) = (unsafe { pointer::<NetBufferList>(self.data).as_ref() }) else {
            return Action::Permit;
        };
        let engine = self.engine;
        // SAFETY: a handle of the engine and a list of the platform.
        let state = unsafe { (engine.api.injection_state)(engine.injection, list, 0) };
        if state == STATE_BY_SELF || state == STATE_PREVIOUSLY_BY_SELF {
            return Action::Permit;
        }
        let interface = self.values.u32(self.values.fields().interface_index());
        let mut action = Action::Permit;
        let mut next = list.first;
        // SAFETY: network buffers of the list.
        while let Some(buffer) = unsafe { pointer::<NetBuffer>(next).as_ref() } {
            action = action.max(self.frame(point, buffer, interface.unwrap_or_default()));
            next = buffer.next;
        }
        if action == Action::Transmit {
            self.send();
        }
        action
    }

    /// One frame. What cannot be reached is not let through.
    fn frame(&self, point: Point<'_>, buffer: &NetBuffer, interface: u32) -> Action {
        // SAFETY: a network buffer of the platform.
        match unsafe { packet::bytes(buffer) } {
            None => Action::Absorb,
            Some(Bytes::Whole { address, length }) => with_run(self.engine, |run| {
                // SAFETY: the bytes are mapped while the frame is classified.
                let frame = unsafe { Frame::new(address, length, interface) };
                frame::classify(run, point, frame)
            }),
            Some(Bytes::Gathered(mut all)) => {
                let action = with_run(self.engine, |run| {
                    frame::classify(run, point, Frame::of(&mut all, interface))
                });
                // SAFETY: the bytes came from this buffer.
                match unsafe { packet::scatter(buffer, &all) } {
                    Some(()) => action,
                    None => Action::Absorb,
                }
            }
        }
    }

    /// Sends a clone of the frames out of the interface that they came in through. They are
    /// absorbed even if that fails, as a full queue of an adapter would lose them.
    fn send(&self) {
        let (engine, api) = (self.engine, &self.engine.api);
        let fields = self.values.fields();
        let interface = self
            .values
            .u32(fields.interface_index())
            .unwrap_or_default();
        let port = self.values.u32(fields.ndis_port()).unwrap_or_default();
        let mut clone = core::ptr::null_mut();
        // SAFETY: the layer's data is a list of network buffers; the clone is freed by whoever
        // completes it, or here when nobody will.
        unsafe {
            if (api.clone_allocate)(pointer(self.data), 0, 0, 0, &raw mut clone) < 0 {
                return;
            }
            let sending = (api.inject_mac_send)(
                engine.injection,
                0,
                0,
                layer::OutboundMacFrameNative,
                interface,
                port,
                clone,
                sent,
                core::ptr::from_ref(engine).expose_provenance() as u64,
            );
            if sending < 0 {
                (api.clone_free)(clone, 0);
            }
        }
    }

    fn connect(&self, out: &mut ClassifyOut) {
        let mut record = record::socket(&self.values, self.site.layer);
        record.is_known |= self.is_redirected_here();
        let row = |prefix| TABLE.iter().position(|row| row.attach.prefix == prefix);
        let point = |prefix| row(prefix).and_then(|row| self.engine.point(row));
        let (Some(v4), Some(v6)) = (point("cgroup/connect4"), point("cgroup/connect6")) else {
            return;
        };
        let room = RedirectContext::default();
        let caller = ebpfcore::hooks::Caller {
            redirect: Some(&room),
            ..record::caller(&self.values, self.metadata)
        };
        let decision = with_run(self.engine, |run| {
            socket::connect(run, [v4, v6], &record, &caller)
        });
        if let Some(to) = decision.redirect {
            // A connection that should go elsewhere must not go where it wanted.
            let done = self.redirect(to, record.family, &room, out);
            return apply(
                if done.is_some() {
                    Action::PermitHard
                } else {
                    Action::Block
                },
                out,
            );
        }
        apply(decision.action, out);
        if decision.action == Action::Permit {
            // Others may still redirect it.
            out.action = ACTION_CONTINUE;
        }
    }

    /// Was the connection sent here by a redirection of this engine?
    fn is_redirected_here(&self) -> bool {
        if self.metadata.present & METADATA_REDIRECT_RECORDS == 0 {
            return false;
        }
        let (records, handle) = (self.metadata.redirect_records, self.engine.redirect);
        // SAFETY: records of the platform and a handle of the engine.
        let state = unsafe { (self.engine.api.redirect_state)(records, handle, 0) };
        state == STATE_BY_SELF || state == STATE_PREVIOUSLY_BY_SELF
    }

    /// Gives the connection another destination.
    fn redirect(
        &self,
        to: Endpoint,
        family: Family,
        room: &RedirectContext,
        out: &mut ClassifyOut,
    ) -> Option<()> {
        let api = &self.engine.api;
        let (mut handle, mut data) = (0, 0);
        // SAFETY: the context of this classification; the writable copy is a connect request until
        // it is applied; the handle is released once.
        unsafe {
            if (api.classify_acquire)(self.context, 0, &raw mut handle) < 0 {
                return None;
            }
            let filter = self.filter.id;
            let acquired = (api.layer_data_acquire)(handle, filter, 0, &raw mut data, out);
            let request = match acquired {
                0.. => pointer::<ConnectRequest>(data).as_mut(),
                _ => None,
            };
            let done = request.and_then(|request| self.fill(request, to, family, room));
            if acquired >= 0 {
                (api.layer_data_apply)(handle, data, 0);
            }
            (api.classify_release)(handle);
            done
        }
    }

    fn fill(
        &self,
        request: &mut ConnectRequest,
        to: Endpoint,
        family: Family,
        room: &RedirectContext,
    ) -> Option<()> {
        if !room.is_empty() {
            let mut bytes = [0; REDIRECT_CONTEXT_BYTES];
            let bytes = room.take(&mut bytes);
            // SAFETY: memory of the pool, which the platform frees.
            unsafe {
                let pool = self.engine.api.pool_allocate;
                let address = pool(NON_PAGED_POOL_NX, bytes.len(), POOL_TAG);
                if address == 0 {
                    return None;
                }
                core::ptr::copy_nonoverlapping(bytes.as_ptr(), pointer(address), bytes.len());
                request.redirect_context = address;
            }
            request.redirect_context_size = bytes.len() as u64;
        }
        request.redirect_handle = self.engine.redirect;
        request.target_process = record::process_id(self.metadata) as u32;
        set_address(&mut request.remote, to, family);
        Some(())
    }
}

/// Port and address of a `SOCKADDR_STORAGE`: at 2, and at 4 or, behind the flow number, at 8.
fn set_address(storage: &mut [u64; 16], to: Endpoint, family: Family) {
    let mut bytes = [0; 24];
    for (place, word) in bytes.chunks_exact_mut(8).zip(&*storage) {
        place.copy_from_slice(&word.to_le_bytes());
    }
    bytes[2..4].copy_from_slice(&to.port.to_be_bytes());
    match family {
        Family::V4 => bytes[4..8].copy_from_slice(&to.address[..4]),
        Family::V6 => bytes[8..24].copy_from_slice(&to.address),
    }
    for (place, word) in bytes.chunks_exact(8).zip(storage) {
        *word = place
            .iter()
            .rev()
            .fold(0, |word, byte| (word << 8) | u64::from(*byte));
    }
}

/// Safety: the context is one that [`Event::keep`] gave away, and is given back once.
unsafe fn flow_is_over(context: u64) {
    // SAFETY: the caller's obligation; the engine outlives its flows.
    unsafe {
        let engine = &*crate::flows::engine_of(context);
        let kept = engine.flows.take(engine.core.platform(), context);
        let row = TABLE.iter().position(|row| row.kind == Kind::Flow);
        if let Some(point) = row.and_then(|row| engine.point(row)) {
            with_run(engine, |run| deleted(run, point, kept.flow()));
        }
    }
}
