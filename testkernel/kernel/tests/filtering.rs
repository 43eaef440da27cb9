//! A driver that filters, played by this test through the functions that drivers import.
#![cfg(target_arch = "x86_64")]
#![allow(unsafe_code, reason = "plays a driver")]
#![allow(clippy::unwrap_used, reason = "a test may stop")]

use abi::Guid;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use testkernel::Machine;
use testkernel::control::{Request, serve};
use testkernel::event::{Answer, Event, Field};
use testkernel::raw::{address, get, put};
use testkernel::traffic::{Outcome, Traffic};
use wdk::fwp::{self as w, layer};
use wdk::ndis::NetBufferList;

const CALLOUT: Guid = Guid::from_u128(0xca11);
const SUBLAYER: Guid = Guid::from_u128(0x50b);

fn at<T>(value: &T) -> u64 {
    std::ptr::from_ref(value).expose_provenance() as u64
}

/// Calls an import with up to nine arguments; more than it takes do no harm.
fn call(module: &str, name: &str, arguments: &[u64]) -> u64 {
    type Function = extern "win64" fn(u64, u64, u64, u64, u64, u64, u64, u64, u64) -> u64;
    let function = address(module, name).unwrap_or_else(|| panic!("{name}"));
    let function = std::ptr::with_exposed_provenance::<()>(function as usize);
    // SAFETY: numbers in registers and on the stack, as the convention has them.
    let function: Function = unsafe { std::mem::transmute(function) };
    let a = |at: usize| arguments.get(at).copied().unwrap_or(0);
    function(a(0), a(1), a(2), a(3), a(4), a(5), a(6), a(7), a(8))
}

fn fwp(name: &str, arguments: &[u64]) -> u32 {
    call("fwpkclnt.sys", name, arguments) as u32
}

/// What the pretended driver keeps; filter contexts point at it.
#[derive(Default)]
struct Driver {
    injection: u64,
    session: u64,
    callout: u32,
    notified: AtomicU64,
}

/// By its first byte a frame is passed (0), dropped (1) or sent back (2).
extern "win64" fn classify(
    values: u64,
    metadata: u64,
    data: u64,
    context: u64,
    filter: u64,
    flow: u64,
    out: &mut w::ClassifyOut,
) {
    // SAFETY: what the platform passes.
    unsafe {
        let values: w::IncomingValues = get(values).unwrap();
        let filter: w::Filter = get(filter).unwrap();
        let driver = &*std::ptr::with_exposed_provenance::<Driver>(filter.context as usize);
        let first = match values.layer {
            layer::InboundMacFrameNative => first_byte(data),
            layer::AleConnectRedirectV4 => {
                redirect(context, filter.id);
                0
            }
            layer::AleFlowEstablishedV4 => {
                let metadata: w::IncomingMetadata = get(metadata).unwrap();
                assert_eq!(flow, 0);
                let id = u64::from(filter.callout_id);
                let layer = u64::from(values.layer);
                assert_eq!(
                    fwp("FwpsFlowAssociateContext0", &[metadata.flow, layer, id, 77]),
                    0
                );
                0
            }
            _ => get::<w::Value>(values.values).unwrap().value as u8,
        };
        match first {
            0 => out.action = w::ACTION_PERMIT,
            1 => out.action = w::ACTION_BLOCK,
            _ => send_back(driver, data, &values, out),
        }
    }
}

unsafe fn first_byte(list: u64) -> u8 {
    // SAFETY: what the platform passes.
    let list: NetBufferList = unsafe { get(list) }.unwrap();
    let storage = [0u8; 4];
    let found = call(
        "ndis.sys",
        "NdisGetDataBuffer",
        &[list.first, 4, at(&storage), 1, 0],
    );
    // SAFETY: what the function gave.
    let bytes: [u8; 4] = unsafe { get(found) }.unwrap();
    assert_eq!(bytes[1..], [1, 2, 3]);
    bytes[0]
}

