//! The engine against a filtering platform of this test: what it registers, what it makes of a
//! classification, that it takes everything back.
#![expect(unsafe_code, reason = "plays the platform")]
#![allow(clippy::unwrap_used, reason = "a test may stop")]
#![cfg(target_arch = "x86_64")]

mod platform;

use abi::program_type::by_section;
use ebpfcore::{
    Core, Hook, Link, Program, Shared,
    hooks::{HookHelpers, make},
    object::{Checking, code_over},
};
use ebpfcore_wfp::Engine;
use platform::{Fake, Kernel, v4};
use program::{ProgramId, RawProgram};
use wdk::{
    classify::ConnectRequest,
    fwp::{ACTION_BLOCK, ACTION_CONTINUE, ACTION_PERMIT, OUT_FLAG_ABSORB, layer},
};

struct Stack {
    core: Shared<Core>,
    hooks: &'static [Hook],
    engine: Option<Shared<Engine>>,
}

impl Stack {
    fn new(fake: &Fake) -> Stack {
        let core = Core::new(Box::leak(Box::new(Kernel))).unwrap();
        let hooks: &'static [Hook] = Vec::leak(make().unwrap());
        // SAFETY: the functions are the fake platform's; programs are proved; the test stops it.
        let engine = unsafe { Engine::start(fake.api(), core.clone(), hooks, 1) };
        Stack {
            core,
            hooks,
            engine: engine.ok(),
        }
    }

    fn attach(&self, section: &str, parameter: &[u8], text: &str) -> Shared<Link> {
        let attach = by_section(abi::Platform::Windows, section).unwrap();
        let insns = isa::asm::assemble(text).unwrap();
        let raw = RawProgram {
            name: "p",
            platform: abi::Platform::Windows,
            program_type: attach.program_type,
            bytes: &isa::encode::program(&insns).unwrap(),
            maps: Vec::new(),
        };
        let object = program::from_bytecode(raw).unwrap();
        let verified = verifier::verify(&object, ProgramId(0), &verifier::Options::default());
        let verified =
            verified.unwrap_or_else(|no| panic!("{}", verifier::render::text(&object, &no)));
        let code = code_over(&object, &[], &verified, &HookHelpers, Checking::Unproved).unwrap();
        let program = Program::new(&self.core, "p", attach.program_type, code).unwrap();
        let link = Link::new(&self.core, attach, parameter, program).unwrap();
        self.hook(&link).attach(&self.core, &link).unwrap();
        self.engine.as_ref().unwrap().refresh().unwrap();
        link
    }

    fn hook(&self, link: &Link) -> &'static Hook {
        let mut hooks = self.hooks.iter();
        hooks
            .find(|hook| hook.attach_type().guid == link.attach_type().guid)
            .unwrap()
    }

    fn detach(&self, link: &Link) {
        self.hook(link).detach(&self.core, link).unwrap();
        self.engine.as_ref().unwrap().refresh().unwrap();
    }

    fn stop(mut self) {
        Engine::stop(self.engine.take().unwrap());
    }
}

/// Drops frames whose first byte is 1, sends those with 2 back after writing 9 to byte 20.
const FRAMES: &str = "
    r2 = *(u64 *)(r1 + 0)
    r3 = *(u64 *)(r1 + 8)
    r4 = r2
    r4 += 24
    r0 = 1
    if r4 > r3 goto out
    r5 = *(u8 *)(r2 + 0)
    if r5 == 1 goto drop
    if r5 != 2 goto out
    *(u8 *)(r2 + 20) = 9
    r0 = 3
    exit
drop:
    r0 = 2
out:
    exit";

#[test]
fn filters_are_there_while_programs_are() {
    let fake = Fake::new();
    let stack = Stack::new(&fake);
    assert!(fake.with(|state| state.callouts.len()) > 15);
    assert_eq!(fake.filters(), []);
    let link = stack.attach("xdp", &[], FRAMES);
    let both = [layer::InboundMacFrameNative, layer::OutboundMacFrameNative];
    assert_eq!(fake.filters(), both);
    let connect = stack.attach("cgroup/connect4", &[], "r0 = 1\nexit");
    let redirect = [layer::AleConnectRedirectV4, layer::AleConnectRedirectV6];
    assert_eq!(fake.filters(), [both, redirect].concat());
    stack.detach(&link);
    assert_eq!(fake.filters(), redirect);
    stack.detach(&connect);
    assert_eq!(fake.filters(), []);
    stack.attach("bind", &[], "r0 = 0\nexit");
    stack.stop();
    fake.assert_empty();
}

#[test]
fn whatever_the_platform_refuses_is_undone() {
    let calls = {
        let fake = Fake::new();
        Stack::new(&fake).stop();
        fake.with(|state| state.calls)
    };
    for refused in 0..calls / 2 {
        let fake = Fake::new();
        fake.with(|state| state.refuses = Some(refused));
        if let Some(engine) = Stack::new(&fake).engine {
            Engine::stop(engine);
        }
        fake.assert_empty();
    }
}

#[test]
fn frames_are_dropped_and_sent_back() {
    let fake = Fake::new();
    let stack = Stack::new(&fake);
    stack.attach("xdp", &7u32.to_le_bytes(), FRAMES);
    for pieces in [&[60][..], &[14, 46], &[1, 1, 58], &[21, 39]] {
        let mut bytes = [0u8; 60];
        let (out, after) = fake.frame(7, &bytes, pieces);
        assert_eq!((out.action, after.as_slice()), (ACTION_PERMIT, &bytes[..]));
        bytes[0] = 1;
        let (out, _) = fake.frame(7, &bytes, pieces);
        assert_eq!(
            (out.action, out.flags, out.rights),
            (ACTION_BLOCK, OUT_FLAG_ABSORB, 0)
        );
        let (out, _) = fake.frame(8, &bytes, pieces);
        assert_eq!(out.action, ACTION_PERMIT, "another interface");
        bytes[0] = 2;
        let (out, after) = fake.frame(7, &bytes, pieces);
        assert_eq!((out.action, out.flags), (ACTION_BLOCK, OUT_FLAG_ABSORB));
        assert_eq!((after[19], after[20]), (0, 9), "{pieces:?}");
        assert_eq!(fake.with(|state| state.sent.pop()), Some((7, 5)));
    }
    stack.stop();
    fake.assert_empty();
}

