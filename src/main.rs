//! Fireside's command line: parse, run, and say what went wrong.

use std::io::Write as _;
use std::process::ExitCode;

use fireside::cli::{self, Environment, Order};
use fireside::commands::{self, Failed};
use fireside::reading;

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(failed) => {
            // With the terminal gone there is nobody to tell.
            drop(writeln!(std::io::stderr(), "fireside: {}", failed.error));
            ExitCode::from(failed.code)
        }
    }
}

fn run() -> Result<ExitCode, Failed> {
    // Before anything else: this process is one that the server has started, and knows no settings.
    if let Some(format) = reading::asked_to_read(std::env::args_os().skip(1)) {
        return Ok(reading::run(format));
    }
    let environment = Environment::load().map_err(Failed::usage)?;
    match cli::parse(std::env::args_os().skip(1), &environment).map_err(Failed::usage)? {
        Order::Serve(settings) => commands::serve(*settings)?,
        Order::Start(settings) => commands::start(*settings)?,
        Order::Task(settings, task) => return commands::run(&settings, &task).map(ExitCode::from),
        Order::Say(message) => {
            let code = if message.use_stderr() { 2 } else { 0 };
            // With the terminal gone there is nobody to tell.
            drop(message.print());
            return Ok(ExitCode::from(code));
        }
    }
    Ok(ExitCode::SUCCESS)
}