unsafe fn send_back(
    driver: &Driver,
    list: u64,
    values: &w::IncomingValues,
    out: &mut w::ClassifyOut,
) {
    const INDEX: u64 = 4;
    let mut clone = 0u64;
    let variable = (&raw mut clone).expose_provenance() as u64;
    assert_eq!(
        fwp(
            "FwpsAllocateCloneNetBufferList0",
            &[list, 0, 0, 0, variable]
        ),
        0
    );
    // SAFETY: what the platform passes.
    let index: w::Value = unsafe { get(values.values + INDEX * 16) }.unwrap();
    let done = (sent as *const ()).expose_provenance() as u64;
    let out_layer = u64::from(layer::OutboundMacFrameNative);
    let arguments = [
        driver.injection,
        0,
        0,
        out_layer,
        index.value,
        0,
        clone,
        done,
        5,
    ];
    assert_eq!(fwp("FwpsInjectMacSendAsync0", &arguments), 0);
    out.action = w::ACTION_BLOCK;
    out.rights &= !w::RIGHT_ACTION_WRITE;
    out.flags |= w::OUT_FLAG_ABSORB;
}

extern "win64" fn sent(context: u64, clone: u64, is_dispatch: u8) {
    assert_eq!((context, is_dispatch), (5, 1));
    fwp("FwpsFreeCloneNetBufferList0", &[clone, 0]);
}

unsafe fn redirect(context: u64, filter: u64) {
    const REMOTE_PORT: u64 = 128 + 2;
    let (mut handle, mut data) = (0u64, 0u64);
    let handle_at = (&raw mut handle).expose_provenance() as u64;
    let data_at = (&raw mut data).expose_provenance() as u64;
    assert_eq!(
        fwp("FwpsAcquireClassifyHandle0", &[context, 0, handle_at]),
        0
    );
    let arguments = [handle, filter, 0, data_at, 0];
    assert_eq!(fwp("FwpsAcquireWritableLayerDataPointer0", &arguments), 0);
    // SAFETY: the connect request.
    unsafe { put(data + REMOTE_PORT, 8080u16.to_be_bytes()) }.unwrap();
    fwp("FwpsApplyModifiedLayerData0", &[handle, data, 0]);
    fwp("FwpsReleaseClassifyHandle0", &[handle]);
}

extern "win64" fn notify(_what: u32, _key: u64, filter: u64) -> u32 {
    // SAFETY: what the platform passes.
    let filter: w::Filter = unsafe { get(filter) }.unwrap();
    let driver = std::ptr::with_exposed_provenance::<Driver>(filter.context as usize);
    // SAFETY: the context of this test's filters.
    unsafe { &*driver }.notified.fetch_add(1, Ordering::Relaxed);
    0
}

static FLOWS_DELETED: AtomicU64 = AtomicU64::new(0);

extern "win64" fn flow_deleted(_layer: u16, _callout: u32, context: u64) {
    FLOWS_DELETED.fetch_add(context, Ordering::Relaxed);
}

fn function(function: *const ()) -> u64 {
    function.expose_provenance() as u64
}

