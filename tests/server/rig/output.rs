//! What a program that was run has said.

use std::process::Output;

/// The program succeeds and shows all of these.
#[track_caller]
pub(crate) fn check_output(output: &Output, wanted: &[&str]) {
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{}\n{stdout}\n{stderr}", output.status);
    for text in wanted {
        assert!(stdout.contains(text), "no {text:?} in\n{stdout}\n{stderr}");
    }
}
