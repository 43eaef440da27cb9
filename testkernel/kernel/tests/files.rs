//! A driver with a device, played by this test, and files that it opens.
#![cfg(target_arch = "x86_64")]
#![allow(clippy::unwrap_used, reason = "a test may stop")]

use testkernel::files::{Event, Files};

#[test]
fn clean_up_comes_with_the_last_handle_and_close_with_the_last_reference() {
    let files = Files::default();
    files.add_device(r"\Device\One", 0x1000);
    let device = files.device(r"\DEVICE\one").unwrap();
    let (handle, file) = files.open(device, 8);
    assert_eq!(files.reference(handle, 8), Some(file));
    let event = Event {
        device,
        file,
        is_last: false,
    };
    assert_eq!(files.close(handle, 8), Some((file, Some(event))));
    assert_eq!(
        (files.close(handle, 8), files.reference(handle, 8)),
        (None, None)
    );
    // The handle's own reference, then the other one.
    assert_eq!(files.release(file), Some(None));
    assert_eq!(files.left(), ["1 files of devices"]);
    assert_eq!(
        files.release(file),
        Some(Some(Event {
            is_last: true,
            ..event
        }))
    );
    files.forget(file);
    assert_eq!(files.release(file), None);
    assert!(files.left().is_empty());
    files.remove_device(device);
    assert_eq!(files.device(r"\Device\One"), None);
}

#[test]
fn a_duplicate_keeps_the_file_open() {
    let files = Files::default();
    let (handle, file) = files.open(0x1000, 8);
    let other = files.duplicate(handle, 8, 12).unwrap();
    assert_eq!(files.duplicate(handle, 12, 8), None, "it is not theirs");
    assert_eq!(files.reference(other, 12), Some(file));
    assert_eq!(files.release(file), Some(None));
    assert_eq!(files.close(handle, 8), Some((file, None)));
    assert_eq!(files.release(file), Some(None));
    let last = files.close(other, 12).unwrap();
    assert!(last.1.is_some());
}

#[test]
fn a_handle_belongs_to_a_process_and_ends_with_it() {
    let files = Files::default();
    let ((one, _), (two, _)) = (files.open(0x1000, 8), files.open(0x1000, 12));
    assert_eq!(
        (files.reference(one, 12), files.close(one, 12)),
        (None, None)
    );
    assert!(files.watch(8));
    assert!(!files.watch(8), "it is being watched");
    assert_eq!(files.handles_of(8), [one]);
    assert!(files.close(one, 8).is_some());
    assert!(files.handles_of(8).is_empty());
    assert!(files.watch(8), "the number means another process now");
    assert_eq!(files.handles_of(12), [two]);
}
