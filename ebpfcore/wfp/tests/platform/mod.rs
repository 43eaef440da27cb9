//! A filtering platform as small as the engine needs it: it keeps what is registered, calls callouts
//! whose filters are there, and lists what was not taken back.

use ebpfcore::Platform;
use ebpfcore_wfp::{Api, ClassifyFn, FlowDeleteFn, InjectCompleteFn};
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use wdk::{
    classify::{
        ConnectRequest, GROUP_ENABLED, Group, Groups, SID_ADMINISTRATORS, TYPE_TOKEN, Token, fields,
    },
    fwp::*,
    ndis::{MDL_MAPPED, Mdl, NetBuffer, NetBufferList},
};

pub(crate) struct Kernel;

impl Platform for Kernel {
    fn cpu_count(&self) -> u32 {
        1
    }
    fn current_cpu(&self) -> u32 {
        0
    }
    fn raise_irql(&self) -> u8 {
        0
    }
    fn lower_irql(&self, _: u8) {}
    fn relax(&self) {
        std::thread::yield_now();
    }
    fn ktime_ns(&self) -> u64 {
        0
    }
    fn boot_ns(&self) -> u64 {
        0
    }
    fn random_u32(&self) -> u32 {
        4
    }
    fn pid_tid(&self) -> (u32, u32) {
        (1, 2)
    }
    fn logon_id(&self) -> u64 {
        0
    }
    fn is_admin(&self) -> i32 {
        -1
    }
    fn process_start_key(&self) -> u64 {
        0
    }
    fn thread_create_time(&self) -> i64 {
        0
    }
    fn trace(&self, _: &[u8]) {}
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) calls: u32,
    /// The call that is refused.
    pub(crate) refuses: Option<u32>,
    pub(crate) refuses_redirection: bool,
    pub(crate) by_self: bool,
    open: u32,
    next: u32,
    pub(crate) callouts: BTreeMap<u32, Callout>,
    managed: Vec<ManagedCallout>,
    filters: BTreeMap<u64, ManagedFilter>,
    pub(crate) sent: Vec<(u32, u32)>,
    clones: u32,
    pool: BTreeMap<u64, Box<[u64]>>,
    pub(crate) request: Option<ConnectRequest>,
    writable: Option<Box<ConnectRequest>>,
    /// Flow: layer, callout, context.
    pub(crate) flows: BTreeMap<u64, (u16, u32, u64)>,
}

static STATE: Mutex<Option<State>> = Mutex::new(None);
static TURN: Mutex<()> = Mutex::new(());

/// One platform at a time: its functions have no context.
pub(crate) struct Fake {
    _turn: MutexGuard<'static, ()>,
}

fn with<T>(work: impl FnOnce(&mut State) -> T) -> T {
    let mut state = STATE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    work(state.get_or_insert_default())
}

/// Counts a call; the one that shall fail does.
fn call(work: impl FnOnce(&mut State)) -> i32 {
    with(|state| {
        state.calls += 1;
        if state.refuses == Some(state.calls - 1) {
            return -1;
        }
        work(state);
        0
    })
}

fn at<T>(value: &T) -> u64 {
    std::ptr::from_ref(value).expose_provenance() as u64
}

