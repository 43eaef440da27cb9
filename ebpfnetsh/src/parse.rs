//! What was typed, as netsh reads it.
//!
//! Words of commands, names of tags and words of choices may be shortened as long as they stay
//! unambiguous, and letters may be small or capital. An argument is `tag=value`, or a value alone for
//! the first tag that has none yet. A text before `=` that is no tag belongs to the value, because
//! names of files may contain `=`.

use crate::table::{Command, Kind, Tag, Verb};
use std::fmt;

/// Words that ask for help.
const HELP: &[&str] = &["?", "/?", "-?", "help"];

/// What was asked for.
#[derive(Clone, Copy, Debug)]
pub enum Topic {
    /// Everything.
    All,
    /// A verb's commands.
    Verb(Verb),
    /// One command.
    Command(&'static Command),
}

/// A line that was understood.
#[derive(Debug)]
pub enum Parsed {
    /// A command with its arguments.
    Command(&'static Command, Arguments),
    /// A question.
    Help(Topic),
}

/// The arguments of a command: each tag at most once, each value of its tag's kind.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Arguments {
    values: Vec<(Tag, Value)>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Value {
    Text(String),
    Number(u32),
    Word(&'static str),
}

/// Why a line was not understood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Mistake {
    /// No command, or no verb, begins with this.
    Unknown {
        /// What was typed.
        word: String,
        /// What could stand there.
        known: Vec<&'static str>,
    },
    /// Several begin with this.
    Ambiguous {
        /// What was typed.
        word: String,
        /// What begins with it.
        known: Vec<&'static str>,
    },
    /// An argument is wrong.
    Argument {
        /// What is wrong with it.
        problem: String,
        /// How the command is typed.
        usage: String,
    },
}

impl Arguments {
    /// Takes arguments apart.
    ///
    /// # Errors
    /// One is missing, given twice, or not of its tag's kind.
    pub fn of(command: &'static Command, words: &[&str]) -> Result<Arguments, Mistake> {
        let wrong = |problem: String| Mistake::Argument {
            problem,
            usage: crate::help::usage(command),
        };
        let mut arguments = Arguments::default();
        for word in words {
            arguments.add(command, word).map_err(wrong)?;
        }
        // How they were given does not matter any more.
        arguments
            .values
            .sort_by_key(|(given, _)| command.tags.iter().position(|tag| tag == given));
        let missing = |tag: &&Tag| tag.required && arguments.value(tag).is_none();
        match command.tags.iter().find(missing) {
            Some(tag) => Err(wrong(format!("{} is missing", tag.name))),
            None => Ok(arguments),
        }
    }

    /// A text or the word of a choice; a choice that was not made is its default.
    pub(crate) fn text(&self, tag: &Tag) -> Option<&str> {
        match (self.value(tag), tag.kind) {
            (Some(Value::Text(text)), _) => Some(text),
            (Some(Value::Word(word)), _) => Some(word),
            (None, Kind::Choice(words)) => words.first().copied(),
            _ => None,
        }
    }

    /// A text that the command requires.
    pub(crate) fn required(&self, tag: &Tag) -> &str {
        // The parser has refused commands without it.
        self.text(tag).unwrap_or_default()
    }

    /// Whether a choice was made so.
    pub(crate) fn is(&self, tag: &Tag, word: &str) -> bool {
        self.text(tag) == Some(word)
    }

    /// Whether it was given, and not left to its default.
    pub(crate) fn has(&self, tag: &Tag) -> bool {
        self.value(tag).is_some()
    }

    /// A number.
    pub(crate) fn number(&self, tag: &Tag) -> Option<u32> {
        match self.value(tag) {
            Some(Value::Number(number)) => Some(*number),
            _ => None,
        }
    }

    /// A number that the command requires.
    pub(crate) fn id(&self, tag: &Tag) -> u32 {
        // The parser has refused commands without it.
        self.number(tag).unwrap_or_default()
    }

    fn value(&self, tag: &Tag) -> Option<&Value> {
        let found = self.values.iter().find(|(given, _)| given.name == tag.name);
        found.map(|(_, value)| value)
    }

