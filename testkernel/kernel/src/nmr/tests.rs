//! The registrar with modules that note what they are called for.

use super::*;
use crate::Machine;
use std::sync::Arc;

const NPI: Guid = Guid::from_u128(1);
const CLIENT: u64 = 0x100;
const PROVIDER: u64 = 0x200;

/// Modules of a test: clients attach in their attach callback unless told otherwise.
#[derive(Default)]
struct Modules {
    calls: Mutex<Vec<String>>,
    bindings: Mutex<Vec<u64>>,
    refuses: bool,
    is_slow: bool,
    machine: Arc<Machine>,
}

impl Modules {
    fn note(&self, text: String) {
        lock(&self.calls).push(text);
    }

    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.calls))
    }

    fn register(&self, side: Side, npi: Guid, context: u64) -> u64 {
        let characteristics = Characteristics {
            length: 72,
            attach: 1,
            detach: 2,
            cleanup: 3,
            ..Characteristics::default()
        };
        let module = ModuleId::new(Guid::from_u128(u128::from(context)));
        let places = (context + 1, context);
        let registration = Registration::new(side, characteristics, places, (npi, module));
        let register = || {
            let registration = registration.unwrap();
            self.machine.registrar.register(registration, self, |_| {})
        };
        self.machine.enter(register)
    }

    fn leave(&self, handle: u64, side: Side) {
        let registrar = &self.machine.registrar;
        self.machine.enter(|| {
            assert_eq!(registrar.deregister(handle, side, self), status::PENDING);
            assert_eq!(registrar.wait_deregistered(handle, side), status::SUCCESS);
        });
    }
}

impl Callbacks for Modules {
    fn client_attach(&self, _: u64, [binding, context, instance]: [u64; 3]) -> u32 {
        self.note(format!("offer {instance:x} to {context:x}"));
        if self.refuses {
            return status::NOINTERFACE;
        }
        let registrar = &self.machine.registrar;
        let (answer, provider, table) =
            registrar.client_attach(binding, context + 0x10, 0xd15, self);
        assert_eq!((answer, table), (status::SUCCESS, 0));
        assert_eq!(provider & 0xf00, PROVIDER);
        lock(&self.bindings).push(binding);
        answer
    }

    fn provider_attach(&self, _: u64, arguments: [u64; 5]) -> (u32, u64, u64) {
        let [_, context, instance, client, dispatch] = arguments;
        self.note(format!(
            "{context:x} attaches {instance:x} {client:x} {dispatch:x}"
        ));
        (status::SUCCESS, context + 0x20, 0)
    }

    fn detach(&self, _: u64, context: u64) -> u32 {
        self.note(format!("detach {context:x}"));
        match self.is_slow && context & 0xf00 == PROVIDER {
            true => status::PENDING,
            false => status::SUCCESS,
        }
    }

    fn cleanup(&self, _: u64, context: u64) {
        self.note(format!("clean {context:x}"));
    }
}

const ATTACHED: [&str; 2] = ["offer 201 to 100", "200 attaches 101 110 d15"];
const DETACHED: [&str; 4] = ["detach 110", "detach 220", "clean 110", "clean 220"];

#[test]
fn either_side_may_come_first_and_leave_first() {
    for first in [Side::Client, Side::Provider] {
        for leaves in [Side::Client, Side::Provider] {
            let modules = Modules::default();
            let register = |side| match side {
                Side::Client => modules.register(side, NPI, CLIENT),
                Side::Provider => modules.register(side, NPI, PROVIDER),
            };
            let second = match first {
                Side::Client => Side::Provider,
                Side::Provider => Side::Client,
            };
            let mut handles = [(first, register(first)), (second, register(second))];
            assert_eq!(modules.calls(), ATTACHED);
            if handles[0].0 != leaves {
                handles.reverse();
            }
            modules.leave(handles[0].1, leaves);
            assert_eq!(modules.calls(), DETACHED);
            modules.leave(handles[1].1, handles[1].0);
            assert!(modules.calls().is_empty());
            assert!(modules.machine.registrar.registrations().is_empty());
            assert_eq!(modules.machine.reports.violations(), [""; 0]);
        }
    }
}

#[test]
fn every_client_meets_every_provider_of_its_interface_only() {
    let modules = Modules::default();
    modules.register(Side::Client, NPI, CLIENT);
    modules.register(Side::Client, Guid::from_u128(2), CLIENT + 2);
    modules.register(Side::Provider, NPI, PROVIDER);
    modules.register(Side::Provider, NPI, PROVIDER + 4);
    modules.register(Side::Client, NPI, CLIENT + 6);
    let offers: Vec<String> = modules.calls();
    let offers: Vec<&String> = offers
        .iter()
        .filter(|call| call.starts_with("offer"))
        .collect();
    let expected = [
        "offer 201 to 100",
        "offer 205 to 100",
        "offer 201 to 106",
        "offer 205 to 106",
    ];
    assert_eq!(offers, expected);
}

#[test]
fn a_refused_offer_leaves_nothing() {
    let modules = Modules {
        refuses: true,
        ..Modules::default()
    };
    let client = modules.register(Side::Client, NPI, CLIENT);
    modules.register(Side::Provider, NPI, PROVIDER);
    assert_eq!(modules.calls(), ATTACHED[..1]);
    let answer = modules.machine.registrar.registrations()[0].answer;
    assert_eq!(answer, Some(status::NOINTERFACE));
    modules.leave(client, Side::Client);
    assert!(modules.calls().is_empty());
    assert_eq!(modules.machine.reports.violations(), [""; 0]);
}

#[test]
fn deregistering_waits_for_a_pending_detach() {
    let modules = Modules {
        is_slow: true,
        ..Modules::default()
    };
    let client = modules.register(Side::Client, NPI, CLIENT);
    modules.register(Side::Provider, NPI, PROVIDER);
    let binding = lock(&modules.bindings)[0];
    modules.calls();
    std::thread::scope(|scope| {
        let leaving = scope.spawn(|| modules.leave(client, Side::Client));
        while lock(&modules.calls).len() < 2 {
            std::thread::yield_now();
        }
        assert!(!leaving.is_finished());
        assert_eq!(lock(&modules.calls)[..], DETACHED[..2]);
        let registrar = &modules.machine.registrar;
        modules
            .machine
            .enter(|| registrar.detached(binding, Side::Provider, &modules));
    });
    assert_eq!(modules.calls(), DETACHED);
    assert_eq!(modules.machine.reports.violations(), [""; 0]);
}

#[test]
fn wrong_calls_are_told() {
    let modules = Modules::default();
    let client = modules.register(Side::Client, NPI, CLIENT);
    modules.register(Side::Provider, NPI, PROVIDER);
    let binding = lock(&modules.bindings)[0];
    let registrar = &modules.machine.registrar;
    modules.machine.enter(|| {
        assert_eq!(
            registrar.wait_deregistered(client, Side::Client),
            status::INVALID_HANDLE
        );
        assert_eq!(
            registrar.deregister(client, Side::Provider, &modules),
            status::INVALID_HANDLE
        );
        registrar.detached(binding, Side::Client, &modules);
        registrar.detached(7, Side::Client, &modules);
        let late = registrar.client_attach(binding, 0, 0, &modules);
        assert_eq!(late.0, status::INVALID_PARAMETER);
    });
    assert_eq!(modules.machine.reports.violations().len(), 5);
}
