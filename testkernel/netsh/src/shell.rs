//! Commands in one line or at a prompt, and contexts.
#![expect(unsafe_code, reason = "calls what helpers registered")]

use crate::helpers::{Helper, List};
use crate::interface::{Command, Group};
use crate::words::split;
use std::io::{BufRead as _, Write as _};
use std::process::ExitCode;
use std::ptr::null;

/// What handlers answer beside errors.
const NO_ERROR: u32 = 0;
const SHOW_USAGE: u32 = 15013;
const OKAY: u32 = 15015;
const SUPPRESS_OUTPUT: u32 = 15017;
/// What asks for help.
const HELP: &[&str] = &["?", "/?", "-?", "help"];

/// What a line comes to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ended {
    Well,
    Badly,
    /// The prompt is left.
    All,
}

struct Shell {
    list: List,
    helpers: Vec<Helper>,
    /// The context that the prompt is in, empty for none.
    context: String,
}

pub(crate) fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let shell = List::open().map(|list| Shell {
        list,
        helpers: Vec::new(),
        context: String::new(),
    });
    let mut shell = match shell {
        Ok(shell) => shell,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::FAILURE;
        }
    };
    shell.load_all();
    let ended = match words.is_empty() {
        true => shell.prompt(),
        false => shell.line(&words),
    };
    match ended {
        Ended::Badly => ExitCode::FAILURE,
        Ended::Well | Ended::All => ExitCode::SUCCESS,
    }
}

impl Shell {
    fn load_all(&mut self) {
        for path in self.list.paths() {
            match Helper::load(&path) {
                Ok(helper) => self.helpers.push(helper),
                Err(problem) => eprintln!("{problem}"),
            }
        }
    }

    /// Takes lines until there are no more.
    fn prompt(&mut self) -> Ended {
        let mut input = std::io::stdin().lock();
        loop {
            let mut line = String::new();
            match self.context.as_str() {
                "" => print!("netsh>"),
                context => print!("netsh {context}>"),
            }
            // A prompt that cannot be shown is no reason to end.
            let _ = std::io::stdout().flush();
            match input.read_line(&mut line) {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Ended::Well,
            }
            let words = split(&line);
            if !words.is_empty() && self.line(&words) == Ended::All {
                return Ended::All;
            }
        }
    }

    fn line(&mut self, words: &[String]) -> Ended {
        let plain: Vec<&str> = words.iter().map(String::as_str).collect();
        match plain[..] {
            ["bye" | "exit" | "quit"] => Ended::All,
            [".."] => {
                self.context.clear();
                Ended::Well
            }
            ["add", "helper", path] => self.added(path),
            ["delete", "helper", path] => self.deleted(path),
            ["show", "helper"] => {
                self.list.paths().iter().for_each(|path| println!("{path}"));
                Ended::Well
            }
            [context] if self.helper(context).is_some() => {
                self.context = context.to_ascii_lowercase();
                Ended::Well
            }
            [context, ref rest @ ..] if self.helper(context).is_some() => self.typed(context, rest),
            ref rest if !self.context.is_empty() => self.typed(&self.context, rest),
            _ => {
                eprintln!("The following command was not found: {}.", plain.join(" "));
                Ended::Badly
            }
        }
    }

    fn added(&mut self, path: &str) -> Ended {
        let helper = match Helper::load(path) {
            Ok(helper) => helper,
            Err(problem) => return told(Err(problem)),
        };
        self.helpers.push(helper);
        told(self.list.add(path))
    }

    /// The library stays until the end; its contexts are gone.
    fn deleted(&mut self, path: &str) -> Ended {
        self.helpers
            .retain(|helper| !helper.path.eq_ignore_ascii_case(path));
        if self.helper(&self.context).is_none() {
            self.context.clear();
        }
        told(self.list.remove(path))
    }

    fn helper(&self, context: &str) -> Option<(&Helper, &[Group])> {
        self.helpers.iter().find_map(|helper| {
            let is_meant = |name: &str| name.eq_ignore_ascii_case(context);
            let found = helper.contexts.iter().find(|own| is_meant(&own.name))?;
            Some((helper, found.groups.as_slice()))
        })
    }

    /// A line inside of a context: a group, a command, its arguments.
    fn typed(&self, context: &str, words: &[&str]) -> Ended {
        let Some((helper, groups)) = self.helper(context) else {
            return Ended::Badly;
        };
        let group = words
            .first()
            .and_then(|word| find(groups, word, |group| &group.name));
        let Some(group) = group else {
            let lists = words.first().is_none_or(|word| HELP.contains(word));
            groups.iter().for_each(|group| {
                print!("{:<10} - {}", group.name, helper.text(group.help));
            });
            return if lists { Ended::Well } else { Ended::Badly };
        };
        let command = words.get(1);
        let command = command.and_then(|word| find(&group.commands, word, |own| &own.name));
        let Some(command) = command else {
            let lists = words.get(1).is_none_or(|word| HELP.contains(word));
            group.commands.iter().for_each(|command| {
                let name = format!("{} {}", group.name, command.name);
                print!("{name:<20} - {}", helper.text(command.line));
            });
            return if lists { Ended::Well } else { Ended::Badly };
        };
        if words.get(2).is_some_and(|word| HELP.contains(word)) {
            print!("{}", helper.text(command.page));
            return Ended::Well;
        }
        run(helper, command, words)
    }
}

/// Calls the handler of a command.
fn run(helper: &Helper, command: &Command, words: &[&str]) -> Ended {
    let wide = |word: &&str| word.encode_utf16().chain([0]).collect::<Vec<u16>>();
    let texts: Vec<Vec<u16>> = words.iter().map(wide).collect();
    let arguments: Vec<*const u16> = texts.iter().map(Vec::as_ptr).collect();
    let mut done = 0;
    // SAFETY: the function that the helper registered, with so many texts that end with 0.
    let answer = unsafe {
        let (first, count) = (2, arguments.len() as u32);
        (command.handler)(
            null(),
            arguments.as_ptr(),
            first,
            count,
            0,
            null(),
            &raw mut done,
        )
    };
    match answer {
        NO_ERROR => Ended::Well,
        OKAY => {
            println!("Ok.\n");
            Ended::Well
        }
        SUPPRESS_OUTPUT => Ended::Badly,
        SHOW_USAGE => {
            print!("{}", helper.text(command.page));
            Ended::Badly
        }
        error => {
            eprintln!("error {error}");
            Ended::Badly
        }
    }
}

/// What a word or its beginning means, when only one thing begins with it.
fn find<'a, T>(all: &'a [T], word: &str, name: impl Fn(&T) -> &str) -> Option<&'a T> {
    let word = word.to_ascii_lowercase();
    if let Some(same) = all.iter().find(|own| name(own) == word) {
        return Some(same);
    }
    let mut begin = all.iter().filter(|own| name(own).starts_with(&word));
    begin.next().filter(|_| begin.next().is_none())
}

fn told(result: Result<(), String>) -> Ended {
    match result {
        Ok(()) => {
            println!("Ok.\n");
            Ended::Well
        }
        Err(problem) => {
            eprintln!("{problem}");
            Ended::Badly
        }
    }
}
