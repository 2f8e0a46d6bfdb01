//! What may be written to standard error: colours and redrawn lines to a terminal, plain lines elsewhere.

use std::io::IsTerminal;

/// May messages have colours? By default on a terminal; `NO_COLOR` forbids them there, and `CLICOLOR_FORCE` (not 0)
/// allows them everywhere (<https://bixense.com/clicolors/>). `set` gives the value of a variable, if it has one.
pub fn colours(is_terminal: bool, set: impl Fn(&str) -> Option<String>) -> bool {
    let set = |name| set(name).filter(|value| !value.is_empty());
    if set("NO_COLOR").is_some() {
        return false;
    }
    let forced = set("CLICOLOR_FORCE").is_some_and(|value| value != "0");
    let refused = set("CLICOLOR").is_some_and(|value| value == "0");
    forced || (is_terminal && !refused && !is_dumb(set("TERM")))
}

/// [`colours`] of this process's standard error.
pub fn stderr_colours() -> bool {
    colours(std::io::stderr().is_terminal(), variable)
}

/// Can a line on standard error be drawn again?
pub fn stderr_redraws() -> bool {
    std::io::stderr().is_terminal() && !is_dumb(variable("TERM"))
}

/// A terminal that shows escape sequences as they are.
fn is_dumb(term: Option<String>) -> bool {
    term.is_some_and(|term| term == "dumb")
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