unsafe extern "win64" fn open(_: u64, _: u32, _: u64, _: *const Session, out: *mut u64) -> i32 {
    call(|state| {
        state.open += 1;
        // SAFETY: a place for the result.
        unsafe { *out = 11 };
    })
}
unsafe extern "win64" fn close(_: u64) -> i32 {
    with(|state| {
        state.open -= 1;
        state.filters.clear();
        state.managed.clear();
    });
    0
}
unsafe extern "win64" fn sublayer(_: u64, _: *const Sublayer, _: u64) -> i32 {
    call(|_| ())
}
unsafe extern "win64" fn add(_: u64, callout: *const ManagedCallout, _: u64, _: *mut u32) -> i32 {
    // SAFETY: a complete structure.
    call(|state| state.managed.push(unsafe { *callout }))
}
unsafe extern "win64" fn filter(_: u64, filter: *const ManagedFilter, _: u64, id: *mut u64) -> i32 {
    call(|state| {
        state.next += 1;
        // SAFETY: a complete structure and a place for the result.
        unsafe {
            *id = u64::from(state.next);
            state.filters.insert(*id, *filter);
        }
    })
}
unsafe extern "win64" fn unfilter(_: u64, id: u64) -> i32 {
    with(|state| state.filters.remove(&id).map_or(-1, |_| 0))
}
unsafe extern "win64" fn register(device: u64, callout: *const Callout, id: *mut u32) -> i32 {
    assert_eq!(device, 1);
    call(|state| {
        state.next += 1;
        // SAFETY: a complete structure and a place for the result.
        unsafe {
            *id = state.next;
            state.callouts.insert(*id, *callout);
        }
    })
}
unsafe extern "win64" fn unregister(id: u32) -> i32 {
    with(|state| {
        assert!(!state.flows.values().any(|flow| flow.1 == id), "busy");
        state.callouts.remove(&id).map_or(-1, |_| 0)
    })
}
unsafe extern "win64" fn associate(flow: u64, layer: u16, callout: u32, context: u64) -> i32 {
    with(|state| state.flows.insert(flow, (layer, callout, context)));
    0
}
unsafe extern "win64" fn disassociate(flow: u64, _: u16, _: u32) -> i32 {
    end(flow);
    0
}
unsafe extern "win64" fn handle(_: u16, _: u32, out: *mut u64) -> i32 {
    call(|state| {
        state.open += 1;
        // SAFETY: a place for the result.
        unsafe { *out = 12 };
    })
}
unsafe extern "win64" fn unhandle(_: u64) -> i32 {
    with(|state| state.open -= 1);
    0
}
unsafe extern "win64" fn injected(_: u64, _: *const NetBufferList, _: u64) -> u32 {
    u32::from(with(|state| state.by_self))
}
unsafe extern "win64" fn send(
    _: u64,
    _: u64,
    _: u32,
    layer: u16,
    interface: u32,
    port: u32,
    list: *mut NetBufferList,
    done: InjectCompleteFn,
    context: u64,
) -> i32 {
    assert_eq!(layer, layer::OutboundMacFrameNative);
    with(|state| state.sent.push((interface, port)));
    // SAFETY: the engine's completion function.
    unsafe { done(context, list, 1) };
    0
}
unsafe extern "win64" fn clone(
    original: *mut NetBufferList,
    _: u64,
    _: u64,
    _: u32,
    out: *mut *mut NetBufferList,
) -> i32 {
    with(|state| state.clones += 1);
    // SAFETY: a place for the result.
    unsafe { *out = original };
    0
}
unsafe extern "win64" fn unclone(_: *mut NetBufferList, _: u32) {
    with(|state| state.clones -= 1);
}
unsafe extern "win64" fn redirector(_: *const abi::Guid, _: u32, out: *mut u64) -> i32 {
    call(|state| {
        state.open += 1;
        // SAFETY: a place for the result.
        unsafe { *out = 13 };
    })
}
unsafe extern "win64" fn unredirector(_: u64) {
    with(|state| state.open -= 1);
}
unsafe extern "win64" fn redirected(_: u64, _: u64, _: u64) -> u32 {
    0
}
unsafe extern "win64" fn acquire(_: u64, _: u32, out: *mut u64) -> i32 {
    with(|state| state.open += 1);
    // SAFETY: a place for the result.
    unsafe { *out = 14 };
    0
}
unsafe extern "win64" fn release(_: u64) {
    with(|state| state.open -= 1);
}
unsafe extern "win64" fn data(_: u64, _: u64, _: u32, out: *mut u64, _: *mut ClassifyOut) -> i32 {
    with(|state| {
        if state.refuses_redirection {
            return -1;
        }
        let mut request = Box::new(ConnectRequest {
            local: [0; 16],
            remote: [0; 16],
            port_reservation: 0,
            target_process: 0,
            reserved: 0,
            previous: 0,
            modifier_filter: 0,
            redirect_handle: 0,
            redirect_context: 0,
            redirect_context_size: 0,
        });
        request.remote[0] = 2;
        // SAFETY: a place for the result.
        unsafe { *out = std::ptr::from_mut(request.as_mut()).expose_provenance() as u64 };
        state.writable = Some(request);
        0
    })
}
unsafe extern "win64" fn apply(_: u64, _: u64, _: u32) {
    with(|state| state.request = state.writable.take().map(|request| *request));
}
unsafe extern "win64" fn allocate(_: u32, bytes: usize, _: u32) -> u64 {
    let memory = vec![0u64; bytes.div_ceil(8)].into_boxed_slice();
    let address = memory.as_ptr().expose_provenance() as u64;
    with(|state| state.pool.insert(address, memory));
    address
}
unsafe extern "win64" fn free(address: u64, _: u32) {
    with(|state| assert!(state.pool.remove(&address).is_some()));
}