/// What a driver does when it starts.
fn start(of: u16) -> Box<Driver> {
    let mut driver = Box::new(Driver::default());
    let layer = w::layer_numbered(of).unwrap().key;
    let registered = w::Callout {
        key: CALLOUT,
        classify: function(classify as *const ()),
        notify: function(notify as *const ()),
        flow_delete: function(flow_deleted as *const ()),
        ..w::Callout::default()
    };
    let mut id = 0u32;
    let id_at = (&raw mut id).expose_provenance() as u64;
    assert_eq!(fwp("FwpsCalloutRegister1", &[0, at(&registered), id_at]), 0);
    driver.callout = id;
    let session = w::Session {
        flags: w::SESSION_DYNAMIC,
        ..w::Session::default()
    };
    let handle = (&raw mut driver.session).expose_provenance() as u64;
    assert_eq!(fwp("FwpmEngineOpen0", &[0, 10, 0, at(&session), handle]), 0);
    let session = driver.session;
    assert_eq!(fwp("FwpmTransactionBegin0", &[session, 0]), 0);
    let sublayer = w::Sublayer {
        key: SUBLAYER,
        weight: 9,
        ..w::Sublayer::default()
    };
    assert_eq!(fwp("FwpmSubLayerAdd0", &[session, at(&sublayer), 0]), 0);
    let callout = w::ManagedCallout {
        key: CALLOUT,
        layer,
        ..w::ManagedCallout::default()
    };
    assert_eq!(fwp("FwpmCalloutAdd0", &[session, at(&callout), 0, 0]), 0);
    let filter = w::ManagedFilter {
        layer,
        sublayer: SUBLAYER,
        action: w::ACTION_CALLOUT_TERMINATING,
        callout: CALLOUT,
        context: [at(&*driver), 0],
        ..w::ManagedFilter::default()
    };
    assert_eq!(fwp("FwpmFilterAdd0", &[session, at(&filter), 0, 0]), 0);
    let handle = (&raw mut driver.injection).expose_provenance() as u64;
    assert_eq!(fwp("FwpsInjectionHandleCreate0", &[0, 1, handle]), 0);
    assert_eq!(fwp("FwpmTransactionCommit0", &[session]), 0);
    driver
}

/// What a driver does when it stops.
fn stop(driver: &Driver) {
    assert_eq!(fwp("FwpmEngineClose0", &[driver.session]), 0);
    assert_eq!(
        fwp("FwpsCalloutUnregisterById0", &[u64::from(driver.callout)]),
        0
    );
    assert_eq!(fwp("FwpsInjectionHandleDestroy0", &[driver.injection]), 0);
    assert_eq!(driver.notified.load(Ordering::Relaxed), 2);
}

fn traffic(split: u32, rounds: u64) -> Traffic {
    let frame = |first: u8, len: usize| [&[first, 1, 2, 3][..], &vec![7; len]].concat();
    Traffic {
        interface: 6,
        split,
        rate: 0,
        rounds,
        threads: 2,
        frames: vec![frame(0, 60), frame(1, 60), frame(2, 200)],
    }
}

fn bring(traffic: &Traffic) -> Vec<(u64, u64)> {
    let reply = serve(&Request::Traffic(traffic.clone()).encode());
    let outcome = Outcome::read(&reply).unwrap();
    outcome
        .counts
        .iter()
        .map(|count| (count.passed, count.dropped))
        .collect()
}

fn report() -> String {
    String::from_utf8(serve(&Request::Report.encode())).unwrap()
}

#[test]
fn frames_are_passed_dropped_and_sent_back() {
    let machine: Arc<Machine> = Arc::default();
    machine.enter(|| {
        assert_eq!(bring(&traffic(9999, 10)), [(20, 0); 3]);
        let driver = start(layer::InboundMacFrameNative);
        for split in [9999, 100, 2] {
            assert_eq!(
                bring(&traffic(split, 10)),
                [(20, 0), (0, 20), (0, 20)],
                "{split}"
            );
        }
        stop(&driver);
        assert_eq!(bring(&traffic(9999, 10)), [(20, 0); 3]);
        let sent = String::from_utf8(serve(&Request::Sent.encode())).unwrap();
        assert!(sent.starts_with("60\n6 02 01 02 03 07 07"), "{sent}");
        assert_eq!(report(), "");
    });
}

#[test]
fn what_is_left_behind_is_reported() {
    let machine: Arc<Machine> = Arc::default();
    machine.enter(|| {
        let driver = start(layer::InboundMacFrameNative);
        assert_eq!(report().matches("left: ").count(), 6, "{}", report());
        stop(&driver);
        assert_eq!(report(), "");
    });
}

#[test]
fn drivers_come_and_go_under_traffic() {
    let machine: Arc<Machine> = Arc::default();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let traffic = || {
            machine.enter(|| {
                while !is_over.load(Ordering::Relaxed) {
                    // The frame that is to be passed is never lost.
                    assert_eq!(bring(&traffic(100, 50))[0], (100, 0));
                }
            });
        };
        scope.spawn(traffic);
        machine.enter(|| {
            for _ in 0..200 {
                let driver = start(layer::InboundMacFrameNative);
                std::thread::yield_now();
                stop(&driver);
            }
        });
        is_over.store(true, Ordering::Relaxed);
    });
    machine.enter(|| assert_eq!(report(), ""));
}

