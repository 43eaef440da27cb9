//! Colours and talk: what may be printed besides results, and how it looks.

use crate::args::{GlobalArgs, When};
use anstyle::{AnsiColor, Style};

/// Styles, each with one meaning.
pub(crate) mod style {
    use super::{AnsiColor, Style};
    /// Errors, failed checks.
    pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
    /// Warnings.
    pub(crate) const WARN: Style = AnsiColor::Yellow.on_default().bold();
    /// Success, passed checks.
    pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
    /// Structure: arrows, line numbers.
    pub(crate) const FRAME: Style = AnsiColor::Blue.on_default().bold();
    /// What to do.
    pub(crate) const HELP: Style = AnsiColor::Cyan.on_default().bold();
    /// Less important text.
    pub(crate) const DIM: Style = Style::new().dimmed();
    /// Headings and names.
    pub(crate) const BOLD: Style = Style::new().bold();
}

/// What a command may say on standard error besides errors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Talk {
    /// `--quiet` was not given.
    pub(crate) enabled: bool,
}

impl Talk {
    /// Applies the colour choice to the whole process and returns the talk settings.
    pub(crate) fn new(args: &GlobalArgs) -> Talk {
        let choice = match args.color {
            When::Auto => anstream::ColorChoice::Auto,
            When::Always => anstream::ColorChoice::Always,
            When::Never => anstream::ColorChoice::Never,
        };
        choice.write_global();
        Talk {
            enabled: !args.quiet,
        }
    }

    /// One line on standard error unless `--quiet`.
    pub(crate) fn say(self, line: &str) {
        if self.enabled {
            anstream::eprintln!("{line}");
        }
    }
}
