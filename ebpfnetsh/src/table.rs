//! The table of commands.

use crate::answer::Outcome;
use crate::{Arguments, Session, runtime, show};

/// What is done.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verb {
    /// `add`
    Add,
    /// `delete`
    Delete,
    /// `pin`
    Pin,
    /// `set`
    Set,
    /// `show`
    Show,
    /// `unpin`
    Unpin,
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

    const fn id(help: &'static str) -> Tag {
        Tag {
            kind: Kind::Id,
            ..Tag::text("id", help)
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
    /// What is listed.
    const CONDITION: &[&str] = &["any", "yes", "no"];

    pub(crate) const FILENAME: Tag = Tag::text("filename", "Name of the object file (.o) or driver (.sys).").required();
    pub(crate) const SECTION: Tag = Tag::text("section", "Only programs of this ELF section.");
    pub(crate) const PROGRAM: Tag = Tag::text("program", "Only the program of this name, the C function.");
    pub(crate) const TYPE: Tag = Tag::text("type", "Type of the program, where its section does not say it: xdp, bind, ...");
    pub(crate) const LEVEL: Tag = Tag::choice("level", LEVELS, "How much is shown.");
    pub(crate) const HASHONLY: Tag = Tag::choice("hashonly", &["no", "yes"], "Shows nothing but the digits.");
    pub(crate) const ID: Tag = Tag::id("Id of the program.").required();
    pub(crate) const PINPATH: Tag = Tag::text("pinpath", "Path of the pin. Default: the name of the program.");
    pub(crate) const PINNED: Tag = Tag::choice("pinned", &["first", "none", "all"], "Which programs are pinned, to stay when netsh ends.");
    pub(crate) const INTERFACE: Tag = Tag::text("interface", "Index or name of the network interface. Default: all interfaces.");
    pub(crate) const COMPARTMENT: Tag = Tag::text("compartment", "Number of the network compartment. Default: all compartments.");
    pub(crate) const EXECUTION: Tag = Tag::choice("execution", &["interpret", "native", "jit"], "How an object file (.o) runs; drivers always run natively.");
    pub(crate) const FILENAME_OF: Tag = Tag::text("filename", "Only programs of this file.");
    pub(crate) const ONE_ID: Tag = Tag::id("Only the program of this id.");
    pub(crate) const ATTACHED: Tag = Tag::text("attached", "Hook or program type to attach to; empty to detach.");
    pub(crate) const IF_ATTACHED: Tag = Tag::choice("attached", CONDITION, "Only programs that are attached, or that are not.");
    pub(crate) const IF_PINNED: Tag = Tag::choice("pinned", CONDITION, "Only programs that are pinned, or that are not.");
}

/// All commands, by verb and object.
pub static COMMANDS: &[Command] = &[
    Command {
        verb: Verb::Add,
        object: "program",
        tags: &[
            tag::FILENAME,
            tag::TYPE,
            tag::PINPATH,
            tag::INTERFACE,
            tag::PINNED,
            tag::EXECUTION,
            tag::COMPARTMENT,
        ],
        help: "Loads the programs of a file and attaches the first one.",
        remarks: &[
            "Of an object with tail calls, the first program that none of its program arrays holds from the start is attached.",
            "With execution=interpret the verifier of the driver checks the bytecode, and its interpreter runs it. With \
             execution=native the object file is compiled to a driver beside it, which is loaded. \
             execution=jit is refused: code made at run time is what memory integrity forbids.",
            "With pinned=all each program is pinned below pinpath under the name of its section.",
        ],
        example: "add program droppacket.o xdp",
        ..command(runtime::add_program)
    },
    Command {
        verb: Verb::Delete,
        object: "program",
        tags: &[tag::ID],
        help: "Detaches a program and removes its pins, so that it goes.",
        remarks: &["A program stays while another process or a program array holds it."],
        example: "delete program 5",
        ..command(runtime::delete_program)
    },
    Command {
        verb: Verb::Pin,
        object: "map",
        tags: &[
            tag::ID.meaning("Id of the map."),
            tag::PINPATH.meaning(MAP_PATH),
        ],
        help: "Keeps a map under a path.",
        example: "pin map 3 counters",
        ..command(runtime::pin_map)
    },
    Command {
        verb: Verb::Pin,
        object: "program",
        tags: &[tag::ID, tag::PINPATH],
        help: "Keeps a program under a path.",
        example: "pin program 5 filter",
        ..command(runtime::pin_program)
    },
    Command {
        verb: Verb::Set,
        object: "program",
        tags: &[
            tag::ID,
            tag::ATTACHED,
            tag::PINPATH.meaning("Path to pin to; empty to remove all pins."),
            tag::INTERFACE,
        ],
        most: 3,
        help: "Attaches, detaches, pins or unpins a program.",
        remarks: &["At most three arguments are taken at once."],
        example: "set program 5 attached=",
        ..command(runtime::set_program)
    },
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
        object: "links",
        help: "Lists which programs are attached to which hooks.",
        example: "show links",
        ..command(runtime::show_links)
    },
    Command {
        verb: Verb::Show,
        object: "maps",
        help: "Lists maps.",
        example: "show maps",
        ..command(runtime::show_maps)
    },
    Command {
        verb: Verb::Show,
        object: "pins",
        help: "Lists what is pinned, by path.",
        example: "show pins",
        ..command(runtime::show_pins)
    },
    Command {
        verb: Verb::Show,
        object: "processes",
        help: "Lists processes that use eBPF.",
        example: "show processes",
        ..command(runtime::show_processes)
    },
    Command {
        verb: Verb::Show,
        object: "programs",
        tags: &[
            tag::TYPE.meaning("Only programs of this type."),
            tag::IF_ATTACHED,
            tag::IF_PINNED,
            tag::LEVEL,
            tag::FILENAME_OF,
            tag::SECTION,
            tag::ONE_ID,
        ],
        help: "Lists programs.",
        remarks: &["With an id, or level=verbose, all is shown that is known of each program."],
        example: "show programs attached=yes",
        ..command(runtime::show_programs)
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
    Command {
        verb: Verb::Unpin,
        object: "map",
        tags: &[
            tag::ID.meaning("Id of the map."),
            tag::PINPATH.meaning(MAP_PATH),
        ],
        help: "Takes a map from a path.",
        example: "unpin map 3 counters",
        ..command(runtime::unpin_map)
    },
    Command {
        verb: Verb::Unpin,
        object: "program",
        tags: &[tag::ID, tag::PINPATH],
        help: "Takes a program from a path.",
        example: "unpin program 5 filter",
        ..command(runtime::unpin_program)
    },
];

const MAP_PATH: &str = "Path of the pin. Default: the name of the map.";
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
    pub const ALL: &'static [Verb] = &[
        Verb::Add,
        Verb::Delete,
        Verb::Pin,
        Verb::Set,
        Verb::Show,
        Verb::Unpin,
    ];

    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Verb::Add => "add",
            Verb::Delete => "delete",
            Verb::Pin => "pin",
            Verb::Set => "set",
            Verb::Show => "show",
            Verb::Unpin => "unpin",
        }
    }

    /// What its commands do, for the list of verbs.
    #[must_use]
    pub const fn help(self) -> &'static str {
        match self {
            Verb::Add => "Loads programs.",
            Verb::Delete => "Removes programs.",
            Verb::Pin => "Keeps programs and maps under a path.",
            Verb::Set => "Changes programs that are loaded.",
            Verb::Show => "Shows programs, maps and files.",
            Verb::Unpin => "Takes programs and maps from a path.",
        }
    }

    /// Its commands.
    pub fn commands(self) -> impl Iterator<Item = &'static Command> {
        COMMANDS.iter().filter(move |command| command.verb == self)
    }
}
