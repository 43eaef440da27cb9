//! Drivers that come and go decide about the frames of an interface.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, reason = "a test may stop")]

mod support;

use ebpfcore_sim::{Action, Error, interface::Interface};

fn driver() -> Vec<u8> {
    let object = support::load("droppacket.o");
    support::driver(&support::verify(&object), &codegen::Options::default())
}

/// A UDP frame to a port with so many bytes of data.
fn frame(port: u16, data: u16) -> Vec<u8> {
    let mut frame = vec![0; 14 + 20 + 8 + usize::from(data)];
    frame[12..14].copy_from_slice(&0x0800u16.to_be_bytes());
    frame[14] = 0x45;
    frame[23] = 17;
    frame[36..38].copy_from_slice(&port.to_be_bytes());
    frame[38..40].copy_from_slice(&(8 + data).to_be_bytes());
    frame
}

#[test]
fn a_driver_decides_while_it_runs_and_not_longer() {
    let mut interface = Interface::new(1).unwrap();
    let driver = driver();
    let mut frames = [frame(53, 0), frame(53, 9), frame(54, 0)];
    let decide = |interface: &Interface, frames: &mut [Vec<u8>]| -> Vec<Action> {
        let all = frames.iter_mut();
        all.map(|frame| interface.decide(frame)).collect()
    };
    use Action::{Absorb, Permit};
    for _ in 0..20 {
        assert_eq!(decide(&interface, &mut frames), [Permit; 3]);
        interface.start("droppacket", &driver).unwrap();
        assert_eq!(decide(&interface, &mut frames), [Absorb, Permit, Permit]);
        interface.stop("droppacket").unwrap();
    }
    assert_eq!(decide(&interface, &mut frames), [Permit; 3]);
}

#[test]
fn a_name_runs_once_and_what_does_not_run_cannot_stop() {
    let mut interface = Interface::new(1).unwrap();
    let driver = driver();
    interface.start("one", &driver).unwrap();
    let again = interface.start("one", &driver).unwrap_err();
    assert!(matches!(again, Error::Running { .. }), "{again}");
    let unknown = interface.stop("two").unwrap_err();
    assert_eq!(unknown.to_string(), "`two` does not run; running: one");
    let cut = interface.start("two", &driver[..512]).unwrap_err();
    assert!(matches!(cut, Error::Image(_)), "{cut}");
    interface.stop("one").unwrap();
}