/// A flow is over.
fn end(flow: u64) {
    let (layer, callout, context) = with(|state| state.flows.remove(&flow).unwrap());
    let callout = with(|state| state.callouts[&callout]);
    let delete = std::ptr::with_exposed_provenance::<()>(callout.flow_delete as usize);
    // SAFETY: the engine registered a function of this type.
    unsafe { std::mem::transmute::<*const (), FlowDeleteFn>(delete)(layer, 0, context) };
}

/// A connection as layers describe it.
pub(crate) struct Connection {
    port: u16,
    compartment: u32,
}

/// From 10.0.0.1:50000 to 192.168.7.9.
pub(crate) fn v4(port: u16, compartment: u32) -> Connection {
    Connection { port, compartment }
}

impl Fake {
    pub(crate) fn new() -> Fake {
        let turn = TURN
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        *STATE
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = None;
        Fake { _turn: turn }
    }

    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        with(work)
    }

    pub(crate) fn api(&self) -> Api {
        Api {
            engine_open: open,
            engine_close: close,
            sublayer_add: sublayer,
            callout_add: add,
            filter_add: filter,
            filter_delete: unfilter,
            callout_register: register,
            callout_unregister: unregister,
            flow_associate: associate,
            flow_remove: disassociate,
            injection_create: handle,
            injection_destroy: unhandle,
            injection_state: injected,
            inject_mac_send: send,
            clone_allocate: clone,
            clone_free: unclone,
            redirect_create: redirector,
            redirect_destroy: unredirector,
            redirect_state: redirected,
            classify_acquire: acquire,
            classify_release: release,
            layer_data_acquire: data,
            layer_data_apply: apply,
            pool_allocate: allocate,
            pool_free: free,
        }
    }

    /// Layers with filters, in the order of their making.
    pub(crate) fn filters(&self) -> Vec<u16> {
        let layer = |filter: &ManagedFilter| layer_of(filter.layer).unwrap().number;
        let mut layers: Vec<u16> = with(|state| state.filters.values().map(layer).collect());
        layers.sort_unstable();
        layers
    }

    /// Nothing is left of the engine.
    pub(crate) fn assert_empty(&self) {
        with(|state| {
            assert_eq!((state.open, state.clones), (0, 0), "handles and clones");
            assert_eq!((state.callouts.len(), state.filters.len()), (0, 0));
            assert_eq!((state.flows.len(), state.pool.len()), (0, 0));
        });
    }

    /// Takes memory of the pool, as the platform frees what it was given.
    ///
    /// # Safety
    ///
    /// The memory holds a `T`.
    pub(crate) unsafe fn take_pool<T: Copy>(&self, address: u64) -> T {
        // SAFETY: the caller's obligation.
        let value = unsafe { *std::ptr::with_exposed_provenance::<T>(address as usize) };
        with(|state| state.pool.remove(&address).unwrap());
        value
    }

    /// Asks the callout of the filter at a layer.
    fn classify(&self, layer: u16, values: &[Value], data: u64) -> ClassifyOut {
        let mut out = ClassifyOut {
            action: ACTION_CONTINUE,
            rights: RIGHT_ACTION_WRITE,
            ..ClassifyOut::default()
        };
        let of_layer =
            |(_, filter): &(&u64, &ManagedFilter)| layer_of(filter.layer).unwrap().number == layer;
        let found = with(|state| {
            let (id, filter) = state.filters.iter().find(of_layer)?;
            let mut callouts = state.callouts.values();
            let callout = callouts.find(|callout| callout.key == filter.callout)?;
            Some((*id, *filter, *callout))
        });
        let (id, filter, callout) = found.unwrap();
        let incoming = IncomingValues {
            layer,
            count: values.len() as u32,
            values: values.as_ptr().expose_provenance() as u64,
            ..IncomingValues::default()
        };
        let metadata = IncomingMetadata {
            present: METADATA_PROCESS_ID | METADATA_FLOW,
            process_id: 4321,
            flow: with(|state| state.flows.len() as u64 + 1),
            ..IncomingMetadata::default()
        };
        let filter = Filter {
            id,
            context: filter.context[0],
            ..Filter::default()
        };
        let classify = std::ptr::with_exposed_provenance::<()>(callout.classify as usize);
        // SAFETY: the engine registered a function of this type.
        unsafe {
            let classify = std::mem::transmute::<*const (), ClassifyFn>(classify);
            classify(
                &raw const incoming,
                &raw const metadata,
                data,
                99,
                &raw const filter,
                0,
                &raw mut out,
            );
        }
        out
    }

    /// Indicates a frame in pieces; gives the decision and the frame afterwards.
    pub(crate) fn frame(
        &self,
        interface: u32,
        bytes: &[u8],
        pieces: &[usize],
    ) -> (ClassifyOut, Vec<u8>) {
        // Each piece lies somewhere else, behind three bytes that are not the frame's.
        let mut rest = bytes;
        let mut memory: Vec<Vec<u8>> = Vec::new();
        for piece in pieces {
            let (part, others) = rest.split_at(*piece);
            memory.push([&[0xee; 3], part].concat());
            rest = others;
        }
        let mut mdls: Vec<Mdl> = memory
            .iter_mut()
            .map(|piece| Mdl {
                flags: MDL_MAPPED,
                system_address: piece.as_mut_ptr().expose_provenance() as u64,
                byte_count: piece.len() as u32,
                ..Mdl::default()
            })
            .collect();
        // The first one begins with bytes of somebody else; the others are all frame.
        for mdl in &mut mdls[1..] {
            mdl.system_address += 3;
            mdl.byte_count -= 3;
        }
        for number in 1..mdls.len() {
            let next = at(&mdls[number]);
            mdls[number - 1].next = next;
        }
        let buffer = NetBuffer {
            current_mdl: at(&mdls[0]),
            mdl_chain: at(&mdls[0]),
            current_mdl_offset: 3,
            data_offset: 3,
            data_length: bytes.len() as u32,
            ..NetBuffer::default()
        };
        let list = NetBufferList {
            first: at(&buffer),
            ..NetBufferList::default()
        };
        let fields = fields(layer::InboundMacFrameNative).unwrap();
        let mut values = [Value::default(); 8];
        put(
            &mut values,
            fields.interface_index(),
            TYPE_UINT32,
            u64::from(interface),
        );
        put(&mut values, fields.ndis_port(), TYPE_UINT32, 5);
        let out = self.classify(layer::InboundMacFrameNative, &values, at(&list));
        let after = memory
            .iter()
            .flat_map(|piece| piece[3..].to_vec())
            .collect();
        assert!(memory.iter().all(|piece| piece[..3] == [0xee; 3]));
        (out, after)
    }

    pub(crate) fn socket(&self, layer: u16, connection: &Connection, admin: bool) -> ClassifyOut {
        let sid = SID_ADMINISTRATORS;
        let group = Group {
            sid: at(&sid),
            attributes: if admin { GROUP_ENABLED } else { 0 },
            reserved: 0,
        };
        let groups = Groups {
            count: 1,
            reserved: 0,
            groups: at(&group),
        };
        let token = Token {
            groups: at(&groups),
            authentication_id: 0x3e7,
            ..Token::default()
        };
        let blob = Blob {
            size: size_of::<Token>() as u32,
            reserved: 0,
            data: at(&token),
        };
        let mut values = values(layer, connection);
        let fields = fields(layer).unwrap();
        put(&mut values, fields.user_id(), TYPE_TOKEN, at(&blob));
        self.classify(layer, &values, 0)
    }

    pub(crate) fn flow(&self, layer: u16, connection: &Connection, outbound: bool) -> ClassifyOut {
        let mut values = values(layer, connection);
        let fields = fields(layer).unwrap();
        put(
            &mut values,
            fields.direction(),
            TYPE_UINT32,
            u64::from(!outbound),
        );
        self.classify(layer, &values, 0)
    }

    pub(crate) fn end_flow(&self, flow: u64) {
        end(flow);
    }
}

fn values(layer: u16, connection: &Connection) -> Vec<Value> {
    let fields = fields(layer).unwrap();
    let mut values = vec![Value::default(); 40];
    put(
        &mut values,
        fields.local_address(),
        TYPE_UINT32,
        0x0a00_0001,
    );
    put(&mut values, fields.local_port(), TYPE_UINT16, 50_000);
    put(
        &mut values,
        fields.remote_address(),
        TYPE_UINT32,
        0xc0a8_0709,
    );
    put(
        &mut values,
        fields.remote_port(),
        TYPE_UINT16,
        u64::from(connection.port),
    );
    put(&mut values, fields.protocol(), TYPE_UINT8, 6);
    put(
        &mut values,
        fields.compartment(),
        TYPE_UINT32,
        u64::from(connection.compartment),
    );
    values
}

fn put(values: &mut [Value], field: Option<usize>, kind: u32, value: u64) {
    if let Some(field) = field {
        values[field] = Value {
            kind,
            reserved: 0,
            value,
        };
    }
}
