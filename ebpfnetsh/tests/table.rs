//! The table of commands as a whole: what holds for every row, and lines that nobody foresaw.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use ebpfnetsh::{Arguments, COMMANDS, Parsed, help, parse};

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

#[test]
fn examples_are_commands_of_their_rows() {
    for command in COMMANDS {
        match parse(&words(command.example)) {
            Ok(Parsed::Command(found, _)) => assert!(std::ptr::eq(found, command)),
            other => panic!("{}: {other:?}", command.example),
        }
        assert!(help::page(command).contains(command.example));
    }
}

#[test]
fn required_tags_stand_first() {
    for command in COMMANDS {
        assert!(
            command.tags.is_sorted_by_key(|tag| !tag.required),
            "{command:?}"
        );
    }
}

#[test]
fn arguments_stand_anywhere_by_name() {
    let command = COMMANDS
        .iter()
        .find(|one| one.object == "verification")
        .unwrap();
    let same = [
        "a.o s p xdp verbose",
        "FILENAME=a.o section=s program=p type=xdp level=verbose",
        "le=v t=xdp p=p s=s f=a.o",
        "level=VERBOSE a.o s p xdp",
    ];
    let all = same.map(|line| Arguments::of(command, &words(line)).unwrap());
    for one in &all {
        assert_eq!(*one, all[0]);
    }
    // A path with `=` is a value; a word before it can only be meant as a name.
    assert!(Arguments::of(command, &["./a=b.o"]).is_ok());
    assert!(Arguments::of(command, &["filename=a=b.o"]).is_ok());
    let mistake = Arguments::of(command, &["a.o", "sort=xdp"]).unwrap_err();
    assert!(format!("{mistake:?}").contains("no argument `sort`"));
}

#[test]
fn no_line_panics() {
    let pieces = [
        "show",
        "sh",
        "",
        "?",
        "=",
        "level=",
        "filename==",
        "é",
        "sections",
        "\u{0}",
        "level=é",
        "s",
    ];
    for first in pieces {
        for second in pieces {
            for third in pieces {
                if let Err(mistake) = parse(&[first, second, third, first, second]) {
                    assert!(!mistake.to_string().is_empty());
                }
            }
        }
    }
}