#[test]
fn frames_of_this_engine_are_not_asked_about_again() {
    let fake = Fake::new();
    let stack = Stack::new(&fake);
    stack.attach("xdp", &[], "r0 = 2\nexit");
    fake.with(|state| state.by_self = true);
    assert_eq!(fake.frame(7, &[0; 60], &[60]).0.action, ACTION_PERMIT);
    fake.with(|state| state.by_self = false);
    assert_eq!(fake.frame(7, &[0; 60], &[60]).0.action, ACTION_BLOCK);
    stack.stop();
}

#[test]
fn connections_are_allowed_by_what_programs_see() {
    let fake = Fake::new();
    let stack = Stack::new(&fake);
    // Refuses administrators, and port 443 to everybody.
    let text = "r6 = r1\ncall 21\nr7 = r0\nr0 = 0\nif w7 == 1 goto +4\nr1 = *(u16 *)(r6 + 40)\n\
                if r1 == 0xbb01 goto +2\nr0 = 2\nexit\nexit";
    stack.attach("cgroup/connect_authorization4", &3u32.to_le_bytes(), text);
    let ask = |admin, port, compartment| {
        let connection = v4(port, compartment);
        fake.socket(layer::AleAuthConnectV4, &connection, admin)
    };
    let out = ask(false, 80, 3);
    assert_eq!(
        (out.action, out.rights),
        (ACTION_PERMIT, 0),
        "a hard permit"
    );
    let out = ask(true, 80, 3);
    assert_eq!((out.action, out.rights), (ACTION_BLOCK, 0));
    assert_eq!(ask(false, 443, 3).action, ACTION_BLOCK);
    let out = ask(false, 443, 4);
    assert_eq!(
        (out.action, out.rights),
        (ACTION_PERMIT, 1),
        "another compartment"
    );
    stack.stop();
}

#[test]
fn a_connection_is_redirected_with_a_context() {
    let fake = Fake::new();
    let stack = Stack::new(&fake);
    let text = "r6 = r1\n*(u64 *)(r10 - 8) = 77\nr2 = r10\nr2 += -8\nr3 = 8\ncall 65537\n\
                r1 = *(u16 *)(r6 + 40)\nr0 = 1\nif r1 != 0xbb01 goto +2\n\
                *(u32 *)(r6 + 24) = 0x100007f\n*(u16 *)(r6 + 40) = 0x901f\nexit";
    stack.attach("cgroup/connect4", &[], text);
    let out = fake.socket(layer::AleConnectRedirectV4, &v4(80, 3), false);
    assert_eq!((out.action, out.rights), (ACTION_CONTINUE, 1));
    assert!(fake.with(|state| state.request.take()).is_none());
    let out = fake.socket(layer::AleConnectRedirectV4, &v4(443, 3), false);
    assert_eq!(out.action, ACTION_PERMIT);
    let request: ConnectRequest = fake.with(|state| state.request.take()).unwrap();
    // Family, port 8080 and 127.0.0.1, as they lie in memory.
    let remote = request.remote[0].to_le_bytes();
    assert_eq!(remote, [2, 0, 0x1f, 0x90, 127, 0, 0, 1]);
    assert_eq!(
        (request.redirect_context_size, request.target_process),
        (8, 4321)
    );
    assert_ne!(request.redirect_handle, 0);
    // SAFETY: the engine left so many bytes of the pool there, for the platform to free.
    let left = unsafe { fake.take_pool::<u64>(request.redirect_context) };
    assert_eq!(left, 77);
    stack.stop();
    fake.assert_empty();
}

#[test]
fn a_connection_that_cannot_be_redirected_is_blocked() {
    let fake = Fake::new();
    let stack = Stack::new(&fake);
    stack.attach(
        "cgroup/connect4",
        &[],
        "*(u16 *)(r1 + 40) = 0x901f\nr0 = 1\nexit",
    );
    fake.with(|state| state.refuses_redirection = true);
    let out = fake.socket(layer::AleConnectRedirectV4, &v4(443, 3), false);
    assert_eq!((out.action, out.rights), (ACTION_BLOCK, 0));
    stack.stop();
}

#[test]
fn flows_are_followed_to_their_end() {
    let fake = Fake::new();
    let stack = Stack::new(&fake);
    // Blocks flows that came from elsewhere; the end of a flow does not matter.
    let link = stack.attach("sockops", &[], "r0 = *(u32 *)(r1 + 0)\nexit");
    let begin = |outbound| fake.flow(layer::AleFlowEstablishedV4, &v4(443, 3), outbound);
    assert_eq!(begin(false).action, ACTION_BLOCK);
    assert_eq!(fake.with(|state| state.flows.len()), 0);
    for _ in 0..3 {
        assert_eq!(begin(true).action, ACTION_PERMIT);
    }
    assert_eq!(fake.with(|state| state.flows.len()), 3);
    fake.end_flow(1);
    assert_eq!(fake.with(|state| state.flows.len()), 2);
    stack.detach(&link);
    // Stopping gives the others back.
    stack.stop();
    fake.assert_empty();
}
