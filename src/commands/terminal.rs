//! The terminal: lines and tables out, passwords and consent in. Nothing that a model or another user has written moves
//! the cursor.

use std::io::{BufRead, IsTerminal, Write};

use crate::cli::PasswordFrom;
use crate::error::{Error, Kind};
use crate::system;

use super::{Failed, interrupt};

/// Bytes of a line that is typed or piped in: passwords have at most 1 024.
const LINE_BYTES_MAX: u64 = 4096;

/// Text to stdout. Nobody may be reading it.
pub(super) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    drop(out.write_all(text.as_bytes()).and_then(|()| out.flush()));
}

/// A line to stderr: what is not the answer itself.
pub(super) fn note(line: &str) {
    let mut err = std::io::stderr().lock();
    drop(writeln!(err, "{line}"));
}

/// Without what moves a cursor, changes colours or writes somewhere else on the screen.
pub(super) fn harmless(text: &str) -> String {
    let is_plain = |char: &char| matches!(char, '\n' | '\t') || !char.is_control();
    text.chars().filter(is_plain).collect()
}

/// Whether stderr is a terminal that may be shown colours.
pub(super) fn has_colours() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Rows below a head, in columns as wide as they must be.
pub(super) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            row.iter()
                .map(|cell| harmless(cell).replace(['\n', '\t'], " "))
                .collect()
        })
        .collect();
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
        widest.max(head[column].chars().count())
    };
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let padded = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        format!("{}\n", padded.collect::<Vec<_>>().join("  ").trim_end())
    };
    let mut text = line(head.to_vec());
    for row in &rows {
        text += &line(row.iter().map(String::as_str).collect());
    }
    text
}

/// A new password: typed twice without being shown, or the first line of stdin.
///
/// # Errors
/// That there is none, or that the two differ.
pub(super) fn new_password(from: PasswordFrom) -> Result<String, Failed> {
    let password = match from {
        PasswordFrom::Stdin => line()?,
        PasswordFrom::Terminal if !std::io::stdin().is_terminal() => {
            let message = "There is no terminal to ask for the password on; pipe it in with --password-stdin";
            return Err(Failed::usage(Error::new(Kind::Malformed, message)));
        }
        PasswordFrom::Terminal => {
            let hidden = system::hide_input().map_err(|error| {
                let message = "The terminal cannot hide what is typed; pipe the password in with --password-stdin";
                Error::new(Kind::Unavailable, message).caused_by(error)
            })?;
            let again_shown = hidden.clone();
            let pending = interrupt::on_signal(move || drop(again_shown));
            let password = ask_for("Password: ")?;
            let again = ask_for("Again: ")?;
            drop((hidden, pending));
            if password != again {
                let error = Error::new(Kind::Malformed, "The two passwords differ; nothing was changed");
                return Err(Failed::from(error));
            }
            password
        }
    };
    if password.is_empty() {
        return Err(Failed::usage(Error::new(Kind::Malformed, "The password is empty")));
    }
    Ok(password)
}

/// Asks on the terminal whether something is meant.
///
/// # Errors
/// That there is no terminal.
pub(super) fn agrees(question: &str) -> Result<bool, Failed> {
    if !std::io::stdin().is_terminal() {
        let message =
            "Nothing was deleted, because there is no terminal to ask on whether it is meant; if so, say --yes";
        return Err(Failed::usage(Error::new(Kind::Malformed, message)));
    }
    prompt(&format!("{question} [y/N] "));
    Ok(matches!(line()?.to_ascii_lowercase().as_str(), "y" | "yes"))
}

fn ask_for(what: &str) -> Result<String, Failed> {
    prompt(what);
    let typed = line();
    // The line's end was not shown either.
    note("");
    typed
}

fn prompt(text: &str) {
    let mut err = std::io::stderr().lock();
    drop(err.write_all(text.as_bytes()).and_then(|()| err.flush()));
}

fn line() -> Result<String, Failed> {
    let mut line = String::new();
    let mut stdin = std::io::Read::take(std::io::stdin().lock(), LINE_BYTES_MAX);
    stdin.read_line(&mut line).map_err(|error| {
        let error = Error::new(Kind::Malformed, "stdin cannot be read").caused_by(error);
        Failed::usage(error)
    })?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [
            vec!["ann@example.com".to_owned(), "admin".to_owned()],
            vec!["bö\x1b[2J\nb".to_owned(), String::new()],
        ];
        assert_eq!(
            table(&["account", "role"], &rows),
            "account          role\nann@example.com  admin\nbö[2J b\n"
        );
        assert_eq!(table(&["a", "b"], &[]), "a  b\n");
    }

    #[test]
    fn what_moves_the_cursor_is_left_out() {
        assert_eq!(harmless("a\x1b[31mb\r\u{9b}c\n\td é🦊"), "a[31mbc\n\td é🦊");
    }
}