fn ask(event: &Event) -> Answer {
    Answer::read(&serve(&Request::Event(event.clone()).encode())).unwrap()
}

#[test]
fn socket_events_are_answered() {
    let machine: Arc<Machine> = Arc::default();
    machine.enter(|| {
        let driver = start(layer::AleAuthConnectV4);
        for (first, is_blocked) in [(0, false), (1, true)] {
            let values = vec![(0, Field::U8(first)), (3, Field::Bytes16([1; 16]))];
            let event = Event {
                layer: layer::AleAuthConnectV4,
                values,
                ..Event::default()
            };
            assert_eq!(ask(&event).is_blocked, is_blocked);
        }
        stop(&driver);
        let driver = start(layer::AleConnectRedirectV4);
        let request = Some((vec![2, 0, 1, 2], vec![2, 0, 0, 80, 10, 0, 0, 1]));
        let event = Event {
            layer: layer::AleConnectRedirectV4,
            request,
            ..Event::default()
        };
        let answer = ask(&event);
        assert_eq!(answer.remote.unwrap()[..8], [2, 0, 0x1f, 0x90, 10, 0, 0, 1]);
        stop(&driver);
        assert_eq!(report(), "");
    });
}

#[test]
fn callouts_are_told_when_flows_end() {
    let machine: Arc<Machine> = Arc::default();
    machine.enter(|| {
        let driver = start(layer::AleFlowEstablishedV4);
        let event = Event {
            layer: layer::AleFlowEstablishedV4,
            flow: 9,
            ..Event::default()
        };
        assert!(!ask(&event).is_blocked);
        let busy = fwp("FwpsCalloutUnregisterById0", &[u64::from(driver.callout)]);
        assert_eq!(busy, testkernel::wfp::status::DEVICE_BUSY);
        let _ = serve(&Request::EndFlow(9).encode());
        assert_eq!(FLOWS_DELETED.load(Ordering::Relaxed), 77);
        stop(&driver);
        assert_eq!(report(), "");
    });
}

#[test]
fn an_aborted_transaction_changes_nothing() {
    let machine: Arc<Machine> = Arc::default();
    machine.enter(|| {
        let mut session = 0u64;
        let handle = (&raw mut session).expose_provenance() as u64;
        assert_eq!(fwp("FwpmEngineOpen0", &[0, 10, 0, 0, handle]), 0);
        assert_eq!(fwp("FwpmTransactionBegin0", &[session, 0]), 0);
        let sublayer = w::Sublayer {
            key: SUBLAYER,
            ..w::Sublayer::default()
        };
        assert_eq!(fwp("FwpmSubLayerAdd0", &[session, at(&sublayer), 0]), 0);
        assert_eq!(fwp("FwpmTransactionAbort0", &[session]), 0);
        let none = fwp("FwpmSubLayerDeleteByKey0", &[session, at(&SUBLAYER)]);
        assert_eq!(none, testkernel::wfp::status::SUBLAYER_NOT_FOUND);
        assert_eq!(fwp("FwpmEngineClose0", &[session]), 0);
        assert_eq!(report(), "");
    });
}

#[test]
fn messages_that_are_none_are_refused() {
    let event = Event {
        layer: 48,
        values: vec![(1, Field::U64(5)), (2, Field::Blob(vec![1, 2]))],
        request: Some((vec![1], vec![])),
        ..Event::default()
    };
    let requests = [
        Request::Report,
        Request::Traffic(traffic(5, 1)),
        Request::Event(event),
    ];
    for request in requests {
        let bytes = request.encode();
        assert_eq!(Request::decode(&bytes), Some(request));
        for len in 0..bytes.len() {
            assert_eq!(Request::decode(&bytes[..len]), None);
        }
        assert_eq!(Request::decode(&[&bytes[..], &[0]].concat()), None);
    }
}
