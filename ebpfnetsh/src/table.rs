//! The table of commands.

use crate::answer::Outcome;
use crate::{Arguments, Session, show};

/// What is done.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verb {
    /// `show`
    Show,
}

/// What a tag takes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Any text.
    Text,
    /// An id that the runtime gave: a number.
    Id,
    /// One of these words; the first is the default.
    Choice(&'static [&'static str]),
}

/// An argument of a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tag {
    /// Its name before `=`.
    pub name: &'static str,
    /// Whether the command needs it.
    pub required: bool,
    /// What it takes.
    pub kind: Kind,
    /// What it means.
    pub help: &'static str,
}

impl Tag {
    const fn text(name: &'static str, help: &'static str) -> Tag {
        Tag {
            name,
            required: false,
            kind: Kind::Text,
            help,
        }
    }

    const fn choice(name: &'static str, words: &'static [&'static str], help: &'static str) -> Tag {
        Tag {
            kind: Kind::Choice(words),
            ..Tag::text(name, help)
        }
    }

    const fn required(self) -> Tag {
        Tag {
            required: true,
            ..self
        }
    }

    /// The same tag with another meaning.
    const fn meaning(self, help: &'static str) -> Tag {
        Tag { help, ..self }
    }
}

/// A command.
#[derive(Debug)]
pub struct Command {
    /// What is done.
    pub verb: Verb,
    /// To what.
    pub object: &'static str,
    /// Its arguments, in the order in which they stand without their names.
    pub tags: &'static [Tag],
    /// Arguments that may be given at once.
    pub most: usize,
    /// What it does.
    pub help: &'static str,
    /// More about it, one paragraph each.
    pub remarks: &'static [&'static str],
    /// What to type, behind `netsh ebpf`.
    pub example: &'static str,
    pub(crate) run: fn(&mut Session, &Arguments) -> Outcome,
}

/// Tags, by their names.
#[rustfmt::skip] // one row, one line
pub(crate) mod tag {
    use super::Tag;

    /// Levels of detail of reports.
    const LEVELS: &[&str] = &["normal", "informational", "verbose"];

    pub(crate) const FILENAME: Tag = Tag::text("filename", "Name of the object file (.o) or driver (.sys).").required();
    pub(crate) const SECTION: Tag = Tag::text("section", "Only programs of this ELF section.");
    pub(crate) const PROGRAM: Tag = Tag::text("program", "Only the program of this name, the C function.");
    pub(crate) const TYPE: Tag = Tag::text("type", "Type of the program, where its section does not say it: xdp, bind, ...");
    pub(crate) const LEVEL: Tag = Tag::choice("level", LEVELS, "How much is shown.");
    pub(crate) const HASHONLY: Tag = Tag::choice("hashonly", &["no", "yes"], "Shows nothing but the digits.");
}

/// All commands, by verb and object.
pub static COMMANDS: &[Command] = &[
    Command {
        verb: Verb::Show,
        object: "disassembly",
        tags: &[
            tag::FILENAME.meaning(OBJECT_FILE),
            tag::SECTION,
            tag::PROGRAM,
        ],
        help: "Shows the instructions of programs in an object file.",
        remarks: &[
            "Lines of the source stand before their instructions where the file has them (clang -g).",
            EVERY_PROGRAM,
        ],
        example: "show disassembly droppacket.o xdp",
        ..command(show::disassembly)
    },
    Command {
        verb: Verb::Show,
        object: "hash",
        tags: &[
            tag::FILENAME.meaning("Name of the driver (.sys)."),
            tag::HASHONLY,
        ],
        help: "Shows the hash of the object file that a driver was made of.",
        remarks: &["The object file is the one whose SHA-256 is the same."],
        example: "show hash droppacket.sys",
        ..command(show::hash)
    },
    Command {
        verb: Verb::Show,
        object: "sections",
        tags: &[tag::FILENAME, tag::SECTION, tag::LEVEL],
        help: "Lists programs and maps of an object file or driver.",
        remarks: &["With a section, or level=verbose, each program is shown with its statistics."],
        example: "show sections droppacket.o",
        ..command(show::sections)
    },
    Command {
        verb: Verb::Show,
        object: "verification",
        tags: &[
            tag::FILENAME.meaning(OBJECT_FILE),
            tag::SECTION,
            tag::PROGRAM,
            tag::TYPE,
            tag::LEVEL,
        ],
        help: "Tells whether programs in an object file are safe, and if not, why.",
        remarks: &[
            "The verifier is the one that the driver asks again when a program is loaded.",
            "With level=informational the report tells how the program comes to the problem, with \
             level=verbose also what was proved of programs that are safe.",
            EVERY_PROGRAM,
        ],
        example: "show verification droppacket.o xdp",
        ..command(show::verification)
    },
];

const OBJECT_FILE: &str = "Name of the object file (.o).";
const EVERY_PROGRAM: &str = "Without section and program, every program of the file is shown.";

/// A row's defaults.
const fn command(run: fn(&mut Session, &Arguments) -> Outcome) -> Command {
    Command {
        verb: Verb::Show,
        object: "",
        tags: &[],
        most: usize::MAX,
        help: "",
        remarks: &[],
        example: "",
        run,
    }
}

impl Verb {
    /// All verbs, in the order of help.
    pub const ALL: &'static [Verb] = &[Verb::Show];

    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Verb::Show => "show",
        }
    }

    /// What its commands do, for the list of verbs.
    #[must_use]
    pub const fn help(self) -> &'static str {
        match self {
            Verb::Show => "Shows programs, maps and files.",
        }
    }

    /// Its commands.
    pub fn commands(self) -> impl Iterator<Item = &'static Command> {
        COMMANDS.iter().filter(move |command| command.verb == self)
    }
}