    fn add(&mut self, command: &'static Command, word: &str) -> Result<(), String> {
        let named = match word.split_once('=') {
            Some((name, value)) => match tag_of(command, name)? {
                None if is_word(name) => return Err(no_tag(command, name)),
                tag => tag.map(|tag| (tag, value)),
            },
            None => None,
        };
        let next = || {
            let mut free = command.tags.iter().filter(|tag| self.value(tag).is_none());
            free.next().map(|tag| (tag, word))
        };
        let Some((tag, text)) = named.or_else(next) else {
            return Err(format!("there is no argument for `{word}`"));
        };
        if self.value(tag).is_some() {
            return Err(format!("{} is given twice", tag.name));
        }
        if self.values.len() >= command.most {
            return Err(format!(
                "at most {} arguments are taken at once",
                command.most
            ));
        }
        self.values.push((*tag, value_of(tag, text)?));
        Ok(())
    }
}

/// The tag that a word before `=` names; `None` when it names none.
/// Whether it can only be meant as the name of an argument: paths have other letters too.
fn is_word(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic())
}

fn no_tag(command: &Command, name: &str) -> String {
    let tags: Vec<&str> = command.tags.iter().map(|tag| tag.name).collect();
    format!(
        "there is no argument `{name}`; there are {}",
        tags.join(", ")
    )
}

fn tag_of(command: &'static Command, name: &str) -> Result<Option<&'static Tag>, String> {
    match choose(command.tags, name, |tag| tag.name) {
        Ok(tag) => Ok(Some(tag)),
        Err(several) if several.is_empty() || name.is_empty() => Ok(None),
        Err(several) => Err(format!("`{name}` may be {}", several.join(" or "))),
    }
}

fn value_of(tag: &Tag, text: &str) -> Result<Value, String> {
    match tag.kind {
        Kind::Text => Ok(Value::Text(text.to_owned())),
        Kind::Id => match text.parse() {
            Ok(number) => Ok(Value::Number(number)),
            Err(_) => Err(format!("{}: `{text}` is not a number", tag.name)),
        },
        Kind::Choice(words) => match choose(words, text, |word| word) {
            Ok(word) => Ok(Value::Word(word)),
            Err(_) => Err(format!(
                "{}: `{text}` is none of {}",
                tag.name,
                words.join(", ")
            )),
        },
    }
}

/// Reads a line.
///
/// # Errors
/// It is no command, or its arguments are wrong.
pub fn parse(words: &[&str]) -> Result<Parsed, Mistake> {
    let Some((verb, rest)) = words.split_first() else {
        return Ok(Parsed::Help(Topic::All));
    };
    if asks_help(verb) {
        return Ok(Parsed::Help(Topic::All));
    }
    let verb = *choose(Verb::ALL, verb, |verb| verb.name())
        .map_err(|known| unknown(verb, known, Verb::ALL.iter().map(|verb| verb.name())))?;
    let commands: Vec<&'static Command> = verb.commands().collect();
    let Some((object, rest)) = rest.split_first() else {
        return Ok(Parsed::Help(Topic::Verb(verb)));
    };
    if asks_help(object) {
        return Ok(Parsed::Help(Topic::Verb(verb)));
    }
    let command = *choose(&commands, object, |command| command.object).map_err(|known| {
        let typed = format!("{} {object}", verb.name());
        unknown(&typed, known, commands.iter().map(|command| command.object))
    })?;
    if rest.iter().any(|word| asks_help(word)) {
        return Ok(Parsed::Help(Topic::Command(command)));
    }
    Ok(Parsed::Command(command, Arguments::of(command, rest)?))
}

fn asks_help(word: &str) -> bool {
    HELP.iter().any(|help| help.eq_ignore_ascii_case(word))
}

fn unknown(
    word: &str,
    matching: Vec<&'static str>,
    all: impl Iterator<Item = &'static str>,
) -> Mistake {
    let word = word.to_owned();
    match matching.is_empty() {
        true => Mistake::Unknown {
            word,
            known: all.collect(),
        },
        false => Mistake::Ambiguous {
            word,
            known: matching,
        },
    }
}

/// The row that a word names or begins; otherwise the names of those that it begins.
pub(crate) fn choose<'a, T>(
    rows: &'a [T],
    word: &str,
    name: impl Fn(&T) -> &'static str,
) -> Result<&'a T, Vec<&'static str>> {
    let begins = |row: &&T| {
        let start = name(row).get(..word.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(word))
    };
    let matching: Vec<&T> = rows.iter().filter(begins).collect();
    let exact = matching.iter().find(|row| name(row).len() == word.len());
    match (exact, &matching[..]) {
        (Some(row), _) | (None, [row]) => Ok(row),
        _ => Err(matching.into_iter().map(name).collect()),
    }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mistake::Unknown { word, known } => writeln!(
                f,
                "The following command was not found: ebpf {word}.\nThere are: {}.",
                known.join(", ")
            ),
            Mistake::Ambiguous { word, known } => {
                writeln!(f, "`{word}` may be {}.", known.join(" or "))
            }
            Mistake::Argument { problem, usage } => writeln!(f, "error: {problem}\n{usage}"),
        }
    }
}
