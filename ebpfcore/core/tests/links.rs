//! Hooks and links: who is called, in which order, and that nothing is called once it is detached.
#![expect(unsafe_code, reason = "invokes programs on contexts in memory")]
#![allow(clippy::unwrap_used, reason = "a test may stop")]

mod support;

use abi::{Platform, program_type::by_section};
use ebpfcore::{
    CONTEXT_HEADER_BYTES, Code, Core, Hook, Link, Machine, Program, Shared, Status,
    interpreter::{Callee, Links, translate},
    link::{Capacity, LINKS, PARAMETER_BYTES},
};
use isa::{AluOp, Insn, Operand, Reg, Width};
use std::{
    ops::ControlFlow,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};
use support::core;

struct Nothing;

impl Links for Nothing {
    fn map(&self, _: u32) -> Option<u64> {
        None
    }
    fn map_value(&self, _: u32) -> Option<u64> {
        None
    }
    fn helper(&self, _: i32) -> Option<Callee> {
        None
    }
    fn btf_function(&self, _: i32) -> Option<Callee> {
        None
    }
}

fn attach_type(section: &str) -> &'static abi::AttachType {
    by_section(Platform::Windows, section).unwrap()
}

/// A program that returns a number.
fn returning(core: &Core, section: &str, number: i32) -> Shared<Program> {
    let insns = [
        Insn::Alu {
            op: AluOp::Mov,
            width: Width::W64,
            dst: Reg::R0,
            src: Operand::Imm(number),
        },
        Insn::Exit,
    ];
    let code = translate(&insns, &Nothing).unwrap();
    let code = Code::Interpreted(Machine::new(code, Vec::new()));
    Program::new(core, "p", attach_type(section).program_type, code).unwrap()
}

fn link(core: &Core, section: &str, parameter: &[u8], number: i32) -> Shared<Link> {
    let program = returning(core, section, number);
    Link::new(core, attach_type(section), parameter, program).unwrap()
}

/// What the programs of a hook return, one after the other.
fn invoke(core: &Core, hook: &Hook) -> Vec<u64> {
    invoke_in(core, hook, 7)
}

/// The same on one interface.
fn invoke_in(core: &Core, hook: &Hook, scope: u32) -> Vec<u64> {
    let mut context = vec![0u64; (CONTEXT_HEADER_BYTES + 64) / 8];
    let address = context.as_mut_ptr().expose_provenance() as u64 + CONTEXT_HEADER_BYTES as u64;
    let mut results = Vec::new();
    // SAFETY: a zeroed context with its header; the programs do not look at it.
    unsafe {
        core.enter()
            .invoke_hook((hook, scope), address, |_, result| {
                results.push(result.unwrap());
                ControlFlow::Continue(())
            });
    }
    results
}

#[test]
fn programs_are_called_in_the_order_of_their_links() {
    let (core, _) = core();
    let hook = Hook::new(attach_type("xdp"), Capacity::Many);
    assert_eq!(invoke(&core, &hook), []);
    let links = [1, 2, 3].map(|number| link(&core, "xdp", &[], number));
    for link in &links {
        hook.attach(&core, link).unwrap();
    }
    assert_eq!(invoke(&core, &hook), [1, 2, 3]);
    hook.detach(&core, &links[1]).unwrap();
    assert_eq!(invoke(&core, &hook), [1, 3]);
    assert_eq!(hook.detach(&core, &links[1]), Err(Status::ObjectNotFound));
    hook.detach(&core, &links[0]).unwrap();
    hook.detach(&core, &links[2]).unwrap();
    assert_eq!(invoke(&core, &hook), []);
}

#[test]
fn a_hook_takes_as_many_programs_as_it_says() {
    let (core, _) = core();
    let attach =
        |hook: &Hook, parameter: &[u8]| hook.attach(&core, &link(&core, "xdp", parameter, 1));
    let one = Hook::new(attach_type("xdp"), Capacity::One);
    assert_eq!(attach(&one, &[1, 0, 0, 0]), Ok(()));
    assert_eq!(
        attach(&one, &[2, 0, 0, 0]),
        Err(Status::ObjectAlreadyExists)
    );
    let each = Hook::new(attach_type("xdp"), Capacity::OnePerParameter);
    assert_eq!(attach(&each, &[1, 0, 0, 0]), Ok(()));
    assert_eq!(attach(&each, &[2, 0, 0, 0]), Ok(()));
    assert_eq!(
        attach(&each, &[1, 0, 0, 0]),
        Err(Status::ObjectAlreadyExists)
    );
    let many = Hook::new(attach_type("xdp"), Capacity::Many);
    for _ in 0..LINKS {
        assert_eq!(attach(&many, &[1, 0, 0, 0]), Ok(()));
    }
    assert_eq!(attach(&many, &[1, 0, 0, 0]), Err(Status::OutOfSpace));
    let twice = link(&core, "xdp", &[], 1);
    let many = Hook::new(attach_type("xdp"), Capacity::Many);
    assert_eq!(many.attach(&core, &twice), Ok(()));
    assert_eq!(many.attach(&core, &twice), Err(Status::ObjectAlreadyExists));
}

/// Links for one interface come before links for all, and only see their interface.
#[test]
fn programs_are_called_for_what_their_links_cover() {
    let (core, _) = core();
    let hook = Hook::new(attach_type("xdp"), Capacity::Many);
    for (parameter, number) in [
        (&[][..], 1),
        (&[7, 0, 0, 0][..], 2),
        (&[0; 4][..], 3),
        (&[8, 0, 0, 0][..], 4),
        (&[7, 0, 0, 0][..], 5),
    ] {
        let link = link(&core, "xdp", parameter, number);
        hook.attach(&core, &link).unwrap();
    }
    assert_eq!(invoke_in(&core, &hook, 7), [2, 5, 1, 3]);
    assert_eq!(invoke_in(&core, &hook, 8), [4, 1, 3]);
    assert_eq!(invoke_in(&core, &hook, 9), [1, 3]);
    let each = Hook::new(attach_type("xdp"), Capacity::OnePerParameter);
    let attach = |parameter: &[u8]| each.attach(&core, &link(&core, "xdp", parameter, 1));
    assert_eq!(attach(&[]), Ok(()));
    assert_eq!(attach(&[0; 4]), Err(Status::ObjectAlreadyExists));
}

#[test]
fn a_program_of_another_type_is_refused() {
    let (core, _) = core();
    let bind = returning(&core, "bind", 0);
    let wrong = Link::new(&core, attach_type("xdp"), &[], Shared::clone(&bind));
    assert_eq!(wrong.err(), Some(Status::InvalidArgument));
    let long = [0; PARAMETER_BYTES + 1];
    let wrong = Link::new(&core, attach_type("bind"), &long, Shared::clone(&bind));
    assert_eq!(wrong.err(), Some(Status::InvalidArgument));
    for odd in [&[1u8][..], &[1; 3], &[1; 8]] {
        let wrong = Link::new(&core, attach_type("xdp"), odd, returning(&core, "xdp", 1));
        assert_eq!(wrong.err(), Some(Status::InvalidArgument), "{odd:?}");
    }
    let hook = Hook::new(attach_type("xdp"), Capacity::Many);
    let other = link(&core, "bind", &[], 0);
    assert_eq!(hook.attach(&core, &other), Err(Status::InvalidArgument));
    let right = link(&core, "xdp", &[], 1);
    hook.attach(&core, &right).unwrap();
    let exchanged = hook.exchange(&core, &right, bind);
    assert_eq!(exchanged.err(), Some(Status::InvalidArgument));
}

#[test]
fn a_program_is_exchanged_in_place() {
    let (core, _) = core();
    let hook = Hook::new(attach_type("xdp"), Capacity::Many);
    let (first, second) = (
        link(&core, "xdp", &[], 1),
        link(&core, "xdp", &[7, 0, 0, 0], 2),
    );
    hook.attach(&core, &first).unwrap();
    hook.attach(&core, &second).unwrap();
    let old = hook.exchange(&core, &first, returning(&core, "xdp", 9));
    assert!(old.unwrap().is_some());
    assert_eq!(invoke(&core, &hook), [2, 9]);
    let found = hook.find(&core, None, Some(&[7, 0, 0, 0])).unwrap();
    assert_eq!(found.id(), second.id());
    let program = second.share_program(&core).unwrap();
    let found = hook.find(&core, Some(program.id()), None).unwrap();
    assert_eq!(found.id(), second.id());
    hook.detach(&core, &first).unwrap();
    // A link that is not attached cannot come back this way.
    let late = hook.exchange(&core, &first, returning(&core, "xdp", 3));
    assert_eq!(late.err(), Some(Status::ObjectNotFound));
    assert_eq!(hook.attach(&core, &first), Err(Status::InvalidArgument));
    assert_eq!(invoke(&core, &hook), [2]);
}

/// More threads than processors call while another attaches, exchanges and detaches: whoever
/// detaches sees no call of that program afterwards.
#[test]
fn nothing_is_called_after_it_is_detached() {
    let (core, _) = core();
    let hook = Hook::new(attach_type("xdp"), Capacity::Many);
    let stop = AtomicBool::new(false);
    // The highest number that may still be called.
    let newest = AtomicU64::new(0);
    let calls = AtomicU64::new(0);
    thread::scope(|scope| {
        for cpu in 0..6 {
            let (core, hook, stop, newest, calls) = (&core, &hook, &stop, &newest, &calls);
            scope.spawn(move || {
                support::set_cpu(cpu % support::CPUS);
                while !stop.load(Ordering::Relaxed) {
                    let oldest = newest.load(Ordering::SeqCst);
                    for number in invoke(core, hook) {
                        assert!(number >= oldest, "{number} was detached before {oldest}");
                        calls.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        // Waiting for readers that lost their processor takes long on a busy machine.
        let end = Instant::now() + Duration::from_secs(2);
        let rounds = (0..).take_while(|round| *round < 8 || Instant::now() < end);
        for round in rounds.take(300) {
            let number = 2 * round;
            let link = link(&core, "xdp", &[], number);
            hook.attach(&core, &link).unwrap();
            let other = returning(&core, "xdp", number + 1);
            hook.exchange(&core, &link, other).unwrap();
            newest.store(number as u64 + 1, Ordering::SeqCst);
            hook.detach(&core, &link).unwrap();
            newest.store(number as u64 + 2, Ordering::SeqCst);
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(invoke(&core, &hook), []);
    println!("{} calls", calls.load(Ordering::Relaxed));
}
